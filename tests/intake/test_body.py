"""Content codings: what tools and proxies send, and what somebody sends who means harm."""

import contextlib
import gzip
import time
import tracemalloc
import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.intake.body import Broken, TooLarge, UnknownEncoding, decoded

LIMIT = 1024 * 1024
# Without the time, which would give the tests other names in each process.
gzipped = partial(gzip.compress, mtime=0)
TEXT = b'{"description": "disk full"}' * 20


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        (" , identity,", TEXT),
        ("gzip", gzipped(TEXT)),
        ("GZip", gzipped(TEXT)),
        ("x-gzip", gzipped(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT, 0)),
        ("deflate", raw_deflate(TEXT)),
        ("deflate, gzip", gzipped(zlib.compress(TEXT))),
        ("gzip, deflate", raw_deflate(gzipped(TEXT))),
        ("gzip,identity,gzip", gzipped(gzipped(TEXT))),
        ("gzip", gzipped(TEXT[:100]) + gzipped(TEXT[100:])),
        ("gzip", gzipped(TEXT) + b"\0" * 512),
    ],
)
def test_what_was_coded_is_read(encoding: str, body: bytes) -> None:
    assert decoded(body, encoding, LIMIT) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip"])
def test_nothing_stays_nothing(encoding: str) -> None:
    assert decoded(b"", encoding, LIMIT) == b""


@pytest.mark.parametrize(
    "encoding", ["br", "zstd", "compress", "gzip;q=1", "\0", "x" * 9999, "gzip,gzip,gzip", "aws-chunked"]
)
def test_other_codings_are_named(encoding: str) -> None:
    with pytest.raises(UnknownEncoding) as caught:
        decoded(TEXT, encoding, LIMIT)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", TEXT),
        ("gzip", gzipped(TEXT)[:-1]),
        ("gzip", gzipped(TEXT)[:11]),
        ("gzip", gzipped(TEXT) + b"rubbish"),
        ("gzip", gzipped(TEXT)[:-8] + b"\1\2\3\4" + gzipped(TEXT)[-4:]),
        ("gzip", zlib.compress(TEXT)),
        ("deflate", TEXT),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", raw_deflate(TEXT)[:-3]),
        ("deflate", zlib.compress(TEXT) + b"rubbish"),
        ("deflate", gzipped(TEXT)),
        ("gzip, gzip", gzipped(TEXT)),
    ],
)
def test_what_is_not_what_it_says_is_broken(encoding: str, body: bytes) -> None:
    with pytest.raises(Broken):
        decoded(body, encoding, LIMIT)


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("", b"x" * (LIMIT + 1)),
        ("gzip", gzipped(bytes(100 * LIMIT))),
        ("deflate", zlib.compress(bytes(100 * LIMIT))),
        ("deflate", raw_deflate(bytes(100 * LIMIT))),
        ("gzip, gzip", gzipped(gzipped(bytes(1000 * LIMIT)))),
        ("gzip", gzipped(bytes(LIMIT // 2)) * 3),
    ],
    ids=["plain", "gzip", "zlib", "raw", "twice", "members"],
)
def test_a_bomb_is_never_inflated(encoding: str, bomb: bytes) -> None:
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(TooLarge):
        decoded(bomb, encoding, LIMIT)
    took, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT
    assert took < 1


def test_exactly_the_limit_is_taken() -> None:
    body = bytes(LIMIT)
    for encoding, coded in (("", body), ("gzip", gzipped(body)), ("deflate", raw_deflate(body))):
        assert decoded(coded, encoding, LIMIT) == body


def test_thousands_of_empty_members_cost_nothing() -> None:
    started = time.perf_counter()
    with pytest.raises(Broken):
        decoded(gzipped(b"") * 50_000, "gzip", LIMIT)
    assert time.perf_counter() - started < 0.5


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
def test_any_bytes_are_read_or_refused(body: bytes, encoding: str) -> None:
    with contextlib.suppress(Broken):
        assert isinstance(decoded(body, encoding, LIMIT), bytes)


@given(st.binary(max_size=3000))
def test_whatever_was_packed_comes_out(body: bytes) -> None:
    assert decoded(gzipped(body), "gzip", LIMIT) == body
    assert decoded(zlib.compress(body), "deflate", LIMIT) == body
    assert decoded(raw_deflate(body), "deflate", LIMIT) == body
