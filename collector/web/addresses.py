"""The addresses of the pages, and the view behind each."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from collector.model import Target
from collector.web import health
from collector.web.access import PageRequest
from collector.web.context import ViewContext
from collector.web.tables import HAS_PARQUET, KINDS
from collector.web.views import compare, failures, heat, listing, overview, search, sector, slot, walk
from collector.web.views.base import View, day_of, slot_of, target_of

Show = Callable[[ViewContext, PageRequest, Mapping[str, str]], Awaitable[View]]


async def _overview(desk: ViewContext, request: PageRequest, _: Mapping[str, str]) -> View:
    view = await overview.overview(desk)
    market, exchange, weight = (request.query.get(name, "") for name in ("market", "exchange", "weight"))
    shown = await heat.heat(desk, heat.MapChoice(market, exchange, weight))
    values = {"map": shown, "choices": list(await heat.choices(desk)), "checks": await _checks(desk)}
    return replace(view, values={**view.values, **values})


async def _day(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await overview.day_view(desk, _day_in(request, parameters))


async def _slot(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    chosen = [request.query.get(name, "") for name in ("market", "exchange", "status")]
    return await slot.slot_view(desk, slot_of(parameters["slot"]), *chosen)


async def _failures(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await failures.failures_view(
        desk, _day_in(request), request.query.get("status", ""), is_data=bool(parameters.get("form"))
    )


async def _search(desk: ViewContext, request: PageRequest, _: Mapping[str, str]) -> View:
    return await search.search_view(desk, request.query.get("q", ""))


async def _sectors(desk: ViewContext, request: PageRequest, _: Mapping[str, str]) -> View:
    return await search.sectors_view(desk, request.query.get("market", ""))


async def _walk(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await walk.walk_view(desk, slot_of(parameters["slot"]), _target(parameters))


async def _heat(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    query = request.query
    slot = slot_of(query["slot"]) if query.get("slot") else None
    pair = parameters["market"], parameters["exchange"]
    return await heat.heat_view(desk, heat.MapChoice(*pair, query.get("weight", ""), _day_in(request), slot))


async def _compare(desk: ViewContext, request: PageRequest, _: Mapping[str, str]) -> View:
    chosen, added, weight = (request.query.get(name, "") for name in ("targets", "add", "weight"))
    return await compare.compare_view(desk, chosen, added, _day_in(request), weight)


async def _sector(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    query = request.query
    slot = slot_of(query["slot"]) if query.get("slot") else None
    more = [query.get(name, "") for name in ("order", "weight", "days")]
    return await sector.sector_view(
        desk, _target(parameters), sector.SectorChoice(_day_in(request), slot, *more)
    )


async def _course(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await sector.course_view(desk, _target(parameters), _day_in(request))


async def _listing(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await listing.listing_view(
        desk, parameters["symbol"], _day_in(request), request.query.get("days", "")
    )


def _day_in(request: PageRequest, parameters: Mapping[str, str] = MappingProxyType({})) -> date | None:
    """The day in the path or in the query; None without one."""
    text = parameters.get("day") or request.query.get("day")
    return day_of(text) if text else None


def _target(parameters: Mapping[str, str]) -> Target:
    return target_of(parameters["market"], parameters["sector"], parameters["exchange"])


async def _checks(desk: ViewContext) -> list[health.Check]:
    return list(health.checks((await desk.figures()).facts))


_TARGET = r"/(?P<market>[A-Z0-9]{3,9})/(?P<sector>[0-9]{3})/(?P<exchange>[A-Z]{3,12})"
_FORM = rf"(\.(?P<form>{'|'.join(form for form in KINDS if form != 'parquet' or HAS_PARQUET)}))?"
_SLOT_FORM = r"/(?P<slot>[0-9]{8}T[0-9]{6})"
ADDRESSES: list[tuple[re.Pattern[str], Show]] = [
    (re.compile(pattern), show)
    for pattern, show in (
        (r"/", _overview),
        (r"/day", _day),
        (r"/compare" + _FORM, _compare),
        (r"/failures" + _FORM, _failures),
        (r"/search" + _FORM, _search),
        (r"/sectors" + _FORM, _sectors),
        (r"/day/(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})" + _FORM, _day),
        (r"/slot" + _SLOT_FORM + _FORM, _slot),
        (r"/walk" + _SLOT_FORM + _TARGET + _FORM, _walk),
        (r"/heat/(?P<market>[A-Z0-9]{3,9})/(?P<exchange>[A-Z]{3,12})" + _FORM, _heat),
        (r"/sector" + _TARGET + r"/course" + _FORM.removesuffix("?"), _course),
        (r"/sector" + _TARGET + _FORM, _sector),
        (r"/listing/(?P<symbol>[0-9A-Z]{6})" + _FORM, _listing),
    )
]

SHARED, SHARED_FOR = (_overview, _day, _heat), 1.0
"""Popular pages, and the seconds during which one rendering serves all requests for it."""
