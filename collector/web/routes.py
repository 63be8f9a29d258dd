"""The addresses of the page and their views."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.web import health, markets, metrics, views
from collector.web.access import PageRequest
from collector.web.connection import DatabaseConnection
from collector.web.context import ViewContext
from collector.web.live import Live
from collector.web.metrics_data import MetricsData
from collector.web.pages import STATIC, page
from collector.web.server import PageResponse
from collector.web.tables import KINDS, encode
from collector.web.viewer import ViewerPreferences, reader_of
from collector.web.views import NotFound, View

HTML = "text/html; charset=utf-8"
Show = Callable[[ViewContext, PageRequest, Mapping[str, str]], Awaitable[View]]


async def _overview(desk: ViewContext, request: PageRequest, _: Mapping[str, str]) -> View:
    view = await views.overview(desk)
    shown = await markets.heat(desk, request.query.get("market", ""), request.query.get("exchange", ""))
    values = {"map": shown, "choices": list(await markets.choices(desk)), "checks": await _checks(desk)}
    return replace(view, values={**view.values, **values})


async def _day(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await views.day_view(desk, views.day_of(parameters["day"]))


async def _slot(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    slot, query = views.slot_of(parameters["slot"]), request.query
    return await views.slot_view(desk, slot, query.get("market", ""), query.get("exchange", ""))


async def _walk(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await views.walk_view(desk, views.slot_of(parameters["slot"]), _target(parameters))


async def _heat(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    return await markets.heat_view(desk, parameters["market"], parameters["exchange"])


async def _sector(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    day = request.query.get("day")
    return await markets.sector_view(
        desk, _target(parameters), views.day_of(day) if day else None, request.query.get("order", "")
    )


async def _course(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    day = request.query.get("day")
    return await markets.course_view(desk, _target(parameters), views.day_of(day) if day else None)


async def _listing(desk: ViewContext, request: PageRequest, parameters: Mapping[str, str]) -> View:
    day = request.query.get("day")
    return await markets.listing_view(desk, parameters["symbol"], views.day_of(day) if day else None)


def _target(parameters: Mapping[str, str]) -> Any:
    return views.target_of(parameters["market"], parameters["sector"], parameters["exchange"])


async def _checks(desk: ViewContext) -> list[health.Check]:
    return list(health.checks((await desk.figures()).facts))


_TARGET = r"/(?P<market>[A-Z0-9]{3,9})/(?P<sector>[0-9]{3})/(?P<exchange>[A-Z]{3,12})"
_FORM = r"(\.(?P<form>csv|json))?"
_SLOT_FORM = r"/(?P<slot>[0-9]{8}T[0-9]{6})"
_ADDRESSES: list[tuple[re.Pattern[str], Show]] = [
    (re.compile(pattern), show)
    for pattern, show in (
        (r"/", _overview),
        (r"/day/(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})" + _FORM, _day),
        (r"/slot" + _SLOT_FORM + _FORM, _slot),
        (r"/walk" + _SLOT_FORM + _TARGET + _FORM, _walk),
        (r"/heat/(?P<market>[A-Z0-9]{3,9})/(?P<exchange>[A-Z]{3,12})" + _FORM, _heat),
        (r"/sector" + _TARGET + r"/course\.(?P<form>csv|json)", _course),
        (r"/sector" + _TARGET + _FORM, _sector),
        (r"/listing/(?P<symbol>[0-9A-Z]{6})" + _FORM, _listing),
    )
]

_SHARED, _SHARED_FOR = (_overview, _day, _heat), 1.0
"""Popular pages, and the seconds during which one rendering serves all requests for it."""


@dataclass(frozen=True)
class Routes:
    """All addresses. `source` has the database, or the reason for its absence."""

    source: DatabaseConnection
    live: Live
    home: Path
    _drawing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def respond(self, request: PageRequest) -> PageResponse:
        """The answer to one request."""
        match request.path:
            case "/healthz":
                return PageResponse(b"the event loop is running\n")
            case "/readyz":
                return await self._readiness(request)
            case "/metrics":
                return PageResponse(await self._metrics(), metrics.KIND)
        if request.path.startswith("/static/"):
            static_file = STATIC.get(request.path.removeprefix("/static/"))
            return PageResponse(*static_file) if static_file else _not_found(reader_of(request))
        return await self._page(request)

    async def _page(self, request: PageRequest) -> PageResponse:
        reader = reader_of(request)
        for pattern, show in _ADDRESSES:
            if match := pattern.fullmatch(request.path):
                return await self._show(request, reader, show, match.groupdict(""))
        return _not_found(reader)

    async def _show(
        self, request: PageRequest, reader: ViewerPreferences, show: Show, parameters: Mapping[str, str]
    ) -> PageResponse:
        desk = await self.source.context()
        if desk is None:
            return _away(reader, self.source.trouble)

        async def draw() -> PageResponse:
            return await self._draw(desk, request, reader, show, parameters)

        try:
            if show in _SHARED and not parameters.get("form"):
                key = ("page", request.path, reader.language, *sorted(request.query.items()))
                return await desk.recent(key, _SHARED_FOR, draw)
            return await draw()
        except NotFound:
            return _not_found(reader)
        except CollectorError as error:
            return _away(reader, str(error))

    async def _draw(
        self,
        desk: ViewContext,
        request: PageRequest,
        reader: ViewerPreferences,
        show: Show,
        parameters: Mapping[str, str],
        /,
    ) -> PageResponse:
        view = await show(desk, request, parameters)
        async with self._drawing:
            # Rendering blocks the event loop. Between two renderings other tasks get their turn.
            await asyncio.sleep(0)
            if form := parameters.get("form"):
                assert view.data is not None
                return PageResponse(encode(view.data, form), KINDS[form])
            values = {**view.values, "now": desk.now(), "base": request.path}
            return PageResponse(page(view.template, reader, values), HTML)

    async def _gather_checks(self) -> tuple[list[health.Check], MetricsData | None]:
        """The checks, and the figures if the database is available."""
        desk, now = await self.source.context(), self.source.now()
        if desk is None:
            return list(health.checks(health.HealthFacts(now, self.source.trouble))), None
        try:
            figures = await desk.figures()
        except CollectorError as error:
            return list(health.checks(health.HealthFacts(now, str(error)))), None
        return list(health.checks(figures.facts)), figures

    async def _readiness(self, request: PageRequest) -> PageResponse:
        """Readiness. The reasons name hosts, databases and schedules, so only trusted requests get them."""
        checks, _ = await self._gather_checks()
        ready = all(check.is_good for check in checks)
        body: dict[str, Any] = {"ready": ready}
        if request.is_trusted:
            body["checks"] = {check.name: check.reason for check in checks}
        text = json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"
        return PageResponse(text, "application/json", 200 if ready else 503)

    async def _metrics(self) -> bytes:
        checks, figures = await self._gather_checks()
        desk = self.source.desk
        configured = desk.configured() if desk and figures else None
        answers, by_key = self.live.answers(), self.live.by_key()
        return metrics.exposition(
            metrics.Values(self.source.now(), checks, answers, configured, figures, self.home, by_key)
        )


def _not_found(reader: ViewerPreferences) -> PageResponse:
    return PageResponse(
        page("message.html", reader, {"message": reader.text("not_found"), "detail": ""}), HTML, 404
    )


def _away(reader: ViewerPreferences, why: str | None) -> PageResponse:
    values = {"message": reader.text("database_away"), "detail": why or ""}
    return PageResponse(page("message.html", reader, values), HTML, 503)
