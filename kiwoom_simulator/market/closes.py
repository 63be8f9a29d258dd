"""Closing prices of one listing on any day, computed from slow waves of the listing.

A close never depends on a sequence of earlier days. Limits, suspensions and splits are laid over the waves so
that every day stays within 30 % of the previous close. The bars ask for two neighbouring days together, so
the last result is cached.
"""

from enum import Enum, auto
from hashlib import blake2b
from math import exp, log
from struct import Struct
from typing import NamedTuple

from kiwoom_simulator.market import ticks
from kiwoom_simulator.market.listings import Listing
from kiwoom_simulator.market.noise import roll, unit
from kiwoom_simulator.market.sessions import Sessions

_WAVES = ((5, 0.02), (20, 0.04), (80, 0.08), (320, 0.2))
"""Length in days, and amplitude of the logarithm of the price."""
_DAILY = 0.016
"""Range of the daily noise of the logarithm."""

_BLOCK = 64
"""A block of this many days has at most one limit day or suspension, so two of them never overlap."""
_RECOVERY = 24
"""Days until the effect of a limit day has faded. With fewer days the return would need a second limit day.
"""

_EVENT, _UNTRADED, _WAVE = range(20, 23)
_PLACE = Struct("<QI")
_CHANCES = Struct("<32H")


class _Event(Enum):
    LIMIT_UP = auto()
    LIMIT_DOWN = auto()
    SUSPENSION = auto()


class _Strike(NamedTuple):
    """A limit day or suspension, with its first and last day."""

    kind: _Event
    first: int
    last: int


class TradingDay(NamedTuple):
    """A day's random numbers (32 numbers below 65,536; this module uses the first) and its close."""

    day: int
    chances: tuple[int, ...]
    close: int


class Closes:
    """The closes of one listing. Days are ordinals."""

    __slots__ = ("_block", "_last", "_phase", "_strike", "_waves", "listing", "sessions")

    def __init__(self, listing: Listing, sessions: Sessions) -> None:
        self.listing = listing
        self.sessions = sessions
        self._phase = listing.key & 511
        self._waves: list[tuple[int, float, float]] = [(-1, 0.0, 0.0)] * len(_WAVES)
        self._block = -1
        self._strike: _Strike | None = None
        self._last: TradingDay | None = None

    def on(self, day: int) -> TradingDay:
        """A day with trades."""
        last = self._last
        if last is None or last.day != day:
            chances = _CHANCES.unpack(blake2b(_PLACE.pack(self.listing.key, day), digest_size=64).digest())
            last = self._last = TradingDay(day, chances, self._close(day, chances[0]))
        return last

    def base(self, day: int) -> int:
        """The reference price of a day: the previous close, in the shares of `day`."""
        before = self.sessions.previous(day)
        close = self.on(self._last_traded(before)).close
        split = self.listing.split
        if split is None or not before < split.day <= day:
            return close
        return ticks.floor(close * split.old / split.new, fund=self.listing.is_fund)

    def trades(self, day: int) -> bool:
        if self.is_suspended(day):
            return False
        return not self.listing.is_thin or roll(self.listing.key, _UNTRADED, day) % 5 > 1

    def is_suspended(self, day: int) -> bool:
        listing = self.listing
        if listing.dormant_since is not None and day >= listing.dormant_since:
            return True
        if listing.split is not None and 0 < listing.split.day - day <= 3:
            return True
        strike = self._strike_near(day)
        return strike is not None and strike.kind is _Event.SUSPENSION and strike.first <= day <= strike.last

    def _last_traded(self, day: int) -> int:
        """The last day with trades, not later than `day`."""
        dormant = self.listing.dormant_since
        if dormant is not None and day >= dormant:
            day = self.sessions.previous(dormant)
        while not self.trades(day):
            day = self.sessions.previous(day)
        return day

    def _close(self, day: int, chance: int) -> int:
        fund = self.listing.is_fund
        strike = self._strike_near(day)
        if strike is None or strike.kind is _Event.SUSPENSION or not self.sessions.is_open(strike.first):
            return ticks.floor(self._level(day, chance), fund=fund)
        goes_up = strike.kind is _Event.LIMIT_UP
        if day == strike.first:
            return ticks.limits(self.base(day), fund=fund)[goes_up]
        passed = (day - strike.first) / _RECOVERY
        pull = log(1.3 if goes_up else 0.7) * (1 - passed) if 0 < passed < 1 else 0.0
        return ticks.floor(self._level(day, chance) * exp(pull), fund=fund)

    def _level(self, day: int, chance: int) -> float:
        """The price from the waves, in the shares of that day."""
        height = _DAILY * (chance / 65_536 - 0.5)
        for wave, (length, amplitude) in enumerate(_WAVES):
            index, offset = divmod(day + self._phase, length)
            cached = self._waves[wave]
            if cached[0] != index:
                cached = self._waves[wave] = index, *self._heights(wave, index)
            height += amplitude * 2 * (cached[1] + (cached[2] - cached[1]) * offset / length - 0.5)
        level = self.listing.price * exp(self.listing.swing * height)
        split = self.listing.split
        return level * split.new / split.old if split is not None and day < split.day else level

    def _heights(self, wave: int, index: int) -> tuple[float, float]:
        """The height of a wave at the start and at the end of its period `index`."""
        key, stream = self.listing.key, _WAVE + wave
        return unit(key, stream, index), unit(key, stream, index + 1)

    def _strike_near(self, day: int) -> _Strike | None:
        """The limit day or suspension in the block of days around `day`."""
        block = (day + self._phase) // _BLOCK
        if block != self._block:
            self._block, self._strike = block, _strike(self.listing, block, block * _BLOCK - self._phase)
        return self._strike


def _strike(listing: Listing, block: int, start: int) -> _Strike | None:
    """A limit day, or a suspension of up to six days. Quiet listings and split listings have neither."""
    if (
        listing.is_thin
        or listing.swing < 0.5
        or listing.dormant_since is not None
        or listing.split is not None
    ):
        return None
    chance = roll(listing.key, _EVENT, block)
    outcome, first = chance % 1_000, start + 24 + (chance >> 16) % 12
    if outcome < 100:
        return _Strike(_Event.LIMIT_UP, first, first)
    if outcome < 180:
        return _Strike(_Event.LIMIT_DOWN, first, first)
    if outcome < 220:
        return _Strike(_Event.SUSPENSION, first, first + (chance >> 32) % 6)
    return None
