"""The imitated API: from a request to its answer, in the order in which the real one refuses."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random

from collector.model import KST, Exchange, Sector
from collector.simulator import calls, endpoints, protocol
from collector.simulator.arrivals import Arrival, Book
from collector.simulator.calls import Call
from collector.simulator.clock import Clock
from collector.simulator.http import Answer, Request
from collector.simulator.market import Market
from collector.simulator.options import Options
from collector.simulator.protocol import Place
from collector.simulator.quota import Bucket, Window
from collector.simulator.reply import Reply, answer, refused
from collector.simulator.tokens import Token, Tokens, digest


class Api:
    """Kiwoom's server as the options want it: tokens, quotas, calls."""

    def __init__(self, options: Options, market: Market, clock: Clock, sectors: Mapping[str, Sector]) -> None:
        self.options = options
        self.market = market
        self.clock = clock
        self.sectors = sectors
        self.book = Book(options.log_size)
        self.tokens = Tokens(options.keys, options.token_life, options.token_rule, options.seed)
        self.windows: dict[tuple[str, str], Window] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._walks = 0
        self._random = Random(options.seed)  # noqa: S311 - jitter, not a secret

    async def __call__(self, request: Request) -> Answer:
        await self._travel()
        arrived = time.monotonic()
        call = calls.read(request, self._walks + 1, bound_to_token=self.options.keys_die_with_token)
        token = self.tokens.holder(call.token, datetime.now(KST))
        arrival = self._enter(call, token, arrived)
        reply = self._refusal(call, token, arrived) or self._reply(call, token)
        reply.api_id = reply.api_id or call.api_id
        arrival.rows = reply.count
        result = answer(reply)
        self.book.answer(arrival, reply.outcome, len(result.body))
        await self._travel()
        return result

    async def _travel(self) -> None:
        """Half of the way between client and server."""
        latency = self.options.latency / timedelta(seconds=1)
        jitter = self.options.jitter / timedelta(seconds=1)
        if latency or jitter:
            await asyncio.sleep((latency + jitter * self._random.random()) / 2)

    def _enter(self, call: Call, token: Token | None, arrived: float) -> Arrival:
        app_key = token.app_key if token is not None else call.fields.get("appkey", "")
        arrival = self.book.arrive(at=arrived, key=digest(app_key) if app_key else "", api_id=call.api_id)
        arrival.market, arrival.sector = call.fields.get("mrkt_tp", ""), call.sector
        arrival.exchange, arrival.symbol, arrival.page = call.exchange or "", call.symbol, call.page
        if call.place is not None:
            arrival.walk = call.place.walk
            self._walks = max(self._walks, call.place.walk)
        return arrival

    def _refusal(self, call: Call, token: Token | None, arrived: float) -> Reply | None:
        """Why the call is not answered, None if it is."""
        if calls.PATHS.get(call.api_id) != call.path:
            return refused(call.api_id, protocol.wrong_api(call.api_id, call.path), "wrong_api")
        if call.is_data and token is None:
            return refused(call.api_id, protocol.TOKEN_DEAD, "token_dead")
        if token is not None and call.is_data and (late := self._throttle(call, token, arrived)) is not None:
            return late
        if (field := calls.missing_field(call)) is not None:
            return refused(call.api_id, protocol.missing(field), "missing")
        if call.place is None:
            return refused(call.api_id, protocol.malformed("next-key"), "malformed")
        if self.options.mock and not self._is_served_by_mock(call):
            return refused(call.api_id, protocol.malformed("stex_tp"), "malformed")
        return None

    def _is_served_by_mock(self, call: Call) -> bool:
        allowed = {Exchange.KRX, Exchange.CONSOLIDATED} if self.options.mock_consolidated else {Exchange.KRX}
        return call.exchange is None or call.exchange in allowed

    def _throttle(self, call: Call, token: Token, arrived: float) -> Reply | None:
        """Refuse what comes too soon; every arrival is counted whatever the rule."""
        limit, status = self.options.requests_per_second, self.options.throttle_status
        own, total = self._window(token.app_key, call.api_id), self._window(token.app_key, "")
        if not self._admits(own, token.app_key, call.api_id, arrived):
            return refused(call.api_id, protocol.throttled(call.api_id, limit, status), "throttled")
        if not total.admits(arrived):
            return refused(
                call.api_id, protocol.throttled_in_total(total.limit, status), "throttled_in_total"
            )
        return None

    def _window(self, app_key: str, api_id: str) -> Window:
        found = self.windows.get((app_key, api_id))
        if found is None:
            strict = 0 if self.options.burst is not None else self.options.requests_per_second
            limit = strict if api_id else self.options.total
            found = self.windows[app_key, api_id] = Window(limit, self.options.count_refused)
        return found

    def _admits(self, window: Window, app_key: str, api_id: str, arrived: float) -> bool:
        if self.options.burst is None or not self.options.requests_per_second:
            return window.admits(arrived)
        window.admits(arrived)
        rate, size = self.options.requests_per_second, self.options.burst
        return self._buckets.setdefault((app_key, api_id), Bucket(rate, size)).admits(arrived)

    def _reply(self, call: Call, token: Token | None) -> Reply:
        assert call.place is not None
        if call.api_id == "au10001":
            return self._issue(call)
        if call.api_id == "au10002":
            self.tokens.revoke(call.fields["token"])
            return Reply(call.api_id)
        if call.api_id == "ka10101":
            return endpoints.sector_list(call, self.sectors)
        return endpoints.sector_page(
            call, call.place, self.market, self.now(), lambda place: self._key(call, place)
        )

    def _key(self, call: Call, place: Place) -> str:
        return protocol.next_key(place, calls.asked(call, self.options.keys_die_with_token))

    def now(self) -> datetime:
        """The instant that the market shows."""
        return self.clock.now()

    def _issue(self, call: Call) -> Reply:
        app_key, secret = call.fields["appkey"], call.fields["secretkey"]
        if app_key.lower().startswith("real" if self.options.mock else "mock"):
            return refused(call.api_id, protocol.WRONG_HOST, "wrong_host")
        if not self.tokens.knows(app_key, secret):
            flood = self.tokens.is_flooding(app_key, time.monotonic())
            refusal = protocol.FLOOD_OF_WRONG_KEYS if flood else protocol.WRONG_KEYS
            return refused(call.api_id, refusal, "wrong_keys")
        token = self.tokens.issue(app_key, datetime.now(KST))
        fields = {"expires_dt": f"{token.expires:%Y%m%d%H%M%S}", "token_type": "bearer", "token": token.text}
        return Reply(call.api_id, fields=dict(fields))
