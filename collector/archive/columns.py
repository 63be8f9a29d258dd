"""The columns of a file, their meaning, and the conversion from the database's narrow rows.

A file has the columns of the view `snapshot` under the same names, and the status of the walk. In between,
rows have the database's columns, with targets and listings replaced by their indexes in the file. So equal
rows are equal in tables of any database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from collector.db.copy_layout import WIDTHS

Table = Any
"""A pyarrow.Table; pyarrow has no type annotations."""
Array = Any
"""A pyarrow.Array."""

ZONE = "Asia/Seoul"
SORTED_BY = ("symbol", "name", "slot", "market", "sector", "position")
"""Keeps a listing's day, the most frequent query, in one place of the file; similar neighbours compress well."""

_TIME = pa.timestamp("us", ZONE)
_PERCENT = pa.decimal128(9, 2)
_EPOCH = 946_684_800_000_000
"""2000-01-01, the epoch of PostgreSQL, in microseconds since 1970."""
_INTEGERS = {2: pa.int16(), 4: pa.int32(), 8: pa.int64()}
_PRICES = ("ask", "bid", "open", "high", "low")


class Column(NamedTuple):
    name: str
    type: Any
    unit: str
    meaning: str


COLUMNS = (
    Column("slot", _TIME, "microsecond", "the instant that the sweep stands for"),
    Column("market", pa.string(), "", "mrkt_tp: 0 KOSPI, 1 KOSDAQ, 2 KOSPI200, 4 KOSPI100, 7 KRX100"),
    Column("sector", pa.string(), "", "inds_cd, three characters"),
    Column("exchange", pa.string(), "", "stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED"),
    Column("position", pa.int16(), "", "place in the walk, from 1"),
    Column("symbol", pa.string(), "", "stk_cd without the suffix of the exchange"),
    Column("name", pa.string(), "", "stk_nm, as it was when seen"),
    Column("price", pa.int32(), "won", "cur_prc, without direction; null: no trade"),
    Column("change", pa.int32(), "won", "pred_pre, against the previous close"),
    Column("change_percent", _PERCENT, "percent", "flu_rt"),
    Column("sign", pa.int8(), "", "pred_pre_sig: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down"),
    Column("volume", pa.int64(), "shares", "now_trde_qty: traded so far that day"),
    Column("ask", pa.int32(), "won", "sel_bid; null: no quote"),
    Column("bid", pa.int32(), "won", "buy_bid; null: no quote"),
    Column("open", pa.int32(), "won", "open_pric; null: no trade"),
    Column("high", pa.int32(), "won", "high_pric; null: no trade"),
    Column("low", pa.int32(), "won", "low_pric; null: no trade"),
    Column("received_at", _TIME, "microsecond", "when the page with this row arrived"),
    Column("status", pa.string(), "", "of the walk: complete, or suspect (rows stored, not certified)"),
)
_NAMED = ("market", "sector", "symbol", "name")
TEXTS = (*_NAMED, "exchange", "status")
TIMES = ("slot", "received_at")
_NULLABLE = ("price", *_PRICES)
"""Columns with nulls: no trade, or no quote."""


def schema() -> Any:
    """Returns the schema of a file; each field has its unit and meaning."""
    return pa.schema(
        [
            pa.field(
                c.name, c.type, metadata={k: v for k, v in (("unit", c.unit), ("comment", c.meaning)) if v}
            )
            for c in COLUMNS
        ]
    )


def schema_as_read() -> Any:
    """Returns the schema of a batch read with its texts left in dictionaries."""
    dictionary = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([(c.name, dictionary if c.name in TEXTS else c.type) for c in COLUMNS])


def refuse_invalid(batch: Any) -> None:
    """Raises ValueError if a batch holds values our writer never writes.

    pyarrow decodes some damage silently: an index outside its dictionary, a text not in UTF-8, a null in a
    column without nulls. Later code would fail on such a batch anywhere, with any error.
    """
    batch.validate(full=True)
    for name in batch.schema.names:
        column = batch[name]
        if name not in _NULLABLE and column.null_count:
            raise ValueError(f"the column {name} holds a null")
        if name in TEXTS and column.dictionary.null_count:
            raise ValueError(f"the dictionary of the column {name} holds a null")


@dataclass(frozen=True)
class Names:
    """The names behind the indexes of a file: targets are (market, sector), listings (symbol, name)."""

    targets: Sequence[tuple[str, str]]
    listings: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class WalkRow:
    """A line of the ledger, as needed to describe rows. `target` is its index in the file."""

    slot: datetime
    target: int
    status: str
    rows: int
    starts: Sequence[int]
    times: Sequence[datetime]


class Walks:
    """Looks up the ledger's facts for many rows at once; covers the walks of one day and exchange."""

    def __init__(self, walks: Sequence[WalkRow]) -> None:
        slots = sorted({walk.slot for walk in walks})
        slot_index = {slot: index for index, slot in enumerate(slots)}
        self._targets = 1 + max((walk.target for walk in walks), default=0)
        self._slots = pa.array([ticks(slot) for slot in slots], pa.int64())
        size = len(slots) * self._targets
        rows, status, first = [0] * size, [""] * size, [0] * size
        pages: list[int] = []
        times: list[int] = []
        for walk in walks:
            walk_id = slot_index[walk.slot] * self._targets + walk.target
            rows[walk_id], status[walk_id], first[walk_id] = walk.rows, walk.status, len(pages)
            ends = (*walk.starts[1:], walk.rows + 1)
            for start, end, at in zip(walk.starts, ends, walk.times, strict=True):
                pages += [len(times)] * (end - start)
                times.append(ticks(at))
        self._rows, self._first = pa.array(rows, pa.int32()), pa.array(first, pa.int64())
        self._status = pa.array(status, pa.string())
        self._pages, self._times = pa.array(pages, pa.int32()), pa.array(times, pa.int64())

    def numbers(self, rows: Table) -> Array:
        """Returns each row's walk number, growing with slot and target; ValueError for a row without a walk."""
        slot = pc.index_in(rows["slot"], value_set=self._slots)
        known = pc.and_(pc.is_valid(slot), pc.less(rows["target"], self._targets))
        if not pc.all(known, min_count=0).as_py():
            raise ValueError("a row has no walk in the ledger")
        walk_ids = pc.add(pc.multiply(slot.cast(pa.int64()), self._targets), rows["target"].cast(pa.int64()))
        inside = pc.and_(
            pc.less_equal(rows["position"].cast(pa.int32()), self._rows.take(walk_ids)),
            pc.greater(rows["position"], 0),
        )
        if not pc.all(inside, min_count=0).as_py():
            raise ValueError("a walk has more rows than in the ledger")
        return walk_ids

    def receipt_times(self, rows: Table, numbers: Array) -> Array:
        page_index = pc.add(self._first.take(numbers), pc.subtract(rows["position"].cast(pa.int64()), 1))
        return self._times.take(self._pages.take(page_index))

    def status(self, numbers: Array) -> Array:
        return self._status.take(numbers)


def ticks(at: datetime) -> int:
    """Returns microseconds since 2000, as in PostgreSQL."""
    seconds = at.astimezone(UTC) - datetime(2000, 1, 1, tzinfo=UTC)
    return (seconds.days * 86_400 + seconds.seconds) * 1_000_000 + seconds.microseconds


def rows_of(columns: Mapping[str, bytearray], count: int) -> Table:
    """Returns the columns of a stream as a table, without copying them."""
    arrays = {
        name: pa.Array.from_buffers(_INTEGERS[width], count, [None, pa.py_buffer(columns[name])])
        for name, width in WIDTHS.items()
    }
    return pa.table(arrays)


def columns_of(rows: Table) -> dict[str, memoryview]:
    """Returns the bytes of each column of a table."""
    return {name: _bytes(rows[name]) for name in WIDTHS}


def _bytes(column: Array) -> memoryview:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    width = array.type.bit_width // 8
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]


def replace_column(rows: Table, name: str, values: Array) -> Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def readable(rows: Table, names: Names, exchange: str, walks: Walks, numbers: Array) -> Table:
    """Returns rows with the columns of a file; `numbers` are the numbers of their walks."""
    targets, listings = rows["target"], rows["listing"]
    market, sector = (pa.array(texts, pa.string()) for texts in zip(*names.targets, strict=True))
    symbol, name = (pa.array(texts, pa.string()) for texts in zip(*names.listings, strict=True))
    rate = rows["rate"]
    shown = {
        "slot": _time(rows["slot"]),
        "market": market.take(targets),
        "sector": sector.take(targets),
        "exchange": pa.repeat(pa.scalar(exchange), len(rows)),
        "position": rows["position"],
        "symbol": symbol.take(listings),
        "name": name.take(listings),
        "price": _or_null(rows["price"]),
        "change": rows["change"],
        "change_percent": _percent(pc.shift_right(rate, pa.scalar(3, pa.int32()))),
        "sign": pc.bit_wise_and(rate, pa.scalar(7, pa.int32())).cast(pa.int8()),
        "volume": rows["volume"],
        **{price: _or_null(rows[price]) for price in _PRICES},
        "received_at": _time(walks.receipt_times(rows, numbers)),
        "status": walks.status(numbers),
    }
    return pa.table(shown, schema=schema())


def _time(since_2000: Array) -> Array:
    return pc.add(since_2000, _EPOCH).cast(_TIME)


def _or_null(won: Array) -> Array:
    return pc.if_else(pc.equal(won, 0), pa.scalar(None, pa.int32()), won)


def _percent(hundredths: Array) -> Array:
    """Converts whole hundredths of a percent to a decimal with two places."""
    viewed = [chunk.view(pa.decimal32(9, 2)) for chunk in pa.chunked_array(hundredths).chunks]
    return pa.chunked_array(viewed, pa.decimal32(9, 2)).cast(_PERCENT)


def plain(shown: Any) -> Table:
    """Returns a batch with its texts as plain strings."""
    return pa.Table.from_batches([shown]).cast(schema())


def agrees(shown: Any, rows: Table, walks: Walks) -> bool:
    """Returns True if a batch has the receipt times and statuses of the ledger."""
    numbers = walks.numbers(rows)
    came = pc.subtract(shown["received_at"].cast(pa.int64()), _EPOCH)
    status = pc.equal(shown["status"].cast(pa.string()), walks.status(numbers))
    return bool(
        pc.all(pc.and_(pc.equal(came, walks.receipt_times(rows, numbers)), status), min_count=0).as_py()
    )


class ArchiveReader:
    """Converts a file's batches back to rows, and collects the names on the way.

    Listings get their indexes in order of appearance, since a file is sorted by listing.
    """

    def __init__(self, targets: Sequence[tuple[str, str]]) -> None:
        self.targets = targets
        self.listings: list[tuple[str, str]] = []
        self._targets = {target: index for index, target in enumerate(targets)}
        self._listings: dict[tuple[str, str], int] = {}

    def rows(self, shown: Any) -> Table:
        """Converts one record batch to rows; ValueError if it names a target missing in the file's metadata."""
        listing = _pair_texts(shown["symbol"], shown["name"], self._listing)
        target = _pair_texts(shown["market"], shown["sector"], self._target)
        hundredths = _integers(shown["change_percent"].cast(pa.decimal32(9, 2)))
        rate = pc.add(pc.shift_left(hundredths, pa.scalar(3, pa.int32())), shown["sign"].cast(pa.int32()))
        values = {
            "slot": pc.subtract(shown["slot"].cast(pa.int64()), _EPOCH),
            "target": target.cast(pa.int16()),
            "volume": shown["volume"],
            "listing": listing,
            "price": pc.fill_null(shown["price"], 0),
            "change": shown["change"],
            "rate": rate,
            **{price: pc.fill_null(shown[price], 0) for price in _PRICES},
            "position": shown["position"],
        }
        return pa.table({name: values[name] for name in WIDTHS})

    def _listing(self, pair: tuple[str, str]) -> int:
        if pair not in self._listings:
            self._listings[pair] = len(self.listings)
            self.listings.append(pair)
        return self._listings[pair]

    def _target(self, pair: tuple[str, str]) -> int:
        if pair not in self._targets:
            raise ValueError(f"a row belongs to {'/'.join(pair)}, a target missing in the file's metadata")
        return self._targets[pair]


def _integers(decimals: Array) -> Array:
    return decimals.view(pa.int32())


def _pair_texts(first: Array, second: Array, index_of: Any) -> Array:
    """Returns an index for each row's pair of dictionary texts; calls `index_of` once for each pair."""
    width = max(1, len(second.dictionary))
    left, right = (column.indices.cast(pa.int64()) for column in (first, second))
    code = pc.add(pc.multiply(left, width), right).dictionary_encode()
    lefts, rights = first.dictionary.to_pylist(), second.dictionary.to_pylist()
    places = [
        index_of((lefts[pair_code // width], rights[pair_code % width]))
        for pair_code in code.dictionary.to_pylist()
    ]
    return pa.array(places, pa.int32()).take(code.indices)
