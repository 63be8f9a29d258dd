"""Programs that share a quota, and a server that counts, in virtual time.

The parts of the rate limiter that judge are the real ones; its table is a list here, and its statements on the caution
have their rules in `CautionModel`, which tests/ratelimit/test_limiter.py compares with the database.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random

from collector.ratelimit import caution
from collector.ratelimit.permits import RESERVATION_TTL
from collector.ratelimit.rtt import MinRttEstimator
from collector.ratelimit.window import COOLDOWN, WINDOW, free_after

Trip = Callable[[Random], tuple[float, float]]
"""Draws the seconds from sending to the count, and from there to the answer."""
REPORTED_TRIALS = 2
_PAUSE = COOLDOWN.total_seconds()


@dataclass
class CautionModel:
    """The caution of a key and api-id, and how it changes."""

    value: float = caution.INITIAL
    trials: int = 0
    refused_at: float | None = None
    paused_until: float = float("-inf")

    def count_trials(self, trials: int, now: float) -> None:
        is_calm = self.refused_at is None or self.refused_at <= now - caution.CALM_AFTER.total_seconds()
        self.trials += trials
        at_first = caution.TRIALS_OF_FULL if self.value >= caution.INITIAL else caution.TRIALS_AT_FIRST
        if self.trials >= (at_first if is_calm else caution.TRIALS):
            step = caution.STEP_AT_FIRST if is_calm else caution.STEP
            self.value, self.trials = max(self.value / step, caution.LEAST), 0

    def refuse(self, now: float) -> None:
        if self.paused_until <= now:
            is_soon = self.refused_at is not None and self.refused_at > now - caution.SOON.total_seconds()
            grown = self.value * (caution.GROWTH_SOON if is_soon else caution.GROWTH)
            self.value, self.refused_at = min(max(grown, caution.LEAST_REFUSED), caution.MOST), now
        self.paused_until, self.trials = now + _PAUSE, 0


@dataclass
class Program:
    rtt: MinRttEstimator = field(default_factory=MinRttEstimator)
    trials: int = 0


@dataclass
class Figures:
    """The moments at which the server admitted requests, and those of refusals."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def used(self, quota: int, since: float) -> float:
        """The share of the quota that was used from a moment on."""
        later = [at for at in self.admitted if at >= since]
        return (len(later) - 1) / (quota * (later[-1] - later[0]))

    def refused_share(self, since: float = 0.0) -> float:
        refused = sum(at >= since for at in self.refused)
        return refused / max(1, refused + sum(at >= since for at in self.admitted))


class QuotaModel:
    """Runs programs with `in_flight` walks each against a strict sliding window of `quota` requests a second.

    `trip` may be changed between two calls of `run`. A share `crashing` of the requests loses its program: its permit
    comes free by its expiry, and no one learns from the answer.
    """

    def __init__(
        self, trip: Trip, *, programs: int = 1, quota: int = 5, in_flight: int = 4, crashing: float = 0.0
    ) -> None:
        self.trip, self.quota, self.crashing = trip, quota, crashing
        self.caution = CautionModel()
        self.figures = Figures()
        self.now = 0.0
        self._random = Random(7)
        self._shared: float | None = None
        self._waiting = [Program() for _ in range(programs)] * in_flight
        self._permits = [0.0] * quota
        self._counted: list[float] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = count()

    def run(self, seconds: float) -> Figures:
        end = self.now + seconds
        self._dispatch()
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heappop(self._events)
            event()
        self.now = end
        return self.figures

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        heappush(self._events, (moment, next(self._ticket), event))

    def _dispatch(self) -> None:
        """Reserve a free permit for each waiting request, or for as many as there are permits."""
        self._permits.sort()
        while self._waiting and self._permits:
            program, start = (
                self._waiting.pop(0),
                max(self._permits.pop(0), self.caution.paused_until, self.now),
            )
            self._at(start, partial(self._send, program))

    def _send(self, program: Program) -> None:
        if self.caution.paused_until > self.now:  # a pause that began after the reservation
            self._at(self.caution.paused_until, lambda: self._send(program))
            return
        there, back = self.trip(self._random)
        sent = self.now
        is_lost = self._random.random() < self.crashing

        def arrive() -> None:
            window = WINDOW.total_seconds()
            self._counted = [at for at in self._counted if at > self.now - window]
            is_admitted = len(self._counted) < self.quota
            (self._counted if is_admitted else self.figures.refused).append(self.now)
            if is_admitted:
                self.figures.admitted.append(self.now)
            if not is_lost:
                self._at(self.now + back, lambda: self._answer(program, sent, is_admitted))

        if is_lost:
            self._at(sent + RESERVATION_TTL.total_seconds(), lambda: self._release(Program(), self.now))
        self._at(sent + there, arrive)

    def _answer(self, program: Program, sent: float, is_admitted: bool) -> None:
        round_trip = self.now - sent
        program.rtt.prior = self._shared
        if is_admitted:
            program.rtt.add_sample(round_trip)
        else:
            self.caution.refuse(self.now)
        shortest = program.rtt.lower_bound(self.caution.value)
        certain = caution.time_after_count(round_trip, shortest, self.caution.value)
        if estimate := program.rtt.shareable_estimate():
            self._shared = min(estimate, (self._shared or estimate) * 1.05)
        program.trials += is_admitted and caution.is_trial(round_trip, shortest, self.caution.value)
        if program.trials >= REPORTED_TRIALS:
            self.caution.count_trials(program.trials, self.now)
            program.trials = 0
        self._release(program, self.now + free_after(0, certain).total_seconds())

    def _release(self, program: Program, free_at: float) -> None:
        self._permits.append(free_at)
        self._waiting.append(program)
        self._dispatch()


def most_in_a_second(seen: Sequence[float]) -> int:
    """The fullest half-open window of one second; a microsecond is the clock's grain."""
    return max(sum(start <= at < start + 1 - 1e-5 for at in seen) for start in seen)
