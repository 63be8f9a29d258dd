"""What one listing closes at on any day: read from slow waves that belong to it, never walked from a start.

Limits, suspensions and splits are laid over the waves so that no day ever needs more than 30 % of the close before.
The closes of two neighbouring days are asked for together, so the last one worked out is kept.
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
"""Length in days and height (of the logarithm) of the waves that a price rides on."""
_DAILY = 0.016
"""What a day adds by itself, in all."""

_BLOCK = 64
"""Days of which at most one is out of the ordinary; so two such events never meet."""
_RECOVERY = 24
"""Days that a price takes to come back from a day at its limit: fewer would need another one."""

_EVENT, _UNTRADED, _WAVE = range(20, 23)
_PLACE = Struct("<QI")
_CHANCES = Struct("<32H")


class _Event(Enum):
    LIMIT_UP = auto()
    LIMIT_DOWN = auto()
    SUSPENSION = auto()


class _Strike(NamedTuple):
    """Something out of the ordinary, and its first and last day."""

    kind: _Event
    first: int
    last: int


class TradingDay(NamedTuple):
    """A day's luck (32 numbers below 65,536, of which the first is used here) and its close."""

    day: int
    chances: tuple[int, ...]
    close: int


class Closes:
    """The closes of one listing; days are ordinals."""

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
        """A day on which the listing trades."""
        last = self._last
        if last is None or last.day != day:
            chances = _CHANCES.unpack(blake2b(_PLACE.pack(self.listing.key, day), digest_size=64).digest())
            last = self._last = TradingDay(day, chances, self._close(day, chances[0]))
        return last

    def base(self, day: int) -> int:
        """The price that a day is measured against: the close before, in the shares of `day`."""
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
        """The last day up to `day` on which the listing traded."""
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
        """The price that the waves give a day, in the shares of that day."""
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
        """Where a wave stands at the beginning and at the end of its stretch `index`."""
        key, stream = self.listing.key, _WAVE + wave
        return unit(key, stream, index), unit(key, stream, index + 1)

    def _strike_near(self, day: int) -> _Strike | None:
        """What is out of the ordinary in the block of days around `day`."""
        block = (day + self._phase) // _BLOCK
        if block != self._block:
            self._block, self._strike = block, _strike(self.listing, block, block * _BLOCK - self._phase)
        return self._strike


def _strike(listing: Listing, block: int, start: int) -> _Strike | None:
    """A day at the limit, or a suspension of up to six days; quiet listings and split ones have neither."""
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
