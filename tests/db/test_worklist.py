"""Walks are claimed in the database: each is one program's at a time, and nobody's for long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.lease import Lease
from collector.db.pool import open_pool
from collector.db.worklist import ClaimedTarget, ClaimLost, SharedWorklist, WorkQueue
from collector.errors import StoreError
from collector.model import KST, Status, Target
from tests.support.harness import execute, fetch
from tests.support.tcp_proxy import Proxy, proxied

SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
TARGETS = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(2, 22)]
STAY = (Status.COMPLETE, Status.SUSPECT)
SOON = "UPDATE collector.claim SET expires_at = clock_timestamp() + $1::float * INTERVAL '1 s'"
EXPIRED = "SELECT bool_and(expires_at <= clock_timestamp()) FROM collector.claim"
CLAIMED = "SELECT count(*) FROM collector.claim WHERE key = $1 AND expires_at > clock_timestamp()"
UNHEARD = "key of the claim without an answer"
LINE = "INSERT INTO collector.walk (slot, target, status) VALUES ($1, $2, 'complete')"


@dataclass
class Program:
    """One of several that share a database."""

    database: Database
    registry: Registry
    holder: str

    def claims(
        self, *keys: str, ttl: timedelta = timedelta(seconds=12), epoch: int | None = None
    ) -> SharedWorklist:
        found = keys or (self.holder,)
        return SharedWorklist(
            self.database, self.registry, self.holder, list(found), ttl=ttl, epoch=lambda: epoch
        )

    async def store(
        self, taken: ClaimedTarget, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Store a walk; `meanwhile` happens before it is committed."""
        assert taken.claim
        async with self.database.transaction("storing") as connection:
            await taken.claim.complete(connection)
            await connection.execute(LINE, taken.claim.slot, taken.claim.target)
            if meanwhile:
                await meanwhile()


@asynccontextmanager
async def program(address: Dsn, name: str) -> AsyncIterator[Program]:
    async with open_pool(address, size=3) as pool:
        held = Database(pool, address)
        registry = Registry(held)
        await registry.register_targets(TARGETS)
        yield Program(held, registry, name)


@pytest.fixture
async def programs(database: Dsn) -> AsyncIterator[list[Program]]:
    async with program(database, "one") as one, program(database, "two") as two:
        yield [one, two]


async def all_of(work: WorkQueue, key: str = "key") -> list[ClaimedTarget]:
    found = []
    while (taken := await work.take(key)) is not None:
        found.append(taken)
    return found


async def run_out(database: Dsn) -> None:
    """The claims' time is over, as if their holders had been silent."""
    await execute(
        database, "UPDATE collector.claim SET expires_at = clock_timestamp() WHERE number IS NOT NULL"
    )


async def test_two_share_a_sweep_and_each_walk_is_taken_once(programs: list[Program]) -> None:
    one, two = programs
    found: dict[str, list[Target]] = {"one": [], "two": []}
    both_have_one = asyncio.Barrier(2)

    async def walk(program: Program, work: WorkQueue) -> None:
        while (taken := await work.take("key")) is not None:
            found[program.holder].append(taken.target)
            if len(found[program.holder]) == 1:
                await both_have_one.wait()
            await program.store(taken)

    async with (
        one.claims().work(SLOT, TARGETS, STAY) as first,
        two.claims().work(SLOT, TARGETS, STAY) as second,
    ):
        async with asyncio.timeout(600):
            await asyncio.gather(walk(one, first), walk(two, second))
    assert sorted(found["one"] + found["two"]) == TARGETS


async def test_the_portion_of_a_key_that_is_denied_goes_to_the_others(programs: list[Program]) -> None:
    """A key takes a sixteenth at a time; one that is refused at its first request has begun one walk of it."""
    many = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(2, 102)]
    for program in programs:
        await program.registry.register_targets(many)
    async with programs[0].claims("denied", "good").work(SLOT, many, STAY) as work:
        refused = await work.take("denied")
        assert refused is not None
        await work.release(refused)
        taken = await all_of(work, "good")
        assert (await work.count_open()).free == len(many) - len(taken) > 0
        taken += await all_of(work, "good")
        assert {one.target for one in taken} == set(many)


async def test_walks_are_taken_in_their_order(programs: list[Program]) -> None:
    async with programs[0].claims().work(SLOT, TARGETS[::-1], STAY) as work:
        assert [taken.target for taken in await all_of(work)] == TARGETS[::-1]


async def test_what_the_ledger_has_is_not_shared_out_even_if_it_came_in_the_last_moment(
    programs: list[Program], database: Dsn
) -> None:
    one, two = programs
    async with one.claims().work(SLOT, TARGETS, STAY) as work:
        stored = await work.take("key")
        assert stored
        await one.store(stored)
        async with two.claims().work(SLOT, TARGETS, STAY) as other:  # as it read the ledger before
            assert stored.target not in {taken.target for taken in await all_of(other)}


async def test_a_walk_of_one_that_is_silent_is_taken_over_and_the_silent_one_writes_nothing(
    programs: list[Program], database: Dsn
) -> None:
    one, two = programs
    async with one.claims().work(SLOT, TARGETS[:1], STAY) as work:
        zombie = await work.take("key")
        assert zombie
        async with two.claims().work(SLOT, TARGETS[:1], STAY) as other:
            assert await other.take("key") is None
            assert await other.count_open() == (0, 1, 1)
            await run_out(database)
            with pytest.raises(ClaimLost):  # ran out, and nobody has taken it yet
                await one.store(zombie)
            follower = await other.take("key")
            assert follower
            with pytest.raises(ClaimLost):
                await one.store(zombie)
            await two.store(follower)
            with pytest.raises(ClaimLost):
                await one.store(zombie)
    assert await fetch(database, "SELECT count(*) FROM collector.walk") == [(1,)]


async def freeze_while_storing(
    one: Program, work: WorkQueue, *, meanwhile: Callable[[], Awaitable[None]]
) -> None:
    """Claim a walk and store it; the claim runs out before the commit, and the server ends the connection.

    Storing must begin while the claim is valid. A machine that is too slow for that tries again with more time.
    """
    for seconds in (0.3, 3, 30, 300):
        frozen = await work.take("key")
        assert frozen
        await execute(one.database.address, SOON, seconds)
        try:
            with pytest.raises(StoreError, match="connection"):
                await one.store(frozen, meanwhile=meanwhile)
        except ClaimLost:
            continue
        return
    pytest.fail("the claim ran out before storing began")


async def test_one_that_freezes_while_it_stores_keeps_nobody_waiting(
    programs: list[Program], database: Dsn
) -> None:
    one, two = programs
    async with (
        one.claims().work(SLOT, TARGETS[:1], STAY) as work,
        two.claims().work(SLOT, TARGETS[:1], STAY) as other,
    ):
        followers = []

        async def taken_over() -> None:
            async with asyncio.timeout(600):
                while (taken := await other.take("key")) is None:
                    await other.count_open()
                    await asyncio.sleep(0.05)  # looks again: a claim that expires has no event
            followers.append(taken)

        await freeze_while_storing(one, work, meanwhile=taken_over)
        [follower] = followers
        await two.store(follower)
    assert await fetch(database, "SELECT count(*) FROM collector.walk") == [(1,)]


async def test_who_leaves_gives_back_what_it_has_not_stored(programs: list[Program]) -> None:
    one, two = programs
    async with one.claims().work(SLOT, TARGETS, STAY) as work:
        taken = await all_of(work)
        await one.store(taken[0])
    async with two.claims().work(SLOT, TARGETS[1:], STAY) as other:
        assert [found.target for found in await all_of(other)] == TARGETS[1:]


@asynccontextmanager
async def slow_answers(database: Dsn) -> AsyncIterator[tuple[Proxy, Program]]:
    """A program whose database carries out the claim with the key UNHEARD, but is not heard afterwards."""
    async with proxied(database) as proxy, program(proxy.address, "one") as one:
        proxy.freeze_at, proxy.passes_on = UNHEARD.encode(), True
        yield proxy, one


async def cancel_claim(work: WorkQueue, database: Dsn) -> None:
    """Claim a walk and cancel that between the database's COMMIT and its answer."""
    assert await work.take("prepares the statement")
    taking = asyncio.ensure_future(work.take(UNHEARD))
    async with asyncio.timeout(600):
        while await fetch(database, CLAIMED, UNHEARD) == [(0,)]:  # noqa: ASYNC110 - the database has no event for it
            await asyncio.sleep(0.01)
    taking.cancel()
    await asyncio.wait([taking])


async def test_a_claim_cancelled_before_its_answer_is_released(database: Dsn) -> None:
    async with slow_answers(database) as (proxy, one), AsyncExitStack() as stack:
        work = await stack.enter_async_context(one.claims().work(SLOT, TARGETS, STAY))
        await cancel_claim(work, database)
        leaving = asyncio.ensure_future(stack.aclose())
        await asyncio.sleep(0)  # it begins to leave before the answer comes
        proxy.flows.set()
        await leaving
        assert await fetch(database, CLAIMED, UNHEARD) == [(0,)]


async def test_a_claim_cancelled_before_its_answer_serves_the_next(database: Dsn) -> None:
    async with slow_answers(database) as (proxy, one), one.claims().work(SLOT, TARGETS, STAY) as work:
        await cancel_claim(work, database)
        proxy.freeze_at = b""
        proxy.flows.set()
        assert [taken.target for taken in await all_of(work, UNHEARD)] == TARGETS[1:]


async def test_a_program_told_to_stop_does_not_wait_for_an_answer_that_never_comes(database: Dsn) -> None:
    async with slow_answers(database) as (_, one):
        with suppress(asyncio.CancelledError):
            async with one.claims().work(SLOT, TARGETS, STAY) as work:
                await cancel_claim(work, database)
                raise asyncio.CancelledError
        assert await fetch(database, CLAIMED, UNHEARD) == [(1,)]  # until it expires


async def test_a_new_attempt_takes_at_once_what_the_attempt_before_it_had(programs: list[Program]) -> None:
    claims = programs[0].claims()
    async with claims.work(SLOT, TARGETS, STAY) as work:
        await all_of(work)
        async with claims.work(SLOT, TARGETS, STAY) as again:
            assert len(await all_of(again)) == len(TARGETS)


async def test_what_is_withdrawn_nobody_begins(programs: list[Program], database: Dsn) -> None:
    one, _ = programs
    async with one.claims().work(SLOT, TARGETS, STAY) as work:
        mine = await work.take("key")
        await work.cancel_unclaimed()
        assert mine
        assert await work.count_open() == (0, 0, 1)
        await one.store(mine)
        assert await work.count_open() == (0, 0, 0)


async def test_walks_that_were_put_off_are_waited_for_by_nobody(programs: list[Program]) -> None:
    one, two = programs
    async with (
        one.claims().work(SLOT, TARGETS[:2], STAY) as work,
        two.claims().work(SLOT, TARGETS[:2], STAY) as other,
    ):
        for each in (work, other):
            taken = await each.take("key")
            assert taken
            assert (await each.count_open()).free in (0, 1)
            await each.defer(taken)
        assert (await work.count_open())[1:] == (0, 2)
        assert (await other.count_open())[1:] == (0, 2)


async def test_a_claim_is_renewed_as_long_as_its_holder_lives(programs: list[Program], database: Dsn) -> None:
    async with programs[0].claims().work(SLOT, TARGETS[:1], STAY) as work:
        await work.take("key")
        before = await fetch(database, "SELECT expires_at FROM collector.claim")
        async with asyncio.timeout(600):
            while await fetch(database, "SELECT expires_at FROM collector.claim") == before:  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # looks again: the database has no event for it


@asynccontextmanager
async def leading(program: Program, *keys: str) -> AsyncIterator[WorkQueue]:
    """A daemon that holds the lease and has begun a sweep."""
    lease = Lease(program.database, program.holder)
    assert await lease.take()
    async with program.claims(*keys, epoch=lease.epoch).work(SLOT, TARGETS, STAY) as work:
        yield work


async def test_one_with_another_key_finds_what_the_holder_of_the_lease_has_shared_out(
    programs: list[Program],
) -> None:
    one, two = programs
    async with leading(one, "a", "b") as work:
        await work.take("a")
        wanted = await two.claims("b", "c").find_open_sweep()
        assert wanted
        assert (wanted.slot, wanted.keys, list(wanted.targets)) == (SLOT, ["a", "b"], TARGETS[1:])
        async with two.claims("b", "c").join(wanted.slot, wanted.targets, wanted.epoch) as other:
            assert len(await all_of(other, "c")) == len(TARGETS) - 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE collector.lease SET expires_at = clock_timestamp()",
        "UPDATE collector.lease SET epoch = epoch + 1",
        "DELETE FROM collector.claim",
        "UPDATE collector.claim SET epoch = NULL",
    ],
    ids=["the lease ran out", "a new holder", "all taken", "nobody's lease"],
)
async def test_nothing_is_to_help_with_once(programs: list[Program], database: Dsn, change: str) -> None:
    one, two = programs
    async with leading(one):
        assert await two.claims().find_open_sweep()
        await execute(database, change)
        assert await two.claims().find_open_sweep() is None


async def test_nobody_helps_with_the_holders_own_key(programs: list[Program]) -> None:
    one, two = programs
    async with leading(one, "a"):
        assert await two.claims("a").find_open_sweep() is None


async def test_a_new_holder_has_at_once_what_was_claimed_under_the_old_epoch(
    programs: list[Program], database: Dsn
) -> None:
    one, two = programs
    async with leading(one) as work:
        await all_of(work)
        await execute(database, "UPDATE collector.lease SET expires_at = clock_timestamp()")
        async with leading(two) as other:
            assert len(await all_of(other)) == len(TARGETS)


async def test_two_that_share_out_the_same_in_another_order_do_not_wait_for_each_other(
    programs: list[Program],
) -> None:
    async def share(program: Program, targets: list[Target], slot: datetime) -> None:
        async with program.claims().work(slot, targets, STAY):
            pass

    one, two = programs
    for number in range(30):
        slot = SLOT + timedelta(minutes=number)
        await asyncio.gather(share(one, TARGETS, slot), share(two, TARGETS[::-1], slot))


async def test_who_is_frozen_while_it_stores_does_not_keep_another_from_beginning(
    programs: list[Program], database: Dsn
) -> None:
    one, two = programs
    async with one.claims().work(SLOT, TARGETS[:1], STAY) as work:

        async def begun() -> None:
            while await fetch(database, EXPIRED) != [(True,)]:  # noqa: ASYNC110 - the database has no event for it
                await asyncio.sleep(0.01)
            async with two.claims().work(SLOT, TARGETS[:1], STAY) as other:
                assert await other.take("key")

        await freeze_while_storing(one, work, meanwhile=begun)


async def test_a_target_that_was_not_known_before_can_be_helped_with(
    programs: list[Program], database: Dsn
) -> None:
    one, two = programs
    two.registry.targets.clear()
    async with leading(one):
        wanted = await two.claims().find_open_sweep()
    assert wanted
    assert list(wanted.targets) == TARGETS
