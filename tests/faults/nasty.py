"""Requests that no honest tool sends, or that one sends on its worst day: raw bytes, and what may be answered.

A table to read: a name, the bytes, and the statuses that are right. The key of a source is written as its tool's
placeholder of the same length.
"""

# ruff: noqa: E501
from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass

import integrations

PLACEHOLDERS = {one.slug: f"il1{one.key_infix}{'2' * 28}" for one in integrations.ALL}
SMT = f"/api/v1/events/sematext/{PLACEHOLDERS['sematext']}"
ESW = f"/api/v1/events/eswatcher/{PLACEHOLDERS['eswatcher']}"
PROM = f"/api/v1/events/prometheus/{PLACEHOLDERS['prometheus']}"
API = "/api/v1/events"
ALERT = b'{"description": "cpu of web-1 above 90 %", "backToNormal": "false"}'
MIB = 1024 * 1024

# The connection is closed without an answer: what came was not HTTP.
CLOSED = 0
TAKEN = frozenset({200})
BAD = frozenset({400})
REFUSED = frozenset({400, 404, 405, 408, 411, 413, 414, 415, 417, 431})
"""Whichever says best what is wrong; a client's fault in any case."""
NO_HTTP = REFUSED | {CLOSED}
EITHER = TAKEN | BAD
"""Read as far as it can be, or refused with a reason."""


@dataclass(frozen=True)
class Nasty:
    """One conversation: what is sent, with a pause before each further piece, and what may come back."""

    name: str
    pieces: tuple[bytes, ...]
    allowed: frozenset[int]
    pause: float = 0.0
    answers: int = 1
    """How many answers the connection gives; the statuses of all are among the allowed."""
    then_close: bool = False
    """Whether the client ends its side of the connection after the last piece."""
    needs_json: bool = True


def http(
    body: bytes = ALERT,
    *headers: str | bytes,
    path: str | bytes = SMT,
    method: str = "POST",
    length: int | str | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """Return a whole request. A Content-Length is added unless `length` is empty."""
    target = path.encode() if isinstance(path, str) else path
    lines = [method.encode() + b" " + target + b" " + version.encode(), b"Host: ilert.example.com"]
    if length != "":
        lines.append(b"Content-Length: %s" % str(len(body) if length is None else length).encode())
    lines += [header.encode() if isinstance(header, str) else header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def in_chunks(body: bytes, *headers: str) -> bytes:
    """Return a request whose body is said to be chunked; `body` is what follows as it is."""
    return http(body, "Transfer-Encoding: chunked", *headers, length="")


def text(value: str) -> bytes:
    """Return an alert whose description is `value`, written as JSON escapes it."""
    return json.dumps({"description": value, "backToNormal": False}).encode()


def one(name: str, allowed: frozenset[int], *pieces: bytes, pause: float = 0.0, **more: object) -> Nasty:
    return Nasty(name, pieces, allowed, pause, **more)  # type: ignore[arg-type]


def body(name: str, allowed: frozenset[int], content: bytes, *headers: str, path: str = SMT) -> Nasty:
    return one(name, allowed, http(content, *(headers or ("Content-Type: application/json",)), path=path))


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


NEST = 10_000
BODIES = [
    body("empty body", BAD, b""),
    body("blank body", BAD, b" \r\n\t "),
    body("null", BAD, b"null"),
    body("a number", BAD, b"42"),
    body("a text", BAD, b'"disk full"'),
    body("a list", BAD, b"[]"),
    body("a list of alerts", BAD, b"[" + ALERT + b"]"),
    body("an empty object", BAD, b"{}"),
    body("cut off JSON", BAD, ALERT[:-1]),
    body("two JSON values in one", BAD, ALERT + ALERT),
    body("rubbish behind JSON", BAD, ALERT + b"x"),
    body("a comma too many", BAD, b'{"description": "x",}'),
    body("single quotes", BAD, b"{'description': 'x'}"),
    body("comments", BAD, b'/* x */ {"description": "x"}'),
    body("NaN", EITHER, b'{"description": "x", "value": NaN}'),
    body("Infinity", EITHER, b'{"description": "x", "value": -Infinity}'),
    body("NaN as description", EITHER, b'{"description": NaN}'),
    body("1e400", EITHER, b'{"description": "x", "value": 1e400}'),
    body("1e400 as time", EITHER, b'{"description": "x", "createTimestamp": 1e400}'),
    body("a time far away", TAKEN, b'{"description": "x", "createTimestamp": "999999999999999999"}'),
    body("4300 digits", EITHER, b'{"description": "x", "value": ' + b"9" * 4300 + b"}"),
    body("4301 digits", BAD, b'{"description": "x", "value": ' + b"9" * 4301 + b"}"),
    body("a million digits", BAD, b'{"description": "x", "value": ' + b"9" * 1_000_000 + b"}"),
    body("4301 digits in a text", EITHER, text("9" * 4301)),
    body("duplicate names", TAKEN, b'{"description": "a", "description": "b"}'),
    body("duplicate names of other types", EITHER, b'{"description": "a", "description": ["b"]}'),
    body("a name of 10 kB", TAKEN, b'{"description": "x", "' + b"n" * 10_240 + b'": 1}'),
    body("an empty name", TAKEN, b'{"description": "x", "": ""}'),
    body("1001 names", BAD, json.dumps({"description": "x", **{f"n{n}": n for n in range(1001)}}).encode()),
    body("100 000 names", REFUSED, json.dumps({f"n{n}": 1 for n in range(70_000)}).encode()),
    body("names that collide", REFUSED, json.dumps({str(n * (2**61 - 1)): 1 for n in range(20_000)}).encode()),
    body("10 000 lists", BAD, b'{"description": "x", "deep": ' + b"[" * NEST + b"]" * NEST + b"}"),
    body("10 000 lists, open", BAD, b"[" * NEST),
    body("10 000 objects", BAD, b'{"a":' * NEST + b"1" + b"}" * NEST),
    body("500 000 lists", BAD, b"[" * 500_000 + b"]" * 500_000),
    body("200 levels, side by side", BAD, b'{"description":"x","d":[' + b"[" * 200 + b"]" * 200 + b",1]}"),
    body("a description of 1 MB", TAKEN, text("x" * (MIB - 200))),
    body("only blanks as description", EITHER, text("   ")),
    body("a list as description", BAD, b'{"description": [1]}'),
    body("an object as description", BAD, b'{"description": {"a": 1}}'),
    body("a number as description", EITHER, b'{"description": 12}'),
    body("maybe", EITHER, b'{"description": "x", "backToNormal": "maybe"}'),
    body("markup", TAKEN, text("<script>alert(1)</script>")),
    body("template", TAKEN, text("{{ settings.SECRET_KEY }} {% debug %} ${7*7} #{7*7}")),
    body("SQL", TAKEN, text("'; DROP TABLE incidents_event; -- %s %(a)s")),
    body("format", TAKEN, text("{0.__class__} %n %s %d %00")),
    body("prototype", TAKEN, b'{"description": "x", "__proto__": {"a": 1}, "constructor": {"prototype": {}}}'),
    body("XML", BAD, b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "Content-Type: text/xml"),
    body("YAML", BAD, b"!!python/object/apply:os.system ['true']", "Content-Type: application/yaml"),
    body("pickle", BAD, b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.", "Content-Type: x"),
]
ENCODINGS = [
    body("UTF-8 with BOM", EITHER, b"\xef\xbb\xbf" + ALERT),
    body("two BOMs", BAD, b"\xef\xbb\xbf\xef\xbb\xbf" + ALERT),
    body("only a BOM", BAD, b"\xef\xbb\xbf"),
    *(
        body(f"{name}", EITHER, ALERT.decode().encode(name))
        for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
    ),
    body("UTF-16 cut in a letter", BAD, ALERT.decode().encode("utf-16")[:-1]),
    body("UTF-32 with a letter beyond Unicode", BAD, b"\xff\xfe\x00\x00\xff\xff\xff\xff"),
    body("UTF-7", BAD, b"+AHs-"),
    body("Latin-1", BAD, '{"description": "Größe"}'.encode("latin-1")),
    body(
        "Latin-1, said so",
        EITHER,
        '{"description": "Größe"}'.encode("latin-1"),
        "Content-Type: text/json; charset=latin-1",
    ),
    body("EBCDIC", BAD, ALERT.decode().encode("cp500")),
    body("overlong UTF-8", BAD, b'{"description": "\xc0\xaf"}'),
    body("surrogates in UTF-8", BAD, b'{"description": "\xed\xa0\x80"}'),
    body("UTF-8 cut in a letter", BAD, b'{"description": "\xe2\x82'),
    body("0xff", BAD, b"\xff" * 100),
    body("a lone high surrogate", TAKEN, b'{"description": "a \\ud800 b"}'),
    body("a lone low surrogate", TAKEN, b'{"description": "a \\udc00 b"}'),
    body("surrogates the wrong way round", TAKEN, b'{"description": "a \\udc00\\ud800 b"}'),
    body("a lone surrogate as name", TAKEN, b'{"description": "a", "\\ud800": "\\udfff"}'),
    body("an escaped NUL", TAKEN, b'{"description": "a \\u0000 b", "n\\u0000": "\\u0000"}'),
    body("a raw NUL", BAD, b'{"description": "a \x00 b"}'),
    body("only NULs", BAD, b"\x00" * 1000),
    body("control characters", BAD, b'{"description": "a \x01\x1b[31m b"}'),
    body("escaped control characters", TAKEN, b'{"description": "a \\u001b[31m \\r\\n \\u0008 b"}'),
    body("direction marks", TAKEN, text("\u202eabc\u2066\u200f")),
    body("zalgo", TAKEN, text("a" + "\u0301" * 5000)),
    body("a letter beyond the BMP", TAKEN, text("\U0001f4a5" * 600)),
    body("noncharacters", TAKEN, text("\ufffe\uffff\U0010ffff")),
    body("letters that grow when lowered", TAKEN, text("İ" * 1000 + "ß" * 1000)),
    body("wrong escapes", BAD, b'{"description": "\\x41 \\u12"}'),
    body("line separators", TAKEN, text("a\u2028b\u2029c\x85d")),
]
CODINGS = [
    body("gzip", TAKEN, gzip.compress(ALERT), "Content-Encoding: gzip"),
    body("x-gzip", TAKEN, gzip.compress(ALERT), "Content-Encoding: X-GZip"),
    body("deflate with header", TAKEN, zlib.compress(ALERT), "Content-Encoding: deflate"),
    body("deflate without header", TAKEN, raw_deflate(ALERT), "Content-Encoding: deflate"),
    body("gzip twice", TAKEN, gzip.compress(gzip.compress(ALERT)), "Content-Encoding: gzip, gzip"),
    body("identity", TAKEN, ALERT, "Content-Encoding: identity"),
    body("gzip three times", frozenset({415}), gzip.compress(ALERT), "Content-Encoding: gzip, gzip, gzip"),
    body("brotli", frozenset({415}), b"\x0b\x02\x80abc\x03", "Content-Encoding: br"),
    body("zstd", frozenset({415}), b"\x28\xb5\x2f\xfd", "Content-Encoding: zstd"),
    body("a made-up coding", frozenset({415}), ALERT, "Content-Encoding: rot13"),
    body("10 kB of coding", frozenset({415}) | REFUSED, ALERT, f"Content-Encoding: {'x' * 10_240}"),
    body("said gzip, is not", BAD, ALERT, "Content-Encoding: gzip"),
    body("gzip without saying so", BAD, gzip.compress(ALERT)),
    body("cut off gzip", BAD, gzip.compress(ALERT)[:-4], "Content-Encoding: gzip"),
    body("gzip with a wrong sum", BAD, gzip.compress(ALERT)[:-8] + b"\0" * 8, "Content-Encoding: gzip"),
    body("gzip and rubbish", BAD, gzip.compress(ALERT) + b"rubbish", "Content-Encoding: gzip"),
    body("empty gzip", BAD, gzip.compress(b""), "Content-Encoding: gzip"),
    body("no body, said gzip", BAD, b"", "Content-Encoding: gzip"),
    body("100 MB in 100 kB", frozenset({413}), gzip.compress(bytes(100 * MIB)), "Content-Encoding: gzip"),
    body("1 GB in 4 kB, gzip twice", frozenset({413}), gzip.compress(gzip.compress(bytes(1000 * MIB), 1)), "Content-Encoding: gzip, gzip"),
    body("100 MB of deflate", frozenset({413}), zlib.compress(bytes(100 * MIB)), "Content-Encoding: deflate"),
    body("1 MB of JSON in a gzip", TAKEN, gzip.compress(text("x" * (MIB - 100))), "Content-Encoding: gzip"),
    body("10 000 empty members", REFUSED, gzip.compress(b"") * 10_000, "Content-Encoding: gzip"),
]  # fmt: skip
TYPES = [
    one("no Content-Type", TAKEN, http(ALERT)),
    *(
        body(f"Content-Type {kind[:40] or 'empty'}", TAKEN, ALERT, f"Content-Type: {kind}")
        for kind in (
            "", "text/plain", "text/html", "application/octet-stream", "application/xml", "image/png", "*/*", ";;;",
            "application/json; charset=klingon", "application/json; charset=utf-16", "x" * 4000, "application/x-www-form-urlencoded",
        )
    ),
    body("a form", TAKEN, b"description=disk+full&backToNormal=false", "Content-Type: application/x-www-form-urlencoded"),
    body("a form, said to be JSON", EITHER, b"description=disk+full&backToNormal=false"),
    body("a form with 2000 fields", BAD, b"&".join(b"f%d=1" % n for n in range(2000)), "Content-Type: application/x-www-form-urlencoded"),
    body("a form of percent signs", EITHER, b"description=%&%zz=%u1234&%00=%ff", "Content-Type: application/x-www-form-urlencoded"),
    body("multipart without a boundary", TAKEN, ALERT, "Content-Type: multipart/form-data"),
    body("multipart that never ends", BAD, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n', "Content-Type: multipart/form-data; boundary=x"),
    body("two Content-Types", TAKEN, ALERT, "Content-Type: text/plain", "Content-Type: application/json"),
]  # fmt: skip
LENGTHS = [
    one("no Content-Length, no body", BAD, http(b"", length="")),
    one("Content-Length too short", EITHER | {CLOSED}, http(ALERT, length=len(ALERT) - 1), needs_json=False),
    one("Content-Length 0 with a body", NO_HTTP, http(ALERT, length=0), answers=9),
    one("Content-Length negative", NO_HTTP, http(ALERT, length=-1)),
    one("Content-Length with a plus", NO_HTTP, http(ALERT, length=f"+{len(ALERT)}")),
    one("Content-Length in hex", NO_HTTP, http(ALERT, length="0x40")),
    one("Content-Length a word", NO_HTTP, http(ALERT, length="many")),
    one("Content-Length with an underscore", NO_HTTP, http(ALERT, length="6_7")),
    one("Content-Length of 30 digits", NO_HTTP, http(ALERT, length="9" * 30)),
    one("Content-Length of 2^64 + n", NO_HTTP, http(ALERT, length=2**64 + len(ALERT))),
    one("Content-Length of a terabyte", frozenset({413, 408, CLOSED}), http(ALERT, length=10**12)),
    one("two equal Content-Lengths", TAKEN | NO_HTTP, http(ALERT, f"Content-Length: {len(ALERT)}")),
    one("two other Content-Lengths", NO_HTTP, http(ALERT, "Content-Length: 5"), answers=9),
    one("a list of Content-Lengths", NO_HTTP, http(ALERT, length=f"{len(ALERT)}, {len(ALERT)}")),
    one("over 1 MiB", frozenset({413}), http(text("x" * MIB))),
    one("10 MiB", frozenset({413, CLOSED}), http(b"x" * 10 * MIB)),
    one("exactly 1 MiB", TAKEN, http(text("x" * (MIB - len(text("")))))),
]
CHUNKS = [
    one("chunked", TAKEN, in_chunks(chunked(ALERT))),
    one("a chunk for each byte", TAKEN, in_chunks(chunked(*(bytes([byte]) for byte in ALERT)))),
    one("chunks with pauses", TAKEN, in_chunks(b""), *(chunked(part, end=b"") for part in (ALERT[:9], ALERT[9:])), b"0\r\n\r\n", pause=0.2),
    one("chunk extensions", TAKEN | NO_HTTP, in_chunks(b'%x;a=b;c="d"\r\n%s\r\n0;x\r\n\r\n' % (len(ALERT), ALERT))),
    one("trailers", TAKEN | NO_HTTP, in_chunks(chunked(ALERT, end=b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\n"))),
    one("chunk size of no number", NO_HTTP, in_chunks(b"zz\r\nabc\r\n0\r\n\r\n")),
    one("chunk size negative", NO_HTTP, in_chunks(b"-5\r\nabcde\r\n0\r\n\r\n")),
    one("chunk size with 0x", NO_HTTP, in_chunks(b"0x5\r\nabcde\r\n0\r\n\r\n")),
    one("chunk size of 17 digits", NO_HTTP, in_chunks(b"1" + b"0" * 16 + b"\r\nabcde\r\n0\r\n\r\n")),
    one("chunk size too short", NO_HTTP, in_chunks(b"2\r\nabcde\r\n0\r\n\r\n")),
    one("chunk size too long", NO_HTTP, in_chunks(b"ff\r\nabcde\r\n0\r\n\r\n")),
    one("chunks with bare newlines", TAKEN | NO_HTTP, in_chunks(b"%x\n%s\n0\n\n" % (len(ALERT), ALERT))),
    one("no last chunk", NO_HTTP, in_chunks(chunked(ALERT, end=b""))),
    one("no last chunk, then closed", NO_HTTP, in_chunks(chunked(ALERT, end=b"")), then_close=True),
    one("over 1 MiB in chunks", frozenset({413, CLOSED}), in_chunks(chunked(*[b"x" * 65_536] * 17))),
    one("empty chunked body", BAD, in_chunks(b"0\r\n\r\n")),
    one("chunked gzip", TAKEN, in_chunks(chunked(gzip.compress(ALERT)), "Content-Encoding: gzip")),
    one("chunked and a length", TAKEN | NO_HTTP, http(chunked(ALERT), "Transfer-Encoding: chunked", length=5), answers=9, needs_json=False),
    one("chunked twice", TAKEN | NO_HTTP, in_chunks(chunked(ALERT), "Transfer-Encoding: chunked"), needs_json=False),
    one("transfer encoding gzip", NO_HTTP | {501}, http(gzip.compress(ALERT), "Transfer-Encoding: gzip, chunked", length="")),
    one("transfer encoding made up", NO_HTTP | {501} | TAKEN, http(ALERT, "Transfer-Encoding: xchunked"), answers=9),
    one("transfer encoding with a tab", NO_HTTP | TAKEN, http(chunked(ALERT), "Transfer-Encoding:\tchunked", length="")),
    one("blank before the colon", NO_HTTP | TAKEN, http(chunked(ALERT), "Transfer-Encoding : chunked"), answers=9),
]  # fmt: skip
METHODS = [
    *(
        one(f"{method} with a body", frozenset({405}), http(ALERT, method=method))
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
    ),
    *(
        one(f"made-up method {method}", frozenset({405, 400, CLOSED}), http(ALERT, method=method), answers=9)
        for method in ("BREW", "post", "Post", "POST" * 100, "PÖST", "_", "PRI")
    ),
    one("TRACE", frozenset({405, 400, CLOSED}), http(b"", method="TRACE", length="")),
    one("CONNECT", frozenset({405, 400, 404, CLOSED}), http(b"", method="CONNECT", path="example.com:443", length="")),
    one("HEAD", frozenset({405}), http(b"", method="HEAD", length=""), needs_json=False),
    one("GET without anything", BAD, http(b"", method="GET", length="")),
    one("GET with a query", TAKEN, http(b"", method="GET", path=f"{SMT}?description=disk+full", length="")),
    one("GET with a body", TAKEN, http(ALERT, method="GET")),
    one("a query of rubbish", TAKEN, http(ALERT, path=f"{SMT}?%00&%zz&=&&==&a%ff=%fe&description=%F0%28%8C%28")),
    one("a query of 1001 fields", BAD, http(b"", method="GET", path=f"{SMT}?{'&'.join(f'f{n}=1' for n in range(1001))}", length="")),
    one("method override", TAKEN, http(ALERT, "X-HTTP-Method-Override: DELETE")),
]  # fmt: skip
KEY = PLACEHOLDERS["sematext"]
FOUND = frozenset({200, 404})
PATHS = [
    one("a percent-encoded path", TAKEN, http(path=SMT.replace("/sematext/", "/%73%65matext/"))),
    one("a key in capitals", TAKEN, http(path=f"/api/v1/events/sematext/{KEY.upper()}")),
    one("a key with blanks", TAKEN, http(path=f"{SMT}%20%09")),
    one("a trailing slash", TAKEN, http(path=f"{SMT}/")),
    one("two trailing slashes", FOUND, http(path=f"{SMT}//")),
    one("double slashes", FOUND | BAD, http(path=f"//api//v1//events//sematext//{KEY}"), needs_json=False),
    one("dots", FOUND, http(path=f"/api/v1/../v1/events/sematext/{KEY}")),
    one("encoded dots", FOUND, http(path=f"/api/v1/%2e%2e/v1/events/sematext/{KEY}")),
    one("dots as key", frozenset({404}), http(path="/api/v1/events/sematext/..")),
    one("encoded dots as key", frozenset({404}), http(path="/api/v1/events/sematext/%2e%2e")),
    one("dots into the admin site", frozenset({404, 302, 400}), http(path="/api/v1/events/sematext/../../../../admin/"), needs_json=False),
    one("an encoded slash in the key", frozenset({404}), http(path=f"/api/v1/events/sematext/{KEY}%2fx")),
    one("encoded slashes all over", FOUND, http(path=f"/api%2fv1%2fevents%2fsematext%2f{KEY}")),
    one("a backslash", FOUND | BAD, http(path=f"/api\\v1\\events\\sematext\\{KEY}"), needs_json=False),
    one("NUL in the key", frozenset({404, 400}), http(path=f"{SMT}%00")),
    one("a raw NUL in the path", NO_HTTP, http(path=SMT.encode() + b"\0")),
    one("raw bytes in the path", NO_HTTP, http(path=SMT.encode() + b"\xff\xfe")),
    one("encoded rubbish in the key", frozenset({404, 400}), http(path="/api/v1/events/sematext/%ff%fe%c0%80")),
    one("a newline in the key", frozenset({404, 400, 200}), http(path=f"{SMT}%0d%0aSet-Cookie:%20a=b")),
    one("a percent sign at the end", frozenset({404, 400}), http(path=f"{SMT}%")),
    one("a key of 8 kB", frozenset({404}) | REFUSED, http(path=f"/api/v1/events/sematext/{'k' * 8192}")),
    one("a path of 200 kB", NO_HTTP, http(path=f"/api/v1/events/sematext/{'k' * 200_000}"), needs_json=False),
    one("no key", frozenset({404}), http(path="/api/v1/events/sematext")),
    one("no key, slash", frozenset({404}), http(path="/api/v1/events/sematext/")),
    one("an unknown tool", frozenset({404}), http(path=f"/api/v1/events/nagios/{KEY}")),
    one("a tool with markup", frozenset({404}), http(path=f"/api/v1/events/%3Cscript%3E/{KEY}")),
    one("a tool in capitals", FOUND, http(path=f"/api/v1/events/SEMATEXT/{KEY}")),
    one("a key of another tool", frozenset({404}), http(path=f"/api/v1/events/eswatcher/{KEY}")),
    one("an unknown key", frozenset({404}), http(path=f"{SMT[:-4]}zzzz")),
    one("an unknown address", frozenset({404}), http(path="/api/v1/nowhere")),
    one("an API of version 2", frozenset({404}), http(path=SMT.replace("v1", "v2"))),
    one("no path", NO_HTTP, http(path="")),
    one("a star", NO_HTTP, http(path="*", method="OPTIONS"), needs_json=False),
    one("absolute form", TAKEN | NO_HTTP, http(path=f"http://ilert.example.com{SMT}")),
    one("absolute form of another host", TAKEN | NO_HTTP, http(path=f"http://evil.example{SMT}")),
    one("absolute form of a file", NO_HTTP, http(path="file:///etc/passwd"), needs_json=False),
    one("a fragment", FOUND | BAD, http(path=f"{SMT}#fragment")),
    one("a semicolon", frozenset({404}), http(path=f"{SMT};jsessionid=1")),
    one("a blank in the path", NO_HTTP, http(path=f"{SMT} x")),
    one("static files by dots", frozenset({404, 400}), http(b"", path="/static/../../etc/passwd", method="GET", length=""), needs_json=False),
    one("static files by encoded dots", frozenset({404, 400}), http(b"", path="/static/%2e%2e/%2e%2e/var/secret_key", method="GET", length=""), needs_json=False),
]  # fmt: skip
HEADERS = [
    *(
        one(f"spoofed {header[:40]}", TAKEN, http(ALERT, header))
        for header in (
            "X-Forwarded-For: 127.0.0.1, ' OR 1=1 --, \u00e9",
            "X-Forwarded-For: " + "1.2.3.4, " * 800,
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Proto: gopher",
            "X-Forwarded-Port: 99999",
            "X-Forwarded-Prefix: /admin",
            "Forwarded: for=127.0.0.1;host=evil.example;proto=https",
            "X-Real-IP: ::1",
            "X-Original-URL: /admin/",
            "X-Rewrite-URL: /admin/",
            "Script-Name: /admin",
            "Proxy: http://evil.example",
        )
    ),
    one("no Host", TAKEN | NO_HTTP, b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (SMT.encode(), len(ALERT), ALERT)),
    one("two Hosts", TAKEN | NO_HTTP, http(ALERT, "Host: evil.example")),
    one("a bad Host", TAKEN, http(ALERT).replace(b"ilert.example.com", b"bad_host!:99999")),
    one("a Host with markup", TAKEN, http(ALERT).replace(b"ilert.example.com", b"<script>")),
    one("a Host of a page", frozenset({400, 302, 200}), http(b"", path="/incidents/", method="GET", length="").replace(b"ilert.example.com", b"bad host"), needs_json=False),
    one("Accept of nothing", TAKEN, http(ALERT, "Accept: nothing/at-all;q=0")),
    one("Accept-Encoding identity;q=0", TAKEN, http(ALERT, "Accept-Encoding: identity;q=0, *;q=0")),
    one("Accept-Language", TAKEN, http(ALERT, "Accept-Language: " + "x-" * 2000)),
    one("a cookie of rubbish", TAKEN | NO_HTTP, http(ALERT, "Cookie: ilert_session=\x01; =; ;;;; csrftoken=" + "x" * 4000)),
    one("an Authorization of rubbish", TAKEN, http(ALERT, "Authorization: Bearer \u00ff\u00fe", "Authorization: Basic !!!")),
    one("a range", TAKEN, http(ALERT, "Range: bytes=0-99999999999999999999")),
    one("a condition", TAKEN, http(ALERT, "If-Match: *", "If-None-Match: *", "If-Modified-Since: yesterday")),
    one("a header of 8 kB", TAKEN | NO_HTTP, http(ALERT, "X-Long: " + "x" * 8192)),
    one("a header of 200 kB", NO_HTTP | TAKEN, http(ALERT, "X-Long: " + "x" * 200_000), needs_json=False),
    one("a header name of 100 kB", NO_HTTP | TAKEN, http(ALERT, "X" * 100_000 + ": x"), needs_json=False),
    one("100 headers", TAKEN | NO_HTTP, http(ALERT, *(f"X-{n}: {n}" for n in range(100)))),
    one("10 000 headers", NO_HTTP | TAKEN, http(ALERT, *(f"X-{n}: {n}" for n in range(10_000))), needs_json=False),
    one("a header without a colon", NO_HTTP, http(ALERT, "no colon here")),
    one("an empty header name", NO_HTTP, http(ALERT, ": x")),
    one("a header with NUL", NO_HTTP | TAKEN, http(ALERT, b"X-Nul: a\0b")),
    one("a folded header", NO_HTTP | TAKEN, http(ALERT, "X-Folded: a\r\n b")),
    one("bare newlines", NO_HTTP | TAKEN, http(ALERT).replace(b"\r\n", b"\n")),
    one("bare carriage returns", NO_HTTP, http(ALERT).replace(b"\r\n", b"\r")),
    one("a split request", NO_HTTP | TAKEN | {404}, http(ALERT, "X-A: b\r\n\r\nGET / HTTP/1.1"), answers=9, needs_json=False),
    one("Connection: close", TAKEN, http(ALERT, "Connection: close")),
    one("Connection: a header that matters", TAKEN, http(ALERT, "Connection: content-length, host")),
    one("Expect: 100-continue", TAKEN, http(ALERT, "Expect: 100-continue")),
    one("Expect: the impossible", TAKEN | {417}, http(ALERT, "Expect: 200-ok")),
    one("Upgrade: websocket", TAKEN | REFUSED | {426}, http(b"", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", method="GET", length=""), needs_json=False),
    one("Upgrade: h2c", TAKEN, http(ALERT, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")),
    one("Upgrade: made up", TAKEN, http(ALERT, "Upgrade: gopher/7", "Connection: Upgrade")),
]  # fmt: skip
PROTOCOLS = [
    one("HTTP/1.0", TAKEN, http(ALERT, version="HTTP/1.0")),
    one("HTTP/1.0 without a length", NO_HTTP, http(ALERT, length="", version="HTTP/1.0"), then_close=True),
    one("HTTP/0.9", NO_HTTP, b"GET %s\r\n" % SMT.encode()),
    one("HTTP/2.0 in words", NO_HTTP | TAKEN | {505}, http(ALERT, version="HTTP/2.0"), needs_json=False),
    one("HTTP/9.9", NO_HTTP | TAKEN | {505}, http(ALERT, version="HTTP/9.9"), needs_json=False),
    one("HTCPCP/1.0", NO_HTTP, http(ALERT, version="HTCPCP/1.0")),
    one("HTTP/2 preface", NO_HTTP | {505}, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)),
    one("a TLS hello", NO_HTTP, bytes.fromhex("16030100a5010000a10303") + bytes(160)),
    one("an SSH banner", NO_HTTP, b"SSH-2.0-OpenSSH_9.9\r\n"),
    one("a PROXY header", NO_HTTP, b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + http()),
    one("a Redis command", NO_HTTP, b"*1\r\n$8\r\nFLUSHALL\r\n"),
    one("SMTP", NO_HTTP, b"EHLO ilert\r\n"),
    one("noise", NO_HTTP, bytes(range(256)) * 40),
    one("only newlines", NO_HTTP, b"\r\n" * 100, then_close=True),
    one("newlines before a request", TAKEN | NO_HTTP, b"\r\n\r\n" + http()),
    one("nothing, closed", frozenset({CLOSED}), b"", then_close=True),
    one("two requests at once", TAKEN, http() + http(text("pipelined")), answers=2),
    one("ten requests at once", TAKEN, http() * 10, answers=10),
    one("a good one behind a bad one", EITHER, http(b"{") + http(), answers=2),
    one("a good one behind an unknown key", TAKEN | {404}, http(path=f"{SMT[:-4]}zzzz") + http(), answers=2),
    one("a good one behind one that is too large", TAKEN | {413, CLOSED}, http(text("x" * MIB)) + http(), answers=9),
    one("a good one and half of another", TAKEN | NO_HTTP, http() + http()[:40], answers=2, then_close=True),
]
OTHER_DOORS = [
    body("events API without a key", BAD, b'{"summary": "x", "eventType": "ALERT"}', path=API),
    body("events API with an unknown key", frozenset({404}), b'{"apiKey": "il1apizzz", "eventType": "ALERT", "summary": "x"}', path=API),
    body("events API with a list as key", BAD, b'{"apiKey": ["x"], "eventType": "ALERT"}', path=API),
    body("events API with a key of 1 MB", frozenset({404}), json.dumps({"apiKey": "k" * 1_000_000, "eventType": "ALERT"}).encode(), path=API),
    body("events API with rubbish", BAD, b"\x00\xff", path=API),
    body("events API with 10 000 levels", BAD, b"[" * NEST, path=API),
    body("events API with gzip", frozenset({404}), gzip.compress(b'{"apiKey": "nobody", "eventType": "ALERT"}'), "Content-Encoding: gzip", path=API),
    body("events API with a made-up type", BAD, json.dumps({"apiKey": PLACEHOLDERS["api"], "eventType": "EXPLODE", "summary": "x"}).encode(), path=API),
    body("events API with links of rubbish", EITHER, json.dumps({"apiKey": PLACEHOLDERS["api"], "eventType": "ALERT", "summary": "x", "links": [{"href": "javascript:alert(1)"}, {"href": "http://["}, 5]}).encode(), path=API),
    body("events API with a lone surrogate as key", TAKEN, b'{"apiKey": "' + PLACEHOLDERS["api"].encode() + b'", "eventType": "ALERT", "summary": "x", "alertKey": "\\ud800\\u0000"}', path=API),
    body("Watcher with text", EITHER, b"the disk is full", "Content-Type: text/plain", path=ESW),
    body("Watcher with a list", EITHER, b"[1, 2]", path=ESW),
    body("Watcher with ctx in ctx", EITHER, b'{"ctx":' * 50 + b"{}" + b"}" * 50, path=ESW),
    body("Watcher with a watch_id of 100 kB", EITHER, json.dumps({"watch_id": "w" * 100_000, "metadata": None}).encode(), path=ESW),
    body("Watcher with NUL as watch_id", EITHER, b'{"watch_id": "\\u0000", "metadata": []}', path=ESW),
    body("Watcher with hits of rubbish", EITHER, b'{"watch_id": "w", "payload": {"hits": {"total": {"value": [1e400]}}}}', path=ESW),
    body("Alertmanager without alerts", EITHER, b'{"version": "4", "alerts": []}', path=PROM),
    body("Alertmanager with alerts of rubbish", BAD, b'{"alerts": [1, null, "x", []]}', path=PROM),
    body("Alertmanager with 5000 alerts", EITHER | {413}, json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": f"a{n % 50}"}} for n in range(5000)]}).encode(), path=PROM),
    body("Alertmanager with NUL in labels", EITHER, b'{"alerts": [{"status": "firing", "labels": {"a\\u0000": "\\ud800", "alertname": "x"}, "startsAt": "9999-99-99"}]}', path=PROM),
]  # fmt: skip
HALF = http()
SLOW = [
    one("nothing at all", frozenset({CLOSED, 408}), b""),
    one("half a request line", NO_HTTP, b"POST /api/v1/ev"),
    one("half the headers", NO_HTTP, HALF[:60]),
    one("headers without an end", NO_HTTP, HALF[: HALF.index(b"\r\n\r\n")]),
    one("headers and no body", NO_HTTP, HALF[: HALF.index(b"\r\n\r\n") + 4]),
    one("half the body", NO_HTTP, HALF[:-20]),
    one("half the body, closed", NO_HTTP, HALF[:-20], then_close=True),
    one("half a chunk", NO_HTTP, in_chunks(b"40\r\nabc")),
    one("half a chunk size", NO_HTTP, in_chunks(b"4")),
    one("a dripping request line", NO_HTTP, *(bytes([byte]) for byte in HALF[:24]), pause=0.5),
    one("a dripping header", NO_HTTP, HALF[:50], *(b"X-%d: x\r\n" % n for n in range(24)), pause=0.5),
    one("a dripping body", NO_HTTP, HALF[:-24], *(bytes([byte]) for byte in HALF[-24:]), pause=0.5),
    one("dripping chunks", NO_HTTP, in_chunks(b""), *[b"1\r\nx\r\n"] * 24, pause=0.5),
    one("a dripping unknown address", NO_HTTP, HALF[:-24].replace(b"/events/", b"/nowhere/"), *(bytes([byte]) for byte in HALF[-24:]), pause=0.5),
    one("Expect: 100-continue and silence", NO_HTTP, http(b"", "Expect: 100-continue", length=50)),
    one("a dripping page", NO_HTTP | {302, 403}, http(b"", path="/accounts/login/", length=500), *[b"x"] * 24, pause=0.5, needs_json=False),
    one("idle after an answer", TAKEN, HALF, answers=1),
]  # fmt: skip
QUICK = BODIES + ENCODINGS + CODINGS + TYPES + LENGTHS + CHUNKS + METHODS + PATHS + HEADERS + PROTOCOLS + OTHER_DOORS
