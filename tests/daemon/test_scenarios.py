"""The scenarios of the virtual year, shorter, against a real PostgreSQL and the simulator over HTTP."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import pytest

from collector.db.gaps import find_gaps
from collector.model import KST
from kiwoom_simulator import Options, Simulator
from tests.support.daemon_parts import CONFIG, FastClock, daemon, order, timetable

TEN = datetime(2026, 11, 23, 10, 0, tzinfo=KST)
SPEED = 600.0
"""A slot of five minutes every half second."""

BEFORE_CLOSING, SLOW = datetime(2026, 11, 20, 15, 29, 20, tzinfo=KST), 20.0
"""Two seconds before the last slot of a day, which has to be swept on a slow machine as well."""
SLOWLY = {("missed", "overrun"), ("missed", "late")}
"""What becomes of slots where the machine is too slow for this speed."""

STATES = "SELECT slot, sector, status, COALESCE(error, array_to_string(remarks, ',')) FROM walk ORDER BY 1, 2"


@pytest.fixture
async def simulator():
    async with Simulator(Options(quota=0, now=TEN, speed=SPEED)) as running:
        yield running


@pytest.fixture
def ordered(database, simulator):
    return order(database, simulator.url)


@asynccontextmanager
async def alive(ordered, clock, name="one"):
    """A daemon that lives for the length of the block, and ends as one that is killed."""
    task = asyncio.create_task(daemon(ordered, clock, name).run())
    try:
        yield task
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def states(held):
    async with held.connection("looking") as connection:
        return [tuple(row) for row in await connection.fetch(STATES)]


async def absent(held, ordered, until):
    """Slots × targets without a line, from the ledger's first slot to a moment."""
    lines = await states(held)
    first = lines[0][0] if lines else TEN
    async with held.connection("looking") as connection:
        found = find_gaps(connection, timetable(ordered), TEN.date(), TEN.date(), until)
        return [gap async for gap in found if gap.slot >= first and gap.status == "absent"]


async def until_accounted(held, ordered, moment):
    """Wait until every slot before a moment has its lines."""
    async with asyncio.timeout(600):
        while not await states(held) or await absent(held, ordered, moment):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # looks again: the ledger has no event for it


async def until_there(held, count, *, status="complete", reason=None):
    """Wait until so many lines of a status, and of a reason if one is given, are in the ledger."""

    def is_wanted(line):
        return line[2] == status and reason in (None, line[3])

    async with asyncio.timeout(600):
        while sum(map(is_wanted, await states(held))) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # looks again: the ledger has no event for it


async def has_ended(held, slot):
    """Whether the sweep of a slot has ended."""
    async with held.connection("looking") as connection:
        query = "SELECT EXISTS (SELECT FROM collector.sweep WHERE slot = $1 AND ended_at IS NOT NULL)"
        return await connection.fetchval(query, slot)


async def test_every_slot_is_swept_as_it_comes_or_accounted_for(held, ordered):
    clock = FastClock(TEN, SPEED)
    async with alive(ordered, clock):
        await until_there(held, 9)
        await until_accounted(held, ordered, clock.now())


@pytest.mark.extended
async def test_time_spent_switched_off_is_accounted_for_once_at_the_next_start(held, ordered):
    clock = FastClock(TEN, SPEED)
    async with alive(ordered, clock):
        await until_there(held, 3)
    after = FastClock(clock.now() + timedelta(hours=1), SPEED)
    for name in ("two", "three"):
        async with alive(ordered, after, name):
            await until_there(held, 33, status="missed", reason="down")
            await asyncio.sleep(0.3)  # a slot or so: any moment will do
    found = Counter((status, reason) for _, _, status, reason in await states(held))
    assert found["missed", "down"] >= 33
    assert set(found) - SLOWLY == {("complete", ""), ("missed", "down")}
    assert await absent(held, ordered, TEN + timedelta(hours=1)) == []


async def test_a_crash_in_the_middle_of_everything_leaves_one_line_a_slot_and_target(held, ordered):
    clock = FastClock(TEN, SPEED)
    for number in range(4):
        async with alive(ordered, clock, f"daemon {number}"):
            await asyncio.sleep(0.31)  # any moment will do
    async with alive(ordered, clock, "the last"):
        await until_accounted(held, ordered, clock.now())


@pytest.mark.extended
async def test_a_session_that_is_cut_off_loses_nothing(held, ordered, server, database):
    clock = FastClock(TEN, SPEED)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    async with alive(ordered, clock):
        await until_there(held, 3)
        for _ in range(3):
            await server.connection.execute(cut, database.database)
            await asyncio.sleep(0.5)  # a slot: any moment will do
        await until_accounted(held, ordered, clock.now())


async def test_a_wrong_key_is_no_reason_to_end_and_no_call_is_made_until_the_next_slot(
    held, database, simulator
):
    async with Simulator(Options(quota=0, keys={"another": "key"}, now=TEN, speed=SPEED)) as strict:
        ordered, clock = order(database, strict.url), FastClock(TEN, SPEED)
        async with alive(ordered, clock):
            await until_there(held, 6, status="missed", reason="denied")
        assert {state[2:] for state in await states(held)} - SLOWLY == {("missed", "denied")}
        slots = len({slot for slot, *_ in await states(held)})
        assert strict.control.stats()["requests"] <= 3 * (slots + 1)


@pytest.mark.extended
@pytest.mark.parametrize(("witness", "reason"), [("off", "stale"), ("on", "witness_date")])
async def test_a_holiday_that_nobody_knew_is_never_a_trading_day(held, database, witness, reason):
    text = f"witness: {witness}{CONFIG}"
    async with (
        Simulator(Options(quota=0, now=BEFORE_CLOSING, speed=SLOW)) as simulator,
        alive(order(database, simulator.url, text=text), FastClock(BEFORE_CLOSING, SLOW)),
    ):
        await until_there(held, 3)
    async with (
        Simulator(Options(quota=0, now=TEN, speed=120, closed=True)) as simulator,
        alive(order(database, simulator.url, text=text), FastClock(TEN, 120), "two"),
    ):
        await until_there(held, 6, status="suspect")
    monday = {(status, why) for slot, _, status, why in await states(held) if slot >= TEN}
    assert ("suspect", reason) in monday
    assert not any(status == "complete" for status, _ in list(monday)) or len(monday) == 2


@pytest.mark.extended
async def test_the_daily_view_and_the_memberships_are_as_new_as_the_last_complete_walk(held, database):
    closing = datetime(2026, 11, 20, 15, 30, tzinfo=KST)
    async with (
        Simulator(Options(quota=0, now=BEFORE_CLOSING, speed=SLOW)) as simulator,
        alive(order(database, simulator.url), FastClock(BEFORE_CLOSING, SLOW)),
        asyncio.timeout(600),
    ):
        while not await has_ended(held, closing):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # looks again: the ledger has no event for it
    async with held.connection("looking") as connection:
        walked = await connection.fetchval("SELECT sum(rows) FROM walk WHERE slot = $1", closing)
        daily = await connection.fetchval("SELECT count(*) FROM daily WHERE trading_date = '2026-11-20'")
        members = await connection.fetchval("SELECT count(*) FROM membership WHERE valid_to IS NULL")
    assert daily == members == walked > 0


TWO_CADENCES = """
api: {{base_url: {url}, requests_per_second: 0, timeout: 60s}}
witness: off
universes:
  boards: [{{market: KOSPI, sectors: [005, 006]}}]
  everything: [{{market: KOSPI, sectors: [005, 007]}}]
schedules:
  minute: {{universe: boards, every: 1m, during: KRX.regular}}
  five: {{universe: everything, every: 5m, during: KRX.regular, grace: 1m}}
"""


@pytest.mark.extended
async def test_a_slot_that_is_overrun_leaves_alone_what_another_schedule_walks_at_that_instant(
    held, database
):
    start, shared = TEN + timedelta(seconds=65), TEN + timedelta(minutes=5)
    slow = Options(quota=0, now=start, speed=100, latency=timedelta(seconds=1.8))
    async with (
        Simulator(slow) as simulator,
        alive(order(database, simulator.url, text=TWO_CADENCES), FastClock(start, 100)),
        asyncio.timeout(600),
    ):
        while not await has_ended(held, shared):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # looks again: the ledger has no event for it
    assert [state[1:] for state in await states(held) if state[0] == shared] == [
        ("005", "complete", ""),
        ("006", "missed", "overrun"),
        ("007", "complete", ""),
    ]


async def test_two_daemons_sweep_as_one(held, ordered):
    clock = FastClock(TEN, SPEED)
    async with alive(ordered, clock, "first"), alive(ordered, clock, "second"):
        await until_there(held, 9)
    async with held.connection("looking") as connection:
        sweeps = await connection.fetch("SELECT slot, count(*) FROM walk GROUP BY slot")
    assert {row["count"] for row in sweeps} == {3}
