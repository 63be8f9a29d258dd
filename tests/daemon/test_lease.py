"""The lease: one holder, epochs that only grow, and nothing committed under an old one."""

import asyncio
from datetime import timedelta

import pytest

from collector.db.lease import Lease, LeaseLost, fence
from collector.db.pool import connect
from collector.errors import StoreError

SHORT = timedelta(seconds=0.2)
NOTE = "INSERT INTO collector.accounted (schedule, until) VALUES ($1, now())"
NOTED = "SELECT count(*) FROM collector.accounted"


async def ended(held, lease):
    """The lease's time is over, as if its holder had been silent."""
    async with held.connection("ending it") as connection:
        await connection.execute("UPDATE collector.lease SET expires_at = clock_timestamp()")


async def write(held, lease, name, meanwhile=None):
    """Write something under the lease; `meanwhile` happens before it is committed."""
    async with fence(held, lease).transaction("writing") as connection:
        await connection.execute(NOTE, name)
        if meanwhile:
            await meanwhile


async def count(held):
    async with held.connection("counting") as connection:
        return await connection.fetchval(NOTED)


async def test_one_of_two_gets_it_and_the_other_one_does_not(held):
    first, second = Lease(held, "first"), Lease(held, "second")
    assert await first.take()
    assert not await second.take()
    assert second.epoch is None


async def test_of_twenty_that_ask_at_once_one_gets_it(held):
    leases = [Lease(held, f"daemon {number}") for number in range(20)]
    assert sum(await asyncio.gather(*(lease.take() for lease in leases))) == 1


async def test_the_epoch_grows_at_each_taking_also_by_the_same_holder(held):
    lease = Lease(held, "only")
    epochs = []
    for _ in range(5):
        assert await lease.take()
        epochs.append(lease.epoch)
    assert epochs == sorted(set(epochs))


async def test_the_epoch_grows_past_one_that_a_restored_backup_has_forgotten(held):
    lease = Lease(held, "only")
    await lease.take()
    before = lease.epoch
    async with held.connection("restoring") as connection:
        await connection.execute("DELETE FROM collector.lease")
    await asyncio.sleep(1.1)  # an epoch begins at the second of the clock, which has to be another one
    assert await Lease(held, "another").take()
    async with held.connection("looking") as connection:
        assert await connection.fetchval("SELECT epoch FROM collector.lease") > before


async def test_the_epoch_grows_past_one_of_a_clock_that_was_ahead(held):
    """The clock is only a lower bound: a fencing token that became smaller would let an old holder write."""
    lease = Lease(held, "only")
    await lease.take()
    ahead = 10**12
    async with held.connection("a clock that was ahead") as connection:
        await connection.execute("UPDATE collector.lease SET epoch = $1", ahead)
    await ended(held, lease)
    heir = Lease(held, "heir")
    assert await heir.take()
    assert heir.epoch > ahead


async def test_the_epoch_stays_while_a_transaction_of_its_holder_is_under_way(held):
    async def take_over():
        async with held.transaction("taking it over") as connection:
            await connection.execute("SET LOCAL lock_timeout = '50ms'")
            await connection.execute("UPDATE collector.lease SET epoch = epoch + 1")

    lease = Lease(held, "only")
    await lease.take()
    async with fence(held, lease).transaction("writing"):
        with pytest.raises(StoreError, match="a lock was not granted"):
            await take_over()
    await take_over()


async def test_a_lease_of_before_the_clock_was_set_back_keeps_nobody_waiting(held):
    dead, heir = Lease(held, "dead"), Lease(held, "heir")
    await dead.take()
    assert not await heir.take()
    async with held.connection("setting the clock back") as connection:
        await connection.execute("UPDATE collector.lease SET expires_at = expires_at + INTERVAL '1 hour'")
    assert await heir.take()


async def test_a_released_lease_is_had_at_once(held):
    first, second = Lease(held, "first"), Lease(held, "second")
    await first.take()
    await first.release()
    assert await second.take()


async def test_a_renewed_lease_is_kept_and_one_that_ran_out_is_lost(held):
    lease = Lease(held, "only")
    await lease.take()
    await lease.renew()
    await ended(held, lease)
    with pytest.raises(LeaseLost):
        await lease.renew()


async def test_the_holder_writes_and_who_stands_by_writes_nothing(held):
    first, second = Lease(held, "first"), Lease(held, "second")
    await first.take()
    await second.take()
    await write(held, first, "first")
    with pytest.raises(LeaseLost):
        await write(held, second, "second")
    assert await count(held) == 1


async def test_a_renewal_does_not_wait_for_a_walk_that_is_being_stored(held):
    lease = Lease(held, "only")
    await lease.take()
    async with fence(held, lease).transaction("storing"), asyncio.timeout(600):
        await lease.renew()


async def test_a_holder_that_was_frozen_inside_a_transaction_neither_commits_nor_blocks_its_follower(held):
    frozen, follower = Lease(held, "frozen"), Lease(held, "follower")
    await frozen.take()

    async def taken_over():
        await ended(held, frozen)
        async with asyncio.timeout(600):
            assert await follower.take()

    with pytest.raises(StoreError, match="connection"):
        await write(held, frozen, "frozen", meanwhile=taken_over())
    assert await count(held) == 0


async def test_a_follower_leaves_the_sessions_of_others_alone(held, database):
    frozen, follower = Lease(held, "frozen"), Lease(held, "follower")
    await frozen.take()
    async with connect(database) as other, other.transaction():
        await other.execute(NOTE, "of a backfill")
        await ended(held, frozen)
        assert await follower.take()
    assert await count(held) == 1


async def test_an_old_epoch_commits_nothing_in_a_hundred_of_a_hundred_tries(held):
    for number in range(100):
        old, new = Lease(held, f"old {number}"), Lease(held, f"new {number}")
        assert await old.take()
        await ended(held, old)
        assert await new.take()
        with pytest.raises(LeaseLost):
            await write(held, old, f"{number}")
        await new.release()
    assert await count(held) == 0


async def test_keeping_it_ends_when_it_is_lost(held):
    lease = Lease(held, "only", ttl=SHORT)
    await lease.take()
    await ended(held, lease)
    with pytest.raises(LeaseLost):
        async with asyncio.timeout(600):
            await lease.keep_renewing()
