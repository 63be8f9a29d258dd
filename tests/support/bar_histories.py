"""Histories made up for tests: trading days of autumn 2026, bars for them, and an API that serves them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

from collector.base import resources
from collector.errors import Rejected
from collector.kiwoom.client import RequestCounter
from collector.market import calendar
from collector.market.calendar import Calendar
from collector.market.visibility import trading_days
from collector.model import KST, Bar, BarPage, BarReading

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=KST)
"""A Sunday: Friday the 20th is the newest day that is over."""
NEWEST = date(2026, 11, 20)


def shipped_calendar() -> Calendar:
    file = resources.path("config", "calendar.yaml")
    return calendar.load(file.read_bytes(), str(file))


CALENDAR = shipped_calendar()
DAYS = trading_days(CALENDAR, date(2026, 10, 1), NEWEST)
"""Trading days, oldest first; the 5th and the 9th of October are none."""


def closes(days: Sequence[date], *, start: int = 10_000, step: int = 30) -> dict[date, int]:
    """A close for each day, every one another price."""
    return {day: start + step * (number % 7) + number for number, day in enumerate(days)}


def history(symbol: str, prices: Mapping[date, int], *, base: int | None = None) -> list[Bar]:
    """Bars for these closes, newest first, each counted from the close before; `base` is the first one's."""
    days = sorted(prices)
    before = {later: prices[earlier] for earlier, later in pairwise(days)}
    return [
        Bar(
            symbol,
            day,
            open=prices[day],
            high=prices[day] + 50,
            low=prices[day] - 50,
            close=prices[day],
            volume=day.toordinal(),
            change=prices[day] - before.get(day, base or prices[day]),
        )
        for day in reversed(days)
    ]


def reading(bars: Sequence[Bar], *, oldest: date, newest: date = NEWEST, **changes: object) -> BarReading:
    """A walk that found these bars on one last page."""
    page = BarPage(bars, None)
    facts = {"pages": [page], "requested_at": NOW, "received_at": NOW, "attempts": 1, **changes}
    return BarReading("000010", newest, oldest, **facts)  # type: ignore[arg-type]


class Histories:
    """Serves histories by symbol as ka10081 does, from another thread's point of view: it knows only pages.

    Adjusted prices are halved before `split`. A symbol that it does not know is refused.
    """

    def __init__(
        self, known: Mapping[str, Sequence[Bar]], *, page: int = 600, split: date | None = None
    ) -> None:
        self.known = dict(known)
        self.requests = 0
        self.asked: list[tuple[str, date, str | None]] = []
        self._page = page
        self.split = split

    async def bars(
        self,
        symbol: str,
        newest: date,
        *,
        adjusted: bool,
        page_key: str | None = None,
        counter: RequestCounter,
    ) -> tuple[BarPage, datetime]:
        self.requests += 1
        counter.sent += 1
        self.asked.append((symbol, newest, page_key))
        if symbol not in self.known:
            raise Rejected("Kiwoom says: [1902:종목 정보가 없습니다]", code=1902)
        found = [bar for bar in self.known[symbol] if bar.trading_date <= newest]
        if adjusted and self.split and self.split <= newest:
            found = [self._halved(bar) if bar.trading_date < self.split else bar for bar in found]
        start = int(page_key or 0)
        following = start + self._page
        return (
            BarPage(found[start:following], str(following) if following < len(found) else None),
            datetime.now(UTC),
        )

    def _halved(self, bar: Bar) -> Bar:
        opened, high, low, close = ((won or 0) // 2 for won in bar[2:6])
        return Bar(bar.symbol, bar.trading_date, opened, high, low, close, bar.volume * 2, bar.change // 2)
