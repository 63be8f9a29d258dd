"""The rows of snapshots out of the narrow tables: names and times are put beside them here, not by the server.

The view `snapshot` gives the same rows and takes three times as long: it sends every name and time again for each row.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.archive import columns
from collector.archive.columns import Names, Walks
from collector.archive.day_walks import read_walk_row
from collector.db import reading

_EPOCH = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts, in microseconds since 1970."""


def fetch_snapshots(
    ask: Callable[..., Any],
    start: datetime,
    end: datetime,
    *,
    market: str | None,
    sector: str | None,
    exchange: str | None,
    symbol: str | None,
) -> list[Any]:
    """The rows from one instant to before another, with the columns of a file, a table an exchange."""
    targets = ask(reading.TARGETS, market, sector, exchange).to_pylist()
    listings = ask(reading.LISTINGS, symbol)
    tables = []
    for name in sorted({target["exchange"] for target in targets}):
        mine = [target for target in targets if target["exchange"] == name]
        narrow = _fetch_rows(ask, start, end, mine, listings if symbol is not None else None)
        if narrow.num_rows:
            walks = ask(
                reading.WALKS_WITH_PAGES, start, end, _join(target["id"] for target in mine)
            ).to_pylist()
            tables.append(_widen(narrow, name, mine, listings, walks))
    return tables


def _fetch_rows(
    ask: Callable[..., Any], start: datetime, end: datetime, targets: Sequence[Any], listings: Any
) -> Any:
    numbers = _join(target["id"] for target in targets)
    if listings is None:
        return ask(reading.ROWS, start, end, numbers)
    return ask(reading.ROWS_OF_LISTINGS, start, end, numbers, _join(listings["id"].to_pylist()))


def _join(numbers: Any) -> str:
    """Numbers as one text: the driver binds no arrays."""
    return ",".join(str(value) for value in numbers)


def _widen(narrow: Any, exchange: str, targets: Sequence[Any], listings: Any, lines: Sequence[Any]) -> Any:
    """The columns of a file, in the order of slot, target and position."""
    indices = {target["id"]: index for index, target in enumerate(targets)}
    walks = Walks([read_walk_row(line, indices[line["target"]]) for line in lines])
    names = Names(
        [(target["market"], target["sector"]) for target in targets],
        list(zip(listings["symbol"].to_pylist(), listings["name"].to_pylist(), strict=True)),
    )
    rows = _number_by_place(narrow, list(indices), listings["id"])
    rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in ("slot", "target", "position")]))
    return columns.readable(rows, names, exchange, walks, walks.numbers(rows))


def _number_by_place(narrow: Any, target_ids: Sequence[int], listing_ids: Any) -> Any:
    replaced = {
        "slot": pc.subtract(narrow["slot"].cast(pa.int64()), _EPOCH),
        "target": pc.index_in(
            narrow["target"].cast(pa.int32()), value_set=pa.array(target_ids, pa.int32())
        ).cast(pa.int16()),
        "listing": pc.index_in(narrow["listing"], value_set=listing_ids.combine_chunks()),
    }
    return pa.table({name: replaced.get(name, narrow[name]) for name in narrow.column_names})
