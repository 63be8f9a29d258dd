"""Tables of Arrow with the columns of a question: without rows, joined, reduced to one row for each instant."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.read.aggregate import MEASURES
from collector.read.result import ZONE, Result


def concatenate(tables: Sequence[Any], empty: Any) -> Any:
    """Returns the tables as one with the columns of `empty`."""
    return pa.concat_tables([empty, *(Result(table).to_arrow().cast(empty.schema) for table in tables)])


def choose_newest_row(rows: Any) -> Any:
    """A row a slot and exchange: a listing in several sectors as the newest page showed it."""
    rows = rows.set_column(rows.schema.get_field_index("sign"), "sign", rows["sign"].cast(pa.int16()))
    order = [("slot", "ascending"), ("exchange", "ascending"), ("received_at", "ascending")]
    rows = rows.sort_by(order)
    if not rows.num_rows:
        return rows.select(_LISTING_DAY)
    numbered = rows.append_column("number", pa.array(range(rows.num_rows)))
    last = numbered.group_by(["slot", "exchange"], use_threads=False).aggregate([("number", "max")])
    newest = last["number_max"].combine_chunks()
    return rows.take(newest.take(pc.sort_indices(newest))).select(_LISTING_DAY)


_LISTING_DAY = [
    *(
        "slot",
        "exchange",
        "name",
        "price",
        "change",
        "change_percent",
        "sign",
        "volume",
        "ask",
        "bid",
        "open",
    ),
    *("high", "low", "received_at"),
]
_SLOT = pa.field("slot", pa.timestamp("us", ZONE))
_MEASURES = [
    pa.field(
        name,
        pa.float64() if "percent" in name else pa.int64() if name in ("volume", "turnover") else pa.int32(),
    )
    for name in MEASURES
]
_TEXTS = [pa.field(name, pa.string()) for name in ("market", "sector", "sector_name")]
EMPTY_BREADTH = pa.schema([_SLOT, *_MEASURES]).empty_table()
EMPTY_SECTOR_DAYS = pa.schema([pa.field("day", pa.date32()), _SLOT, *_TEXTS, *_MEASURES]).empty_table()
