"""The view of a listing: a day on each exchange."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise

from collector.base.days import day_bounds
from collector.model import KST, Exchange
from collector.web.chart import Point, chart
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.queries.market import ListingQuote
from collector.web.tables import table
from collector.web.views.base import NotFound, View, day_at

DAYS = ("1", "5")
"""Trading days in a chart."""


async def listing_view(desk: ViewContext, symbol: str, day: date | None, days: str) -> View:
    """A listing's day on each exchange, side by side. The chart may have several days."""
    names, seen = await desk.queries.names(symbol)
    if not names or seen is None:
        raise NotFound("no_listing")
    day = day or seen.astimezone(KST).date()
    start, end = day_bounds(day)
    ids = [name.id for name in names]
    quotes = await desk.queries.course(symbol, day)
    repaired = await _read_repaired(desk, symbol, day, quotes)
    by_exchange = _by_exchange(quotes)
    days = days if days in DAYS else DAYS[0]
    drawn = [*await _earlier(desk, symbol, day, int(days) - 1), *quotes]
    series = [(name, _prices(course)) for name, course in _by_exchange(drawn).items()]
    series += [("reconstructed", _prices(repaired))] if repaired else []
    values = {
        "symbol": symbol,
        "names": names,
        "day": day,
        "note": await describe_day(desk, day),
        "exchanges": list(by_exchange),
        "newest": {exchange: course[-1] for exchange, course in by_exchange.items()},
        "chart": chart(
            series,
            least=max((quote.price or 0 for quote in drawn), default=0) / 100 + 1,
            reference=_previous_close(drawn),
            bars=_volumes(next(iter(_by_exchange(drawn).values()), [])),
        ),
        "previous_close": _previous_close(drawn),
        "days": days,
        "beside": _beside(by_exchange),
        "repaired": repaired,
        "sectors": await desk.sectors(),
        "stands_in": await desk.queries.stands_in(ids, start, end),
    }
    columns = "slot exchange price change change_percent volume bid ask origin"
    merged = [(quote, "observed") for quote in quotes] + [(quote, "reconstructed") for quote in repaired]
    merged.sort(key=lambda pair: (pair[0].slot, pair[0].exchange))
    return View("listing.html", values, table(columns, [(*quote, origin) for quote, origin in merged]))


async def _earlier(desk: ViewContext, symbol: str, day: date, count: int) -> list[ListingQuote]:
    """The quotes of the trading days before a day, in time order."""
    calendar = desk.configured()[1]
    quotes: list[ListingQuote] = []
    for _ in range(count):
        day = calendar.previous_trading_day(day)
        quotes = [*await desk.queries.course(symbol, day), *quotes]
    return quotes


async def _read_repaired(
    desk: ViewContext, symbol: str, day: date, observed: Iterable[ListingQuote]
) -> list[ListingQuote]:
    """Reconstructed quotes of slots without an observed one."""
    seen = {(quote.slot, quote.exchange) for quote in observed}
    return [
        quote
        for quote in await desk.queries.repaired_quotes(symbol, day)
        if (quote.slot, quote.exchange) not in seen
    ]


def _previous_close(quotes: Sequence[ListingQuote]) -> int | None:
    """The price less the change, which the API gives against the previous close."""
    return next((quote.price - quote.change for quote in quotes if quote.price), None)


def _volumes(course: Sequence[ListingQuote]) -> list[Point]:
    """The volume between two slots of one exchange."""
    return [
        Point(after.slot, max(0, after.volume - before.volume))
        for before, after in pairwise(course)
        if day_at(before.slot) == day_at(after.slot)
    ]


def _by_exchange(quotes: Iterable[ListingQuote]) -> dict[str, list[ListingQuote]]:
    quotes_by_exchange: dict[str, list[ListingQuote]] = {str(exchange): [] for exchange in Exchange}
    for quote in quotes:
        quotes_by_exchange[quote.exchange].append(quote)
    return {exchange: course for exchange, course in quotes_by_exchange.items() if course}


def _prices(course: Iterable[ListingQuote]) -> list[Point]:
    return [Point(quote.slot, quote.price) for quote in course]


def _beside(
    by_exchange: Mapping[str, Sequence[ListingQuote]],
) -> list[tuple[datetime, list[ListingQuote | None]]]:
    """One line per slot with one quote per exchange, the newest first."""
    quotes_by_slot = {
        exchange: {quote.slot: quote for quote in course} for exchange, course in by_exchange.items()
    }
    slots = sorted({slot for course in quotes_by_slot.values() for slot in course}, reverse=True)
    return [(slot, [course.get(slot) for course in quotes_by_slot.values()]) for slot in slots]
