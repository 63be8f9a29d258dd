"""The imitated API: from a request to its answer. Refusals come in the order observed on the real server."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

from collector.model import KST, Exchange, Sector
from kiwoom_simulator.faults import FaultContext, FaultSet, Stage
from kiwoom_simulator.market.market import PAGE, SimulatedMarket
from kiwoom_simulator.options import Options
from kiwoom_simulator.server import calls
from kiwoom_simulator.server.calls import Call
from kiwoom_simulator.server.clock import SimulatedClock
from kiwoom_simulator.server.endpoints import Endpoints
from kiwoom_simulator.server.http import HttpRequest, HttpResponse
from kiwoom_simulator.server.key_ages import KeyAges
from kiwoom_simulator.server.latency import Latency
from kiwoom_simulator.server.protocol import (
    FLOOD_OF_WRONG_KEYS,
    TOKEN_DEAD,
    WRONG_HOST,
    WRONG_KEYS,
    KeyOf,
    PagePosition,
    add_count,
    missing,
    next_key,
    refuse_malformed,
    wrong_api,
)
from kiwoom_simulator.server.rate_limit import RateLimit
from kiwoom_simulator.server.reply import SimulatedReply, answer, refuse
from kiwoom_simulator.server.request_log import Arrival, RequestLog
from kiwoom_simulator.server.tokens import IssuedToken, IssuedTokens, digest


class SimulatedApi:
    """Kiwoom's server according to the options. `faults` can change at run time; `book` is the request log."""

    def __init__(
        self, options: Options, market: SimulatedMarket, clock: SimulatedClock, sectors: Mapping[str, Sector]
    ) -> None:
        self.options = options
        self.market = market
        self.clock = clock
        self.book = RequestLog(options.log_size)
        self.gate = RateLimit(options)
        self.tokens = IssuedTokens(
            options.keys, options.token_life, options.token_rule, options.seed, options.tokens
        )
        self.faults = FaultSet(options.faults, options.seed)
        self._endpoints = Endpoints(market, sectors, clock)
        self._walks = 0
        self.latency = Latency(options)
        self._key_ages = KeyAges(options.key_life)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        before, after = self.latency.split_round_trip()
        await _pass_time(before)
        arrived = asyncio.get_running_loop().time()
        call = calls.read(request, self._walks + 1, bound_to_token=self.options.keys_die_with_token)
        token = self.tokens.holder(call.token, self._tokens_now())
        arrival = self._enter(call, token, arrived)
        reply, result = self._answer(call, token, arrived)
        arrival.rows = reply.count
        self.book.answer(arrival, reply.outcome, len(result.body))
        await _pass_time(after)
        return result

    def _enter(self, call: Call, token: IssuedToken | None, arrived: float) -> Arrival:
        """Enter a request into the request log."""
        app_key = token.app_key if token is not None else call.fields.get("appkey", "")
        arrival = self.book.arrive(at=arrived, key=digest(app_key) if app_key else "", api_id=call.api_id)
        arrival.market, arrival.sector, arrival.symbol = (
            call.fields.get("mrkt_tp", ""),
            call.sector,
            call.symbol,
        )
        arrival.exchange, arrival.page = call.exchange or "", call.page
        if call.position is not None:
            arrival.walk = call.position.walk
            self._walks = max(self._walks, call.position.walk)
        return arrival

    def _answer(
        self, call: Call, token: IssuedToken | None, arrived: float
    ) -> tuple[SimulatedReply, HttpResponse]:
        reply = self._refusal(call, token, arrived)
        if reply is not None:
            return reply, answer(reply)
        if not self.faults.switches or call.position is None:
            reply = self._reply(call)
            return reply, answer(reply)
        return self._apply_faults(call)

    def _refusal(self, call: Call, token: IssuedToken | None, arrived: float) -> SimulatedReply | None:
        """The refusal of a call, or None."""
        if calls.PATHS.get(call.api_id) != call.path:
            return refuse(call.api_id, wrong_api(call.api_id, call.path), "wrong_api")
        if call.is_data:
            if token is None:
                return refuse(call.api_id, TOKEN_DEAD, "token_dead")
            throttled = self.gate.refusal(token.app_key, call.api_id, arrived)
            if throttled is not None:
                return refuse(call.api_id, throttled, "throttled")
        return self._objection(call)

    def _objection(self, call: Call) -> SimulatedReply | None:
        """The refusal for an invalid field of a call, or None."""
        field = calls.missing_field(call)
        if field is not None:
            return refuse(call.api_id, missing(field), "missing")
        if call.position is None or self._key_ages.is_expired(call.key):
            return refuse(call.api_id, refuse_malformed("next-key"), "malformed")
        if self.options.mock and not self._is_served_by_mock(call):
            return refuse(call.api_id, refuse_malformed("stex_tp"), "malformed")
        return None

    def _is_served_by_mock(self, call: Call) -> bool:
        if call.exchange is Exchange.CONSOLIDATED:
            return self.options.mock_consolidated
        return call.exchange is not Exchange.NXT

    def _apply_faults(self, call: Call) -> tuple[SimulatedReply, HttpResponse]:
        """The answer under faults: at most one fault refuses, any number may alter content and delivery."""
        empty = SimulatedReply(call.api_id)
        case = FaultContext(
            call, empty, answer(empty), self.market, self.tokens, self.clock.moments(), self._key_of(call)
        )  # fmt: skip
        struck = self.faults.strike(case, Stage.REFUSE)
        if not struck:
            case.reply = self._reply(call)
        if case.reply.outcome == "ok":
            struck += self.faults.strike(case, Stage.REPLY)
        case.answer = answer(case.reply)
        struck += self.faults.strike(case, Stage.BYTES)
        if struck:
            case.reply.outcome = "+".join(struck)
        return case.reply, case.answer

    def _key_of(self, call: Call) -> KeyOf:
        asked = calls.request_fingerprint(call, self.options.keys_die_with_token)

        def key_of(position: PagePosition) -> str:
            key = next_key(position, asked)
            if self.options.counting_keys and call.exchange is not None:
                listed = len(self.market.members(call.sector, call.exchange))
                key = add_count(key, max(0, listed - (position.page - 1) * PAGE))
            self._key_ages.note(key)
            return key

        return key_of

    def _reply(self, call: Call) -> SimulatedReply:
        if call.api_id == "au10001":
            return self._issue(call)
        if call.api_id == "au10002":
            self.tokens.revoke(call.fields["token"])
            return SimulatedReply(call.api_id)
        return self._endpoints.answer(call, self._key_of(call))

    def _issue(self, call: Call) -> SimulatedReply:
        """au10001. The prefix of a key shows if it belongs to the other host."""
        app_key, secret = call.fields["appkey"], call.fields["secretkey"]
        if app_key.lower().startswith("real" if self.options.mock else "mock"):
            return refuse(call.api_id, WRONG_HOST, "wrong_host")
        if not self.tokens.knows(app_key, secret):
            is_flood = self.tokens.is_flooding(app_key, time.monotonic())
            refusal = FLOOD_OF_WRONG_KEYS if is_flood else WRONG_KEYS
            return refuse(call.api_id, refusal, "wrong_keys")
        token = self.tokens.issue(app_key, self._tokens_now())
        expires = f"{token.expires:%Y%m%d%H%M%S}"
        return SimulatedReply(
            call.api_id, fields={"expires_dt": expires, "token_type": "bearer", "token": token.text}
        )

    def _tokens_now(self) -> datetime:
        return datetime.now(KST) + self.options.tokens_ahead


async def _pass_time(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
