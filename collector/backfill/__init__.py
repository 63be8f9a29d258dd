"""What a past period still lacks, and what of it the API can still give.

ka20002 knows only now. So a past moment is gone, and stays missing; the last session's final state is shown
until the next one opens, and is walked late; and the daily past comes from ka10081, marked as such.
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
