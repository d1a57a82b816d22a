"""Columns of a batch as PostgreSQL's binary arrays.

A batch is a handful of parameters, however many events it holds. Written here and not by psycopg's own list dumper,
which asks every single element for its type: measured, that cost more than the rest of the statement's preparation.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

_NULL = struct.pack("!i", -1)
_LENGTH = struct.Struct("!i").pack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BOOL, _TEXT, _BYTEA, _INT8, _TIMESTAMPTZ, _UUID = 16, 25, 17, 20, 1184, 2950


class Array(bytes):
    """An array ready to be sent. Each subclass is a type of PostgreSQL's."""

    oid = 0


class TextArray(Array):
    oid = 1009


class ByteaArray(Array):
    oid = 1001


class IntArray(Array):
    oid = 1016


class TimeArray(Array):
    oid = 1185


class UuidArray(Array):
    oid = 2951


class BoolArray(Array):
    oid = 1000


def texts(values: Sequence[str | None]) -> TextArray:
    return encoded([value if value is None else value.encode() for value in values])


def encoded(values: Sequence[bytes | None]) -> TextArray:
    """Return texts that are in UTF-8 already."""
    return TextArray(_array(_TEXT, values))


def binaries(values: Sequence[bytes | None]) -> ByteaArray:
    return ByteaArray(_array(_BYTEA, values))


def uuids(values: Sequence[bytes | None]) -> UuidArray:
    return UuidArray(_array(_UUID, values))


def booleans(values: Sequence[bool | None]) -> BoolArray:
    return BoolArray(_array(_BOOL, [value if value is None else b"\x01" if value else b"\x00" for value in values]))


def integers(values: Sequence[int | None]) -> IntArray:
    if None in values:
        return IntArray(_array(_INT8, [value if value is None else struct.pack("!q", value) for value in values]))
    numbers = chain.from_iterable(zip(repeat(8), values, strict=False))
    return IntArray(_header(_INT8, len(values)) + struct.pack("!" + "iq" * len(values), *numbers))


def times(values: Sequence[datetime | None]) -> TimeArray:
    return TimeArray(
        _array(
            _TIMESTAMPTZ,
            [value if value is None else struct.pack("!q", (value - _EPOCH) // _MICROSECOND) for value in values],
        )
    )


def _array(oid: int, values: Sequence[bytes | None]) -> bytes:
    pieces = [_NULL if value is None else _LENGTH(len(value)) + value for value in values]
    return _header(oid, len(values)) + b"".join(pieces)


def _header(oid: int, length: int) -> bytes:
    # One dimension, there may be nulls, the type of the elements, how many, and the number of the first.
    return struct.pack("!iiIii", 1, 1, oid, length, 1)
