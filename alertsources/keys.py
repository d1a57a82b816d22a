"""Integration keys: the secret part of a webhook URL."""

import hashlib
import secrets

# Without 0, O, 1, l and I: keys are read aloud and typed off screenshots. 31 letters, 28 of them give 138 bits.
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
RANDOM_LENGTH = 28


def generate(infix: str) -> str:
    """Return a new key such as `il1smt…`: iLert's shape, three letters for the kind of tool, then 138 random bits."""
    return f"il1{infix}" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))


def digest(key: str) -> bytes:
    """Return what a key is found by. Blanks around it are dropped and letters compared without case."""
    return hashlib.sha256(key.strip().lower().encode("utf-8", "surrogatepass")).digest()
