"""Why a day has no rows: the market was closed, the rows are in files, or the day is yet to come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from collector.market.calendar import Calendar, exchange_holidays
from collector.model import KST
from collector.web import translations
from collector.web.context import ViewContext
from collector.web.queries.ledger import ArchivedRows


@dataclass(frozen=True)
class DayNote:
    """The facts of a day. `closure` is the reason in English; None on a trading day."""

    day: date
    closure: str | None
    closure_ko: str
    """The same in Korean; a reason of a calendar of one's own stays as it is."""
    archived: Sequence[ArchivedRows]
    is_future: bool
    previous: date
    next: date | None
    """The trading days on both sides; None for a day that is yet to come."""


async def describe_day(desk: ViewContext, day: date) -> DayNote:
    """The facts of a day, from the calendar and from the ledger of archived days."""
    calendar: Calendar = desk.configured()[1]
    reason, today = calendar.closed_reason(day), desk.now().astimezone(KST).date()
    after = calendar.next_trading_day(day)
    return DayNote(
        day,
        reason,
        _in_korean(reason, day) if reason else "",
        await desk.recent(("archived", day), 5.0, lambda: desk.queries.read_archived(day)),
        day > today,
        calendar.previous_trading_day(day),
        after if after <= today else None,
    )


def _in_korean(reason: str, day: date) -> str:
    return translations.meaning(reason, "ko") or exchange_holidays(day.year, "ko").get(day) or reason
