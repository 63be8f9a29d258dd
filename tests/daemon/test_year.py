"""A year of trading days in virtual time: whatever happens, each due slot × target ends in one state."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random

import pytest
import structlog

from collector.base import resources
from collector.daemon import DaemonService, Upkeep
from collector.daemon.leader import WARMING
from collector.db.lease import LeaseLost
from collector.errors import Denied, Rejected, Unavailable, Unreadable
from collector.market import calendar, schedule
from collector.market.timetable import Timetable
from collector.model import KST, Target
from tests.support.daemon_models import Books, ModelKiwoom, assembling, away
from tests.support.virtual_time import VirtualClock, run

CALENDAR = calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "calendar.yaml")
BOARDS = [
    Target.of("KOSPI", "001", "KRX"),
    Target.of("KOSPI", "001", "NXT"),
    Target.of("KOSDAQ", "101", "KRX"),
    Target.of("KOSPI", "001", "CONSOLIDATED"),
]
SCHEDULES = [
    schedule.parse("intraday", universe="boards", every="5m", during="KRX.regular"),
    schedule.parse("close", universe="close", at="KRX.regular.close + 10m"),
]
TIMETABLE = Timetable(SCHEDULES, CALENDAR, {"boards": BOARDS, "close": BOARDS[:2]})
UPKEEP = Upkeep(keep_days=400)
START = datetime(2026, 1, 2, 8, tzinfo=KST)


@pytest.fixture(autouse=True)
def silence():
    nothing = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=nothing)
    yield
    structlog.reset_defaults()


class Weather:
    """What goes wrong, by chance of one seed; mostly while something trades."""

    def __init__(self, seed: int, days: int) -> None:
        self.random = Random(seed)
        self._days = days
        self.outages = [
            (start, start + self.random.choice((2, 20, 300, 5000))) for start in self._moments(days // 2)
        ]
        self.crashes = self._moments(days // 2)
        self.slow = self._moments(days // 4)
        steps = [
            (at, timedelta(seconds=self.random.choice((-7200, -3, 3, 3600))))
            for at in self._moments(days // 10)
        ]
        # every step is put right after a while
        self.steps = sorted(steps + [(at + 3000, -by) for at, by in steps])

    def _moments(self, count: int) -> list[float]:
        """Seconds since the start, between 8:00 and 16:00 of some days."""
        days = range(self._days)
        return sorted(
            self.random.choice(days) * 86_400 + self.random.uniform(0, 28_800) for _ in range(count)
        )

    def database(self):
        at = asyncio.get_running_loop().time()
        if any(start <= at < end for start, end in self.outages):
            return away()
        chance = self.random.random()
        if chance < 0.0005:
            return away()
        return LeaseLost("taken") if chance < 0.0007 else None

    def api(self):
        chance = self.random.random()
        if chance < 0.05:
            return (Unavailable("away"), Rejected("no"), Unreadable("garbage"))[int(chance * 60)]
        return Denied("wrong key") if chance < 0.0505 else None

    def latency(self) -> float:
        at = asyncio.get_running_loop().time()
        return 400.0 if any(start <= at < start + 1800 for start in self.slow) else 0.2


async def live(weather: Weather, days: int) -> tuple[Books, VirtualClock]:
    """Run daemon after daemon; each is killed at the next crash, and the next one starts some time later."""
    books, clock = Books(), VirtualClock(START, weather.steps)
    loop = asyncio.get_running_loop()
    for crash in [*weather.crashes, days * 86_400.0]:
        if crash <= loop.time():
            continue
        kiwoom = ModelKiwoom(books, clock.now, weather.api, weather.latency)
        daemon = DaemonService(
            assembling(TIMETABLE, UPKEEP, books, kiwoom, weather.database), clock, lambda _: None
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(crash - loop.time()):
                await daemon.run()
        await asyncio.sleep(weather.random.choice((1, 30, 600, 20_000)))  # in virtual time
    weather.outages, weather.slow = [], []
    await asyncio.sleep(86_400)  # in virtual time
    daemon = DaemonService(
        assembling(TIMETABLE, UPKEEP, books, ModelKiwoom(books, clock.now)), clock, lambda _: None
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(7200):
            await daemon.run()
    return books, clock


def judge(books: Books, first: datetime, last: datetime) -> Counter[str]:
    """Nothing due is without a line, no line is of a slot that was not due, none was written over."""
    due = [slot for slot in TIMETABLE.due(first, last) if slot.at < last - timedelta(hours=2)]
    expected = {(slot.at, target) for slot in due for target in TIMETABLE.targets[slot.universe]}
    assert not books.wrong
    assert expected - books.lines.keys() == set()
    surplus = {slot for slot, _ in books.lines.keys() - expected}
    assert all(any(TIMETABLE.is_slot(one, slot) for one in SCHEDULES) for slot in surplus)
    return Counter(f"{line.status} {line.error}".strip() for line in books.lines.values())


def year(seed: int, days: int) -> tuple[Books, Counter[str]]:
    async def lived():
        books, clock = await live(Weather(seed, days), days)
        return books, judge(books, START, clock.now())

    return run(lived())


REASONS = {"missed down", "missed overrun", "missed late", "missed database", "missed denied"}


@pytest.mark.extended
@pytest.mark.parametrize("seed", [1, 2])
def test_every_due_slot_and_target_of_a_stormy_month_ends_in_one_state(seed):
    _, states = year(seed, 30)
    assert states["complete"] > 0.5 * states.total()
    assert len(REASONS & states.keys()) >= 3


@pytest.mark.extended
def test_the_same_seed_gives_the_same_trace_and_another_one_another():
    traces = [year(seed, 4)[0].trace for seed in (7, 7, 8)]
    assert traces[0] == traces[1] != traces[2]


@pytest.mark.extended
def test_every_due_slot_and_target_of_a_stormy_year_ends_in_one_state():
    _, states = year(2026, 365)
    assert states["complete"] > 0.5 * states.total()
    assert states.total() > 75_000
    assert states.keys() >= REASONS


def test_connections_are_opened_shortly_before_each_slot():
    async def morning():
        books, clock = Books(), VirtualClock(START, [])
        kiwoom = ModelKiwoom(books, clock.now)
        daemon = DaemonService(assembling(TIMETABLE, UPKEEP, books, kiwoom), clock, lambda _: None)
        with suppress(TimeoutError):
            async with asyncio.timeout(3 * 3600):
                await daemon.run()
        return kiwoom.warmed, clock.now()

    warmed, end = run(morning())
    assert [at for at, _ in warmed] == [slot.at - WARMING for slot in TIMETABLE.due(START, end)]
    assert {count for _, count in warmed} == {len(BOARDS)}
    assert len(warmed) > 10
