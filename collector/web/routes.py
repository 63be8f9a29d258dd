"""Answers requests: pages and their data, static files, health checks and metrics."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.web import health, metrics
from collector.web.access import PageRequest
from collector.web.addresses import ADDRESSES, SHARED, SHARED_FOR, Show
from collector.web.connection import DatabaseConnection
from collector.web.context import ViewContext
from collector.web.live import Live
from collector.web.metrics_data import MetricsData
from collector.web.pages import STATIC, page
from collector.web.server import PageResponse
from collector.web.tables import KINDS, encode
from collector.web.viewer import ViewerPreferences, reader_of
from collector.web.views.base import NotFound

HTML = "text/html; charset=utf-8"


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
        for pattern, show in ADDRESSES:
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
            if show in SHARED and not parameters.get("form"):
                key = ("page", request.path, reader.language, *sorted(request.query.items()))
                return await desk.recent(key, SHARED_FOR, draw)
            return await draw()
        except NotFound as error:
            return _not_found(reader, error.message)
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
        view, source = await show(desk, request, parameters), await desk.source()
        async with self._drawing:
            # Rendering blocks the event loop. Between two renderings other tasks get their turn.
            await asyncio.sleep(0)
            if form := parameters.get("form"):
                assert view.data is not None
                name = request.path.strip("/").replace("/", "-")
                headers = {} if form == "json" else {"Content-Disposition": f'attachment; filename="{name}"'}
                return PageResponse(encode(view.data, form), KINDS[form], headers=headers)
            values = {**view.values, "now": desk.now(), "base": request.path, "source": source}
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
            metrics.Values(
                self.source.now(),
                checks,
                answers,
                configured,
                figures,
                self.home,
                by_key,
                self.live.counts(),
                self.live.durations(),
            )
        )


def _not_found(reader: ViewerPreferences, message: str = "not_found") -> PageResponse:
    values = {"message": reader.text(message), "detail": "", "source": None}
    return PageResponse(page("message.html", reader, values), HTML, 404)


def _away(reader: ViewerPreferences, why: str | None) -> PageResponse:
    values = {"message": reader.text("database_away"), "detail": why or "", "source": None}
    return PageResponse(page("message.html", reader, values), HTML, 503)
