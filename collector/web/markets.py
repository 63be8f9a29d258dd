"""What the market does: sectors as a map, a sector with its members, a listing on both exchanges."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from collector.model import KST, Exchange, Market, Sector, Target
from collector.web.chart import Point, chart
from collector.web.desk import Desk
from collector.web.questions import Breadth, Member, Quote
from collector.web.tables import Table, table
from collector.web.treemap import Tile, tiles
from collector.web.views import NotFound, View, members_table
from collector.web.wanted import span

_INDUSTRIES = ("industry", "sector-index")
_LEAST = 0.012
"""The part of a map that even the smallest tile has, so that it can be read and hit."""
_SHOWN = 200
_ORDERS = ("up", "down", "turnover", "code")


class Weighed(NamedTuple):
    """A sector and how it stands."""

    target: Target
    sector: Sector | None
    breadth: Breadth


@dataclass(frozen=True)
class Map:
    """One market on one exchange: its industries as tiles, wide and tall, and the rest beside them."""

    market: str
    exchange: str
    slot: datetime | None
    items: Sequence[Weighed]
    wide: Sequence[Tile]
    tall: Sequence[Tile]
    rest: Sequence[Weighed]


async def weighed(desk: Desk) -> list[Weighed]:
    """Every sector's newest complete walk; those without members are left out."""
    targets = await desk.targets()
    slots = await desk.questions.whole(targets)
    found = await desk.breadths.newest(desk.questions, slots)
    sectors = await desk.sectors()
    return [
        Weighed(targets[number], sectors.get(targets[number].sector), breadth)
        for number, breadth in found.items()
        if breadth.members
    ]


async def choices(desk: Desk) -> dict[tuple[str, str], list[Weighed]]:
    """The sectors by market and exchange, in the order in which markets and exchanges are named."""
    found = await desk.recent("weighed", 2.0, lambda: weighed(desk))
    pairs = [(str(market), str(exchange)) for market in Market for exchange in Exchange]
    groups = {
        pair: [one for one in found if (one.target.market, one.target.exchange) == pair] for pair in pairs
    }
    return {pair: group for pair, group in groups.items() if group}


def drawn(pair: tuple[str, str], group: Iterable[Weighed]) -> Map:
    """A map of these sectors; where none is an industry, all of them are on it."""
    group = sorted(group, key=lambda one: -one.breadth.turnover)
    items = [one for one in group if one.sector and one.sector.kind in _INDUSTRIES] or group
    rest = [one for one in group if one not in items]
    least = _LEAST * sum(one.breadth.turnover for one in items) or 1.0
    weights = [max(one.breadth.turnover, least) for one in items]
    newest = max((one.breadth.slot for one in items), default=None)
    return Map(*pair, newest, items, tiles(weights, 1000, 520), tiles(weights, 400, 620), rest)


async def heat(desk: Desk, market: str, exchange: str) -> Map | None:
    """The map that is asked for, or the first that there is; None if nothing is stored."""
    found = await choices(desk)
    if not found:
        return None
    pair = (market, exchange) if (market, exchange) in found else next(iter(found))
    return drawn(pair, found[pair])


async def heat_view(desk: Desk, market: str, exchange: str) -> View:
    """A map on a page of its own."""
    found = await choices(desk)
    if (market, exchange) not in found:
        raise NotFound
    shown = drawn((market, exchange), found[market, exchange])
    return View("heat.html", {"map": shown, "choices": list(found)}, _heat_table([*shown.items, *shown.rest]))


def _heat_table(items: Iterable[Weighed]) -> Table:
    rows = [(*one.target, *_names(one.sector), one.breadth.slot, *one.breadth[2:]) for one in items]
    columns = "market sector exchange name_ko name_en slot members traded up down mean_percent turnover"
    return table(columns, rows)


def _names(sector: Sector | None) -> tuple[str, str]:
    return (sector.name_ko, sector.name_en) if sector else ("", "")


async def sector_view(desk: Desk, target: Target, day: date | None, order: str) -> View:
    """A sector's members as its newest complete walk (of the day) showed them, and the day's course."""
    number = await desk.number(target)
    slots = await _slots(desk, number, day)
    if number is None or not slots:
        raise NotFound
    members = await desk.members(slots[-1], number)
    course = await desk.breadths.course(desk.questions, number, slots)
    order = order if order in _ORDERS else "up"
    values = {
        "target": target,
        "sector": (await desk.sectors()).get(target.sector),
        "slot": slots[-1],
        "day": slots[-1].astimezone(KST).date(),
        "breadth": course[-1],
        "course": course,
        "chart": chart([("mean", [Point(one.slot, one.mean) for one in course])], least=0.4, digits=2),
        "members": _sorted(members, order)[:_SHOWN],
        "count": len(members),
        "orders": _ORDERS,
        "order": order,
    }
    return View("sector.html", values, members_table(members))


async def course_view(desk: Desk, target: Target, day: date | None) -> View:
    """A sector's course for programs."""
    number = await desk.number(target)
    slots = await _slots(desk, number, day)
    if number is None or not slots:
        raise NotFound
    course = await desk.breadths.course(desk.questions, number, slots)
    rows = [(one.slot, *one[2:]) for one in course]
    return View("", {}, table("slot members traded up down mean_percent turnover", rows))


async def _slots(desk: Desk, number: int | None, day: date | None) -> list[datetime]:
    """The slots of a target's complete walks on a day, or on the newest that has one."""
    if number is None:
        return []
    if day is None:
        newest = (await desk.questions.whole([number])).get(number)
        if newest is None:
            return []
        day = newest.astimezone(KST).date()
    start, end = span(day)
    return await desk.questions.whole_slots(number, start, end)


def _sorted(members: Sequence[Member], order: str) -> list[Member]:
    if order == "turnover":
        return sorted(members, key=lambda one: -(one.price or 0) * one.volume)
    if order == "code":
        return sorted(members, key=lambda one: one.symbol)
    sign = -1 if order == "up" else 1
    return sorted(
        members, key=lambda one: (one.volume == 0, sign * float(str(one.change_percent)), one.symbol)
    )


async def listing_view(desk: Desk, symbol: str, day: date | None) -> View:
    """A listing's day on each exchange, one beside the other."""
    names, seen = await desk.questions.names(symbol)
    if not names or seen is None:
        raise NotFound
    day = day or seen.astimezone(KST).date()
    start, end = span(day)
    ids = [name.id for name in names]
    quotes = await desk.questions.course(symbol, day)
    by_exchange = _by_exchange(quotes)
    values = {
        "symbol": symbol,
        "names": names,
        "day": day,
        "exchanges": list(by_exchange),
        "newest": {exchange: course[-1] for exchange, course in by_exchange.items()},
        "chart": chart(
            [(name, _prices(course)) for name, course in by_exchange.items()],
            least=max((quote.price or 0 for quote in quotes), default=0) / 100 + 1,
        ),
        "beside": _beside(by_exchange),
        "sectors": await desk.sectors(),
        "stands_in": await desk.questions.stands_in(ids, start, end),
    }
    columns = "slot exchange price change change_percent volume bid ask"
    return View("listing.html", values, table(columns, quotes))


def _by_exchange(quotes: Iterable[Quote]) -> dict[str, list[Quote]]:
    found: dict[str, list[Quote]] = {str(exchange): [] for exchange in Exchange}
    for quote in quotes:
        found[quote.exchange].append(quote)
    return {exchange: course for exchange, course in found.items() if course}


def _prices(course: Iterable[Quote]) -> list[Point]:
    return [Point(quote.slot, quote.price) for quote in course]


def _beside(by_exchange: Mapping[str, Sequence[Quote]]) -> list[tuple[datetime, list[Quote | None]]]:
    """A line a slot with a place for each exchange, the newest first."""
    found = {exchange: {quote.slot: quote for quote in course} for exchange, course in by_exchange.items()}
    slots = sorted({slot for course in found.values() for slot in course}, reverse=True)
    return [(slot, [course.get(slot) for course in found.values()]) for slot in slots]
