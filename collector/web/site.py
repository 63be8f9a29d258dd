"""Which address shows what."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.web import health, markets, metrics, views
from collector.web.desk import Desk
from collector.web.figures import Figures
from collector.web.guard import Request
from collector.web.http import Answer
from collector.web.live import Live
from collector.web.pages import STATIC, page
from collector.web.reader import Reader, reader_of
from collector.web.source import Source
from collector.web.tables import KINDS, written
from collector.web.views import NotFound, View

HTML = "text/html; charset=utf-8"
Show = Callable[[Desk, Request, Mapping[str, str]], Awaitable[View]]


async def _overview(desk: Desk, request: Request, _: Mapping[str, str]) -> View:
    view = await views.overview(desk)
    shown = await markets.heat(desk, request.query.get("market", ""), request.query.get("exchange", ""))
    found = {"map": shown, "choices": list(await markets.choices(desk)), "checks": await _checks(desk)}
    return replace(view, values={**view.values, **found})


async def _day(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    return await views.day_view(desk, views.day_of(place["day"]))


async def _slot(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    slot, query = views.slot_of(place["slot"]), request.query
    return await views.slot_view(desk, slot, query.get("market", ""), query.get("exchange", ""))


async def _walk(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    return await views.walk_view(desk, views.slot_of(place["slot"]), _target(place))


async def _heat(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    return await markets.heat_view(desk, place["market"], place["exchange"])


async def _sector(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    day = request.query.get("day")
    return await markets.sector_view(
        desk, _target(place), views.day_of(day) if day else None, request.query.get("order", "")
    )


async def _course(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    day = request.query.get("day")
    return await markets.course_view(desk, _target(place), views.day_of(day) if day else None)


async def _listing(desk: Desk, request: Request, place: Mapping[str, str]) -> View:
    day = request.query.get("day")
    return await markets.listing_view(desk, place["symbol"], views.day_of(day) if day else None)


def _target(place: Mapping[str, str]) -> Any:
    return views.target_of(place["market"], place["sector"], place["exchange"])


async def _checks(desk: Desk) -> list[health.Check]:
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
"""Pages that many look at, and for how many seconds one drawing serves all who ask for the same."""


@dataclass(frozen=True)
class Site:
    """All addresses. `source` has the database, or says why there is none."""

    source: Source
    live: Live
    home: Path
    _drawing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def respond(self, request: Request) -> Answer:
        """The answer to one request."""
        match request.path:
            case "/healthz":
                return Answer(b"the loop turns\n")
            case "/readyz":
                return await self._readiness(request)
            case "/metrics":
                return Answer(await self._metrics(), metrics.KIND)
        if request.path.startswith("/static/"):
            found = STATIC.get(request.path.removeprefix("/static/"))
            return Answer(*found) if found else _lost(reader_of(request))
        return await self._page(request)

    async def _page(self, request: Request) -> Answer:
        reader = reader_of(request)
        for pattern, show in _ADDRESSES:
            if place := pattern.fullmatch(request.path):
                return await self._shown(request, reader, show, place.groupdict(""))
        return _lost(reader)

    async def _shown(self, request: Request, reader: Reader, show: Show, place: Mapping[str, str]) -> Answer:
        desk = await self.source.opened()
        if desk is None:
            return _away(reader, self.source.trouble)

        async def drawn() -> Answer:
            return await self._drawn(desk, request, reader, show, place)

        try:
            if show in _SHARED and not place.get("form"):
                key = ("page", request.path, reader.language, *sorted(request.query.items()))
                return await desk.recent(key, _SHARED_FOR, drawn)
            return await drawn()
        except NotFound:
            return _lost(reader)
        except CollectorError as error:
            return _away(reader, str(error))

    async def _drawn(
        self, desk: Desk, request: Request, reader: Reader, show: Show, place: Mapping[str, str], /
    ) -> Answer:
        view = await show(desk, request, place)
        async with self._drawing:
            # One drawing takes the loop for a while: whoever is ready goes between two.
            await asyncio.sleep(0)
            if form := place.get("form"):
                assert view.data is not None
                return Answer(written(view.data, form), KINDS[form])
            values = {**view.values, "now": desk.now(), "base": request.path}
            return Answer(page(view.template, reader, values), HTML)

    async def _gathered(self) -> tuple[list[health.Check], Figures | None]:
        """How it stands, and the figures if the database answers."""
        desk, now = await self.source.opened(), self.source.now()
        if desk is None:
            return list(health.checks(health.Facts(now, self.source.trouble))), None
        try:
            figures = await desk.figures()
        except CollectorError as error:
            return list(health.checks(health.Facts(now, str(error)))), None
        return list(health.checks(figures.facts)), figures

    async def _readiness(self, request: Request) -> Answer:
        """Whether data arrives. The reasons name hosts, databases and schedules: only the token shows them."""
        checks, _ = await self._gathered()
        ready = all(check.is_good for check in checks)
        body: dict[str, Any] = {"ready": ready}
        if request.is_trusted:
            body["checks"] = {check.name: check.reason for check in checks}
        text = json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"
        return Answer(text, "application/json", 200 if ready else 503)

    async def _metrics(self) -> bytes:
        checks, figures = await self._gathered()
        desk = self.source.desk
        wanted = await desk.wanted() if desk and figures else None
        return metrics.exposition(
            metrics.Values(
                self.source.now(), checks, self.live.answers(), wanted, figures, self.home, self.live.by_key()
            )
        )


def _lost(reader: Reader) -> Answer:
    return Answer(
        page("message.html", reader, {"message": reader.text("not_found"), "detail": ""}), HTML, 404
    )


def _away(reader: Reader, why: str | None) -> Answer:
    values = {"message": reader.text("database_away"), "detail": why or ""}
    return Answer(page("message.html", reader, values), HTML, 503)
