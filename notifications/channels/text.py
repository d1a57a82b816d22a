"""Text in the shape that a provider takes."""

ELLIPSIS = "…"


def one_line(text: str, limit: int = 200) -> str:
    """Return `text` without line breaks and other control characters, at most `limit` characters long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + ELLIPSIS


def fit(text: str, size: int) -> str:
    """Return `text`, cut so that it has at most `size` bytes as UTF-8."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= size:
        return encoded.decode()
    return encoded[: max(0, size - len(ELLIPSIS.encode()))].decode(errors="ignore").rstrip() + ELLIPSIS
