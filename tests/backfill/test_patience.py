"""Who can wait takes of the quota what is left, and yields within one request."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta

import pytest

from collector import config
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.config import Environment
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.model import KST, Target
from collector.ratelimit.limiter import LowPriorityRateLimiter, QuotaScope, SharedRateLimiter
from collector.ratelimit.permits import Permit
from collector.ratelimit.window import WINDOW
from collector.secret import Secret
from collector.sweep.sweeper import Collector
from kiwoom_simulator import Options, Simulator
from tests.support.harness import APP_KEY, SECRET_KEY, execute, fetch, url, yaml
from tests.support.requests_sent import sending

BOOKED = "SELECT count(*) FROM collector.place WHERE booked"
PRICES, BARS, TOKEN = "ka20002", "ka10081", "au10001"
SECTOR = Target.of("KOSPI", "027", "KRX")
"""Six pages."""


@asynccontextmanager
async def quotas(
    address: Dsn, per_second: int, scope: QuotaScope | None = None
) -> AsyncIterator[tuple[SharedRateLimiter, LowPriorityRateLimiter]]:
    """The quota of one key as an urgent program and a patient one have it."""
    async with open_pool(address, size=8) as pool, open_pool(address, size=8) as other:
        urgent = SharedRateLimiter(Database(pool, address), "key", per_second=per_second)
        patient = SharedRateLimiter(Database(other, address), "key", per_second=per_second, scope=scope)
        yield urgent, LowPriorityRateLimiter(patient)


async def ask(
    quota: SharedRateLimiter | LowPriorityRateLimiter, api_id: str, name: str, order: list[str]
) -> float:
    """One request that is answered at once; when it left."""
    async with sending(quota, api_id) as turn:
        order.append(name)
        left = time.monotonic()
        turn.on_response()
    return left


async def until_somebody_waits(address: Dsn) -> None:
    while await fetch(address, "SELECT count(*) FROM collector.quota WHERE isfinite(urgent_until)") == [(0,)]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # looks again: the database has no event for it


async def test_what_is_free_is_taken_at_once(database: Dsn) -> None:
    order: list[str] = []
    async with quotas(database, 3) as (_, patient):
        async with patient.acquire(BARS), patient.acquire(BARS), patient.acquire(BARS):
            assert await fetch(database, BOOKED) == [(6,)]  # in their own lane and in that of the sweeps
        first = await ask(patient, BARS, "a", order)
        for name in "bc":
            await ask(patient, BARS, name, order)
        assert await ask(patient, BARS, "d", order) - first > 0.9 * WINDOW.total_seconds()


@pytest.mark.parametrize(("scope", "lanes"), [("call", {BARS}), ("key", {PRICES}), (None, {BARS, PRICES})])
async def test_a_patient_request_counts_in_the_lanes_that_the_server_counts(
    database: Dsn, scope: QuotaScope | None, lanes: set[str]
) -> None:
    async with quotas(database, 3, scope) as (_, patient), patient.acquire(BARS):
        booked = await fetch(database, "SELECT api_id FROM collector.place WHERE booked")
    assert {api_id for (api_id,) in booked} == lanes


async def test_a_patient_request_takes_a_place_of_the_sweeps_as_well(database: Dsn) -> None:
    order: list[str] = []
    async with quotas(database, 1) as (urgent, patient):
        left = await ask(patient, BARS, "patient", order)
        assert await ask(urgent, PRICES, "urgent", order) - left > 0.9 * WINDOW.total_seconds()


async def test_an_urgent_request_that_waits_says_so(database: Dsn) -> None:
    order: list[str] = []
    async with quotas(database, 1) as (urgent, _), asyncio.TaskGroup() as group, urgent.acquire(PRICES):
        group.create_task(ask(urgent, PRICES, "urgent", order))
        await until_somebody_waits(database)
    assert order == ["urgent"]


async def test_while_somebody_waits_nothing_is_taken_and_afterwards_everything(
    database: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    looks: list[object] = []
    try_acquire_all = SharedRateLimiter.try_acquire_all

    async def look(shared: SharedRateLimiter, api_ids: Sequence[str]) -> tuple[float, Sequence[Permit]]:
        looks.append(await try_acquire_all(shared, api_ids))
        return looks[-1]  # type: ignore[return-value]

    monkeypatch.setattr(SharedRateLimiter, "try_acquire_all", look)
    async with quotas(database, 2) as (urgent, patient):
        await ask(urgent, PRICES, "urgent", order)
        await execute(database, "UPDATE collector.quota SET urgent_until = 'infinity'")
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(patient, BARS, "patient", order))
            while len(looks) < 3:  # noqa: ASYNC110 - a look has no event
                await asyncio.sleep(0.01)
            assert order == ["urgent"]  # although a place is free
            await execute(database, "UPDATE collector.quota SET urgent_until = '-infinity'")
    assert order == ["urgent", "patient"]


async def test_a_token_is_never_waited_for_patiently(database: Dsn) -> None:
    order: list[str] = []
    async with quotas(database, 1) as (urgent, patient):
        await ask(urgent, PRICES, "urgent", order)
        await execute(database, "UPDATE collector.quota SET urgent_until = 'infinity'")
        async with asyncio.timeout(600):  # and not for ever
            await ask(patient, TOKEN, "token", order)
    assert order == ["urgent", "token"]


async def test_who_is_cancelled_in_line_keeps_nobody_waiting(database: Dsn) -> None:
    order: list[str] = []
    async with quotas(database, 1) as (_, patient):
        await ask(patient, BARS, "a", order)
        waiting = asyncio.ensure_future(ask(patient, BARS, "b", order))
        await asyncio.sleep(0.1)  # any moment in line will do
        waiting.cancel()
        async with asyncio.timeout(600):
            await ask(patient, BARS, "c", order)
    assert order == ["a", "c"]
    assert await fetch(database, "SELECT count(*) FROM collector.place WHERE booked") == [(0,)]


SHARED = Options(
    quota=5,
    total=5,
    freeze=datetime(2026, 11, 22, 12, tzinfo=KST),
    latency=timedelta(milliseconds=20),
    jitter=timedelta(milliseconds=10),
)
"""A server that counts all calls of a key together, and does not forgive."""


async def fetch_for_ever(kiwoom: KiwoomClient) -> None:
    """One of the tasks of a backfill that has no end: the first days of a listing, which cost nobody anything."""
    while True:
        await kiwoom.bars("454790", date(2026, 1, 14), adjusted=False, counter=RequestCounter())


@asynccontextmanager
async def patiently_fetching(address: Dsn, simulator: Simulator) -> AsyncIterator[Collector]:
    """A collector that sweeps, beside another one of the same key that fetches bars all the time."""
    text = yaml([SECTOR], requests_per_second=5)
    environment = Environment(
        app_key=Secret(APP_KEY), secret_key=Secret(SECRET_KEY), database_url=Secret(url(address))
    )
    world = CliContext(environment, config.parse(text.encode(), "stand.yaml", base_url=simulator.url))
    async with (
        bootstrap.open_collector(world) as sweeping,
        bootstrap.open_collector(world, patient=True) as filling,
    ):
        await sweeping.kiwoom.token()
        await asyncio.sleep(1)  # until the server has forgotten that request
        tasks = [asyncio.ensure_future(fetch_for_ever(filling.kiwoom)) for _ in range(4)]
        try:
            yield sweeping
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def arrivals(simulator: Simulator, api_id: str, since: float) -> list[float]:
    found = simulator.api.book.since(0)
    return [each["arrived"] for each in found if each["api_id"] == api_id and each["arrived"] >= since]  # type: ignore[operator, misc]


def refused(simulator: Simulator) -> int:
    answers = simulator.api.book.answers().values()
    return sum(count for kinds in answers for kind, count in kinds.items() if kind != "ok")


@pytest.mark.extended
async def test_alone_it_goes_on_without_a_refusal(database: Dsn) -> None:
    """`bench quota` measures the share of the quota that it uses."""
    async with Simulator(SHARED) as simulator, patiently_fetching(database, simulator):
        async with asyncio.timeout(600):
            while len(arrivals(simulator, BARS, 0.0)) < 50:  # noqa: ASYNC110 - an arrival has no event
                await asyncio.sleep(0.1)
    assert refused(simulator) == 0


@pytest.mark.extended
@pytest.mark.parametrize("sweeps", [2, 6])
async def test_sweeps_go_before_it_and_nothing_is_refused(database: Dsn, sweeps: int) -> None:
    amid = []
    async with Simulator(SHARED) as simulator, patiently_fetching(database, simulator) as sweeping:
        for number in range(sweeps):
            await asyncio.sleep(2)  # long enough for the other to have taken all of the quota
            slot = datetime(2026, 11, 20, 16, number, tzinfo=KST)
            begun = time.monotonic()
            await sweeping.sweep(slot, "all", [SECTOR])
            came = arrivals(simulator, PRICES, begun)
            amid.append(sum(came[0] < at < came[-1] for at in arrivals(simulator, BARS, begun)))
    assert max(amid) < len(came)  # an equal share for each of the four tasks would be four times as many
    assert refused(simulator) == 0
