"""A trading day made up for measuring: two boards on three exchanges, walked every few minutes."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.model import KST, Exchange, Market, Quote, Target

DAY = datetime(2026, 11, 20, tzinfo=KST)
_MEMBERS = {Market.KOSPI: 2477, Market.KOSDAQ: 1821}
_SECTOR = {Market.KOSPI: "001", Market.KOSDAQ: "101"}
_ON_NXT = {Market.KOSPI: 350, Market.KOSDAQ: 256}
TARGETS = {
    number: Target(market, _SECTOR[market], exchange)
    for number, (market, exchange) in enumerate(((m, e) for m in _MEMBERS for e in Exchange), 1)
}
ROWS = 2 * sum(_MEMBERS.values()) + sum(_ON_NXT.values())
"""Rows of one slot."""
_HOURS = timedelta(hours=12)
Listings = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Walked:
    """One walk: its number (days in blocks of 100,000), when, whose, and its rows in the order served."""

    number: int
    slot: datetime
    target: int
    rows: Sequence[Quote]
    listings: Listings

    @property
    def starts(self) -> list[int]:
        """The position of each page's first row, 100 rows a page."""
        return list(range(1, len(self.rows) + 1, 100))


def listings() -> Listings:
    """As many symbols as both boards hold, in code order, with names of Korean length."""
    syllables = "가나다라마바사아자차카타파하"
    ids = range(1, sum(_MEMBERS.values()) + 1)
    return {(f"{n * 10:06d}", f"{syllables[n % 9 : n % 9 + 2 + n % 4]}전자{n}"): n for n in ids}


def boards(known: Listings, slots: int) -> Iterator[list[Quote]]:
    """Both boards at each slot: prices walk by ticks, volumes grow, one listing in twenty is idle."""
    chance = random.Random(20002)
    base = [round(10 ** chance.uniform(3, 5.3)) * 5 for _ in known]
    idle = [chance.random() < 0.05 for _ in known]
    price, opened, high, low, volume = base[:], base[:], base[:], base[:], [0] * len(base)
    for _ in range(slots):
        for n in range(len(base)):
            if not idle[n] and chance.random() < 0.5:
                price[n] = max(5, price[n] + chance.choice((-15, -10, -5, 5, 10, 15)))
                volume[n] += int(chance.expovariate(1 / 5000))
                high[n], low[n] = max(high[n], price[n]), min(low[n], price[n])
        yield [
            _idle(symbol, name, base[n])
            if idle[n]
            else _snapshot(symbol, name, base[n], price[n], volume[n], (opened[n], high[n], low[n]))
            for n, (symbol, name) in enumerate(known)
        ]


def _idle(symbol: str, name: str, base: int) -> Quote:
    return Quote(symbol, name, base, 0, 0, 3, 0, None, None, None, None, None)


def _snapshot(symbol: str, name: str, base: int, price: int, volume: int, day: tuple[int, int, int]) -> Quote:
    change = price - base
    sign = 2 if change > 0 else 5 if change < 0 else 3
    rate = round(10_000 * change / base)
    return Quote(symbol, name, price, change, rate, sign, volume, price + 5, price, *day)


def walks(day: datetime, shown: Sequence[list[Quote]], known: Listings) -> Iterator[Walked]:
    """The walks of a day from 8 o'clock on: all targets at each slot, slot after slot."""
    every = min(timedelta(minutes=5), _HOURS / len(shown))
    number = day.toordinal() % 10_000 * 100_000
    for place, rows in enumerate(shown):
        slot = day + timedelta(hours=8) + timedelta(seconds=int(every.total_seconds()) * place)
        for target, (market, _, exchange) in TARGETS.items():
            number += 1
            yield Walked(number, slot, target, _seen(rows, market, exchange), known)


def _seen(rows: list[Quote], market: Market, exchange: Exchange) -> list[Quote]:
    border = _MEMBERS[Market.KOSPI]
    board = rows[:border] if market is Market.KOSPI else rows[border:]
    return board[3::7][: _ON_NXT[market]] if exchange is Exchange.NXT else board
