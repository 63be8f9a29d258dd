"""Exceeds the quota of one call on purpose, for `collector check --learn --provoke`.

The call is ka10101, which no sweep needs and which has a quota of its own. Its requests go out without a permit of the
rate limiter. A run provokes about a dozen refusals.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from collector.errors import ApiError, Throttled
from collector.kiwoom import protocol
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.learn.observations import RefusalTrial
from collector.kiwoom.learn.quota_rules import (
    Round,
    SentRequest,
    agreed_burst,
    agreed_counting,
    is_settled,
)
from collector.kiwoom.protocol import ApiRequest, ApiResponse
from collector.kiwoom.protocol.error_codes import KEY_WIDE
from collector.model import Market, Sector
from collector.secret import Secret

LONGEST = 40.0
"""Seconds after which no further round begins."""
MOST_AT_ONCE = 24
"""Requests of the largest first wave. A host that grants all of them has no quota worth the name."""
_STAGGER = 0.025
"""Seconds between the requests of a wave: more than the grain, so their order at the gate is known."""
_PROBE, _REFILL = 0.7, 1.35
"""Seconds at which a full second refuses, and at which the grants of the first wave have left it."""
_EDGES = (0.12, 0.08, 0.04)
"""Seconds before a permit is free at the earliest: here the moment of the count decides."""
_PAUSE = 1.2
"""Seconds between two rounds, beside those in which a bucket fills: no request counts any more."""

Wave = tuple[float, int]
"""Seconds after the start of a round, and the requests that are sent then."""


class _Stopwatch:
    """The hooks of one request: when it was sent, and when its answer began."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self.sent: float | None = None
        self.answered: float | None = None

    def before_send(self) -> None:
        self.sent = self._clock()

    def on_response(self, *, delayed: bool = False) -> None:
        self.answered = self._clock()


class Provoker:
    """Sends rounds of requests until the rule of the host is clear, or the time is up."""

    def __init__(self, kiwoom: KiwoomClient, token: Secret, quota: int) -> None:
        self._kiwoom, self._token = kiwoom, token
        self._clock = asyncio.get_running_loop().time
        self._counters: list[RequestCounter] = []
        self._free: asyncio.LifoQueue[RequestCounter] = asyncio.LifoQueue()
        self._first_wave = quota + 1
        self.trial = RefusalTrial(quota)

    async def run(self) -> None:
        """Provoke refusals. It ends early if a refusal concerns all calls, or a request fails otherwise."""
        ends = self._clock() + LONGEST
        try:
            while self._clock() < ends and not self.trial.ended_by:
                await self._send_round(self._plan())
                if not self._is_refused() and self._first_wave >= MOST_AT_ONCE:
                    return
                if not self._is_refused():
                    self._first_wave = min(2 * self._first_wave, MOST_AT_ONCE)
                elif is_settled(self.trial.rounds, self.trial.rules):
                    return
                burst = agreed_burst(self.trial.rules)
                await asyncio.sleep(
                    _PAUSE + (self._first_wave if burst is None else burst) / self.trial.quota
                )
        finally:
            for counter in self._counters:
                counter.release()

    def _is_refused(self) -> bool:
        return self.trial.status is not None

    def _plan(self) -> Sequence[Wave]:
        """A round on the burst and on refused requests, or, three times of four, one on the moment of the count."""
        quota, rules = self.trial.quota, self.trial.rules
        burst = agreed_burst(rules)
        if burst is None or len(self.trial.rounds) % 4 == 0:
            return ((0.0, self._first_wave), (_PROBE, 1), (_REFILL, quota))
        free = 1 / quota if burst else 1.0
        # Which request of a wave is refused tells the order of the counts, unless the refused one counts as well.
        wave = (burst or quota) + (agreed_counting(rules) is not True)
        return ((0.0, wave), *((max(_STAGGER, free - edge), 1) for edge in _EDGES))

    async def _send_round(self, waves: Sequence[Wave]) -> None:
        await self._open_connections(1 + max(count for _, count in waves))
        begun = self._clock() + _STAGGER
        requests = [
            self._send_at(begun + offset + index * _STAGGER)
            for offset, count in waves
            for index in range(count)
        ]
        sent = await asyncio.gather(*requests)
        answered: Round = [request for request in sent if request is not None]
        if len(answered) == len(sent):
            self.trial.rounds.append(answered)

    async def _open_connections(self, count: int) -> None:
        """Have this many connections that have answered once: a new one would delay its request."""
        new = [RequestCounter() for _ in range(count - len(self._counters))]
        self._counters += new
        await asyncio.gather(*(self._open_connection(counter) for counter in new))
        if new:
            await asyncio.sleep(_PAUSE)

    async def _open_connection(self, counter: RequestCounter) -> None:
        with suppress(ApiError):
            await self._kiwoom.probe(_request(), _read, self._token, counter)
        self._free.put_nowait(counter)

    async def _send_at(self, at: float) -> SentRequest | None:
        """One request at a moment; None if its answer was neither granted nor refused."""
        await asyncio.sleep(at - self._clock())
        counter = await self._free.get()
        try:
            return await self._send(counter)
        finally:
            self._free.put_nowait(counter)

    async def _send(self, counter: RequestCounter) -> SentRequest | None:
        stopwatch = _Stopwatch()
        try:
            reply = await self._kiwoom.send_without_permit(_request(), self._token, stopwatch, counter)
            is_refused = self._judge(reply)
        except ApiError as error:
            self.trial.ended_by = str(error)
            return None
        if stopwatch.sent is None or stopwatch.answered is None:
            return None
        return SentRequest(stopwatch.sent, stopwatch.answered, is_refused)

    def _judge(self, reply: ApiResponse) -> bool:
        """Whether a reply is a refusal for quota; ApiError for any other error."""
        try:
            _read(reply)
        except Throttled as error:
            self.trial.status = reply.status
            self.trial.return_code = protocol.return_code_of(reply)
            self.trial.quota = error.quota or self.trial.quota
            if error.code in KEY_WIDE:
                self.trial.ended_by = str(error)
            return True
        return False


def _request() -> ApiRequest:
    return protocol.ask_sectors(Market.KOSPI)


def _read(reply: ApiResponse) -> list[Sector]:
    return protocol.read_sectors(reply, Market.KOSPI)
