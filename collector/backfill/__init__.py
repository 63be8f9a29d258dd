"""Fills a past period as far as the API allows.

ka20002 knows only the present, so a past moment is lost and stays missing. The final state of the last
session is shown until the next one opens, and is walked late. Daily bars of the past come from ka10081 and
are marked as such (docs/decisions/0005).
"""

from collector.backfill.estimate import Cost, Plan
from collector.backfill.gaps import LateSlot, UnrecoverableGap
from collector.backfill.period import Period, over_at, parse_period
from collector.backfill.report import Report, Unfilled
from collector.backfill.runner import BackfillRunner, Judge

__all__ = [
    "BackfillRunner",
    "Cost",
    "Judge",
    "LateSlot",
    "Period",
    "Plan",
    "Report",
    "Unfilled",
    "UnrecoverableGap",
    "over_at",
    "parse_period",
]
