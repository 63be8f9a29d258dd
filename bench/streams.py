"""A walk as the bytes of COPY (binary), for each of the layouts that are compared."""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from bench.day import TARGETS, Walked
from collector.model import Quote

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NARROW = struct.Struct(">h iq iq" + 9 * "ii" + "ihih").pack
_NUMBERED = struct.Struct(">h iq iq" + 9 * "ii" + "ih").pack
_SHORT = struct.Struct(">h iq ii" + 8 * "ii" + "ihih").pack


def narrow(walk: Walked) -> bytes:
    """Slot and target in every row: 56 bytes."""
    slot = _ticks(walk.slot)
    return _framed(
        _NARROW(
            13, 8, slot, 8, r.volume, 4, walk.listings[r.symbol, r.name], 4, r.price or 0, 4, r.change,
            4, r.change_bp << 3 | r.sign, 4, r.ask or 0, 4, r.bid or 0, 4, r.open or 0, 4, r.high or 0,
            4, r.low or 0, 2, walk.target, 2, position,
        )
        for position, r in enumerate(walk.rows, 1)
    )  # fmt: skip


def numbered(walk: Walked) -> bytes:
    """The walk's number as bigint in the place of slot and target."""
    return _framed(
        _NUMBERED(
            12, 8, walk.number, 8, r.volume, 4, walk.listings[r.symbol, r.name], 4, r.price or 0, 4, r.change,
            4, r.change_bp << 3 | r.sign, 4, r.ask or 0, 4, r.bid or 0, 4, r.open or 0, 4, r.high or 0,
            4, r.low or 0, 2, position,
        )
        for position, r in enumerate(walk.rows, 1)
    )  # fmt: skip


def short(walk: Walked) -> bytes:
    """The walk's number as integer, and no rate: 48 bytes a row."""
    return _framed(
        _SHORT(
            12, 8, r.volume, 4, walk.number, 4, walk.listings[r.symbol, r.name], 4, r.price or 0, 4, r.change,
            4, r.ask or 0, 4, r.bid or 0, 4, r.open or 0, 4, r.high or 0, 4, r.low or 0,
            2, position, 2, r.sign,
        )
        for position, r in enumerate(walk.rows, 1)
    )  # fmt: skip


def natural(walk: Walked) -> bytes:
    """Texts for keys, NULLs for prices that are not there."""
    path = b"".join(map(_text, TARGETS[walk.target]))
    start = struct.pack(">hiqiq", 17, 8, _ticks(walk.slot), 8, _ticks(walk.slot))
    return _framed(
        b"".join((
            start, _int8(r.volume), path, _text(r.symbol), _int4(position), _int4(r.price), _int4(r.change),
            struct.pack(">ih", 2, r.sign), _percent(r.change_bp),
            _int4(r.ask), _int4(r.bid), _int4(r.open), _int4(r.high), _int4(r.low),
        ))
        for position, r in enumerate(walk.rows, 1)
    )  # fmt: skip


def loaded(walk: Walked) -> bytes:
    """Every integer eight bytes wide, and two more columns: a load's id and a row's."""
    slot = struct.pack(">iq", 8, _ticks(walk.slot))
    start = struct.pack(">h", 20) + slot + b"".join(map(_text, TARGETS[walk.target]))
    load = _text(f"{walk.slot.timestamp():.6f}")
    return _framed(
        b"".join((
            start, _int8(position), _text(r.symbol), _text(r.name), _int8(r.price), _int8(r.change),
            struct.pack(">id", 8, r.change_bp / 100), _int8(r.sign), _int8(r.volume), _int8(r.ask),
            _int8(r.bid), _int8(r.open), _int8(r.high), _int8(r.low), slot, load,
            _text(_row_id(walk.number, position)),
        ))
        for position, r in enumerate(walk.rows, 1)
    )  # fmt: skip


def arrays(walk: Walked) -> bytes:
    """One row a walk, a column of values an array."""
    ids = [walk.listings[r.symbol, r.name] for r in walk.rows]
    rates = [r.change_bp << 3 | r.sign for r in walk.rows]
    start = struct.pack(">hiqih", 12, 8, _ticks(walk.slot), 2, walk.target)
    prices = ("ask", "bid", "open", "high", "low")
    volumes = _array("q", 20, [r.volume for r in walk.rows])
    narrow_ones = [ids, _column(walk.rows, "price"), _column(walk.rows, "change"), rates]
    narrow_ones += [_column(walk.rows, name) for name in prices]
    return _framed([start + volumes + b"".join(_array("i", 23, values) for values in narrow_ones)])


def _framed(parts: Iterable[bytes]) -> bytes:
    return HEAD + b"".join(parts) + TAIL


def _ticks(moment: datetime) -> int:
    """Microseconds since 2000, as timestamptz travels."""
    return round((moment - _EPOCH).total_seconds()) * 1_000_000


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw


def _int4(value: int | None) -> bytes:
    return TAIL * 2 if value is None else struct.pack(">ii", 4, value)


def _int8(value: int | None) -> bytes:
    return TAIL * 2 if value is None else struct.pack(">iq", 8, value)


def _percent(bp: int) -> bytes:
    """numeric with two decimals, in PostgreSQL's base of 10,000."""
    whole, rest = divmod(abs(bp), 100)
    return struct.pack(">ihhHhhh", 12, 2, 0, 0x4000 if bp < 0 else 0, 2, whole, rest * 100)


def _row_id(number: int, position: int) -> str:
    """Fourteen characters without order, as loaders draw them."""
    return f"{(number * 32_768 + position) * 0x9E3779B97F4A7C15 % (1 << 56):014x}"


def _column(walked: Sequence[Quote], name: str) -> list[int]:
    return [getattr(row, name) or 0 for row in walked]


def _array(form: str, oid: int, values: Sequence[int]) -> bytes:
    size = struct.calcsize(f">{form}")
    flat = [part for value in values for part in (size, value)]
    body = struct.pack(f">5i{len(values) * ('i' + form)}", 1, 0, oid, len(values), 1, *flat)
    return struct.pack(">i", len(body)) + body
