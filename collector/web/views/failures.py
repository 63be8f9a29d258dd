"""The log of recent failures: lines of the ledger that are not complete, the newest first."""

from datetime import date

from collector.base.days import ONE_DAY, day_bounds
from collector.model import KST
from collector.web.context import ViewContext
from collector.web.tables import table
from collector.web.views.base import AGAIN, SHOWN, View

STATUSES = ("failed", "missed", "suspect")
DAYS = 7
"""Days in the log, today included. A day of the ledger has up to 20,000 lines."""
_IN_DATA = 10_000


async def failures_view(desk: ViewContext, day: date | None, status: str, *, is_data: bool) -> View:
    """The failures of the last days, or of one day."""
    last = day or desk.now().astimezone(KST).date()
    start, _ = day_bounds(day or last - (DAYS - 1) * ONE_DAY)
    _, end = day_bounds(last)
    statuses = [status] if status in STATUSES else list(STATUSES)
    lines, counts = await desk.recent(
        ("failures", start, end, *statuses, is_data),
        2.0,
        lambda: desk.queries.failures(start, end, statuses, _IN_DATA if is_data else SHOWN),
    )
    values = {
        "day": day,
        "last": last,
        "first": start.date(),
        "status": status,
        "statuses": STATUSES,
        "counts": counts,
        "lines": lines,
        "again": AGAIN,
        "sectors": await desk.sectors(),
        "part": {name: text for name, text in (("day", str(day or "")), ("status", status)) if text},
    }
    return View(
        "failures.html", values, table("slot market sector exchange status remarks error attempts", lines)
    )
