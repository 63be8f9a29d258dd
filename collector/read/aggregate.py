"""The breadth of sectors computed from rows of archived files, as the SQL functions compute it from the database."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.read.result import round_decimals

MEASURES = (
    *("members", "traded", "advancers", "decliners", "unchanged", "limit_up", "limit_down"),
    *("mean_percent", "weighted_percent", "volume", "turnover"),
)
_COUNTS = ("traded", "advancers", "decliners", "limit_up", "limit_down")


def compute_breadth(rows: Any, keys: Sequence[str]) -> Any:
    """A row a group of `keys` with MEASURES, from rows of complete walks in the columns of a file."""
    percent = round_decimals(rows["change_percent"])
    is_traded = pc.greater(rows["volume"], 0)
    volume = rows["volume"].cast(pa.float64())
    price = pc.fill_null(rows["price"], 0).cast(pa.float64())
    facts = {
        "traded": is_traded,
        "advancers": pc.and_(is_traded, pc.greater(rows["change"], 0)),
        "decliners": pc.and_(is_traded, pc.less(rows["change"], 0)),
        "limit_up": pc.equal(rows["sign"], 1),
        "limit_down": pc.equal(rows["sign"], 4),
    }
    table = pa.table(
        {key: rows[key] for key in keys}
        | {name: pc.cast(flag, pa.int32()) for name, flag in facts.items()}
        | {
            "percent": pc.if_else(is_traded, percent, pa.scalar(None, pa.float64())),
            "weighted": pc.multiply(volume, percent),
            "volume": rows["volume"],
            "turnover": pc.multiply(volume, price),
        }
    )
    sums = [(name, "sum") for name in (*_COUNTS, "weighted", "volume", "turnover")]
    grouped = table.group_by(list(keys), use_threads=False).aggregate(
        [*sums, ("percent", "mean"), ([], "count_all")]
    )
    return _name_measures(grouped, keys).sort_by([(key, "ascending") for key in keys])


def _name_measures(grouped: Any, keys: Sequence[str]) -> Any:
    counts = {name: grouped[f"{name}_sum"].cast(pa.int32()) for name in _COUNTS}
    unchanged = pc.subtract(pc.subtract(counts["traded"], counts["advancers"]), counts["decliners"])
    volume = grouped["volume_sum"].cast(pa.int64())
    turnover = grouped["turnover_sum"]
    measures = counts | {
        "members": grouped["count_all"].cast(pa.int32()),
        "unchanged": unchanged,
        "mean_percent": pc.round(grouped["percent_mean"], 4),
        "weighted_percent": pc.round(_divide(grouped["weighted_sum"], volume), 4),
        "volume": volume,
        "turnover": pc.if_else(pc.less(turnover, 9e18), turnover, None).cast(pa.int64(), safe=False),
    }
    return pa.table({key: grouped[key] for key in keys} | {name: measures[name] for name in MEASURES})


def _divide(weighted: Any, volume: Any) -> Any:
    """NULL where nothing was traded."""
    shares = pc.if_else(pc.equal(volume, 0), pa.scalar(None, pa.int64()), volume)
    return pc.divide(weighted, shares.cast(pa.float64()))
