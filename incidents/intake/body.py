"""The body of a request without its content codings, never inflated beyond the limit."""

import zlib
from collections.abc import Callable

# Nobody codes twice on purpose; two are allowed because a proxy may compress what the tool has compressed.
MAX_CODINGS = 2
# A gzip file may be several in a row. Thousands of empty ones would keep a processor busy for nothing.
MAX_MEMBERS = 16
GZIP, ZLIB, RAW = 31, 15, -15


class BodyError(Exception):
    """A body cannot be read; the text says why."""


class TooLarge(BodyError):
    """The body is, or would become, larger than the limit."""


class UnknownEncoding(BodyError):
    """The Content-Encoding names a coding that is not known, or too many."""


class Broken(BodyError):
    """The body is not what its Content-Encoding says."""


def decoded(raw: bytes, encoding: str, limit: int) -> bytes:
    """Return `raw` without the codings that a Content-Encoding header lists. Raises a BodyError."""
    body = raw
    for decode in reversed(_decoders(encoding)):
        body = decode(body, limit) if body else body
    if len(body) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
    return body


def _decoders(encoding: str) -> list[Callable[[bytes, int], bytes]]:
    names = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    unknown = next((name for name in names if name not in _DECODERS), None)
    if unknown is not None:
        raise UnknownEncoding(f"The Content-Encoding “{_shown(unknown)}” is not known. Known: {', '.join(_DECODERS)}.")
    if len(names) > MAX_CODINGS:
        raise UnknownEncoding(f"The body has {len(names)} codings in a row; at most {MAX_CODINGS} are read.")
    return [_DECODERS[name] for name in names]


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:40])


def _gunzip(body: bytes, limit: int) -> bytes:
    inflated = b""
    for _ in range(MAX_MEMBERS):
        more, body = _inflate(body, GZIP, limit - len(inflated))
        inflated += more
        # Some pad the file with zeros.
        if not body.strip(b"\0"):
            return inflated
    raise Broken(f"The gzip body has more than {MAX_MEMBERS} members.")


def _undeflate(body: bytes, limit: int) -> bytes:
    """Return what was deflated, with the zlib header that the standard asks for or, as some send it, without."""
    has_header = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    for flavour in (ZLIB, RAW) if has_header else (RAW,):
        try:
            inflated, rest = _inflate(body, flavour, limit)
        except Broken:
            continue
        if not rest:
            return inflated
    raise Broken("The body is not valid deflate, or it ends too early.")


def _inflate(body: bytes, flavour: int, limit: int) -> tuple[bytes, bytes]:
    """Return one compressed stream inflated, and what stands after it."""
    stream = zlib.decompressobj(flavour)
    try:
        # One byte more than allowed says that there is more; a limit of 0 would mean none.
        inflated = stream.decompress(body, limit + 1)
    except zlib.error:
        raise Broken("The body is not valid gzip.") from None
    if len(inflated) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes when inflated.")
    if not stream.eof:
        raise Broken("The compressed body ends too early.")
    return inflated, stream.unused_data


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _undeflate}
