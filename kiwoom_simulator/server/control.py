"""The simulator's own endpoints under /_sim/: request log, faults and clock.

They are no part of the imitated API and count in no quota.
"""

from collections.abc import Callable
from datetime import datetime
from json import JSONDecodeError, dumps, loads

from kiwoom_simulator.faults import specs_of
from kiwoom_simulator.server.api import SimulatedApi
from kiwoom_simulator.server.http import HttpRequest, HttpResponse
from kiwoom_simulator.server.tokens import digest

PREFIX = "/_sim/"


class Control:
    """Answers the control endpoints of one `SimulatedApi`."""

    def __init__(self, api: SimulatedApi) -> None:
        self._api = api
        self._routes: dict[tuple[str, str], Callable[[HttpRequest], HttpResponse]] = {
            ("GET", "health"): lambda _: _json({"status": "ok"}),
            ("GET", "faults"): lambda _: self._faults(),
            ("PUT", "faults"): self._put_faults,
            ("DELETE", "faults"): lambda _: self._clear_faults(),
            ("GET", "log"): self._log,
            ("GET", "stats"): lambda _: _json(self.stats()),
            ("POST", "token/expire"): lambda _: _json({"expired": self._api.tokens.expire()}),
            ("GET", "clock"): lambda _: self._clock(),
            ("POST", "clock"): self._turn_clock,
        }

    def answer(self, request: HttpRequest) -> HttpResponse:
        route = self._routes.get((request.method, request.path.removeprefix(PREFIX)))
        if route is None:
            known = [f"{method} {PREFIX}{path}" for method, path in self._routes]
            return _json({"error": "no such endpoint", "known": known}, status=404)
        try:
            return route(request)
        except (ValueError, JSONDecodeError) as error:
            return _json({"error": str(error)}, status=400)

    def stats(self) -> dict[str, object]:
        """Exact counts since the start. `peaks` are the most arrivals within one second."""
        api = self._api
        return {
            "requests": api.book.count,
            "tokens_issued": api.tokens.issued,
            "answers": api.book.answers(),
            "peaks": [
                {"key": digest(app_key), "api_id": api_id or "*", "arrivals": peak}
                for app_key, api_id, peak in api.gate.peaks()
            ],
        }

    def _faults(self) -> HttpResponse:
        on = [
            {"fault": switch.spec, "seen": switch.seen, "struck": switch.struck}
            for switch in self._api.faults.switches
        ]
        return _json({"faults": on})

    def _put_faults(self, request: HttpRequest) -> HttpResponse:
        self._api.faults.put(specs_of(loads(request.body)))
        return self._faults()

    def _clear_faults(self) -> HttpResponse:
        self._api.faults.put(())
        return self._faults()

    def _log(self, request: HttpRequest) -> HttpResponse:
        """One JSON object a line, in the order of arrival."""
        arrivals = self._api.book.since(int(request.query.get("since", "0")))
        lines = "".join(f"{dumps(arrival)}\n" for arrival in arrivals)
        return HttpResponse(200, (("Content-Type", "application/x-ndjson"),), lines.encode())

    def _clock(self) -> HttpResponse:
        clock = self._api.clock
        return _json({"now": clock.now().isoformat(), "speed": clock.speed, "closed": clock.is_closed})

    def _turn_clock(self, request: HttpRequest) -> HttpResponse:
        """`now` (ISO 8601 with offset), `speed` (0: prices stand still), `closed`; each is optional."""
        wanted = loads(request.body)
        at = datetime.fromisoformat(wanted["now"]) if "now" in wanted else None
        if at is not None and at.tzinfo is None:
            raise ValueError("now needs an offset, as in 2026-11-20T10:00:00+09:00")
        self._api.clock.turn(at=at, speed=wanted.get("speed"), is_closed=wanted.get("closed"))
        return self._clock()


def _json(content: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, (("Content-Type", "application/json"),), dumps(content).encode())
