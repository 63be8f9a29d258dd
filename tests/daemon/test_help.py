"""Daemons with keys of their own: one holds the lease, the others walk what it shares out."""

import asyncio
import signal
from collections import Counter
from datetime import timedelta

import pytest

from kiwoom_simulator import Options, Simulator
from tests.daemon.test_process import ALL, TORN, asked
from tests.support.daemon_process import forked, write

pytestmark = pytest.mark.usefixtures("warm")
OTHER = {"KIWOOM_APP_KEY": "another app key", "KIWOOM_SECRET_KEY": "another secret key"}
LINES = "SELECT md5(string_agg(w::text, ',' ORDER BY target)) FROM collector.walk AS w"
STORED = "SELECT count(*) FROM walk WHERE status IN ('complete', 'suspect')"

AWAKE = ("walk.lost", "outage.began", "sweep.helped")
"""A helper that wakes has lost its claims, or also the connections that kept others waiting."""


@pytest.fixture
async def simulator():
    """Slow enough for a second daemon to start while a sweep is under way."""
    async with Simulator(Options(quota=0, latency=timedelta(seconds=1.5))) as running:
        yield running


def walks(simulator):
    """How often the first page of each target was asked for, by key."""
    found = {}
    for arrival in simulator.api.book.since(0):
        if arrival["api_id"] == "ka20002" and arrival["page"] == 1:
            found.setdefault(arrival["key"], Counter())[arrival["sector"]] += 1
    return found


@pytest.mark.extended
async def test_a_daemon_with_another_key_shares_the_sweep_and_nothing_is_fetched_twice(
    held, database, simulator, tmp_path
):
    path = write(tmp_path, simulator.url, sectors=ALL)
    async with forked(path, database) as holder:
        await holder.said("sweep.began")
        async with forked(path, database, **OTHER) as helper:
            await holder.said("sweep.ended")
            helped = await helper.said("sweep.helped")
            assert (await helper.stopped())[0] == 0
        assert (await holder.stopped())[0] == 0
    found = walks(simulator)
    assert sum(found.values(), Counter()) == Counter(ALL)
    [own] = {arrival["key"] for arrival in simulator.api.book.since(0)[:1]}
    shared = [counted.total() for key, counted in found.items() if key != own]
    assert [helped["walks"]] == shared
    assert helped["walks"] > 2
    assert not holder.events("slot.missed")
    assert await asked(held, STORED) == len(ALL)
    assert await asked(held, TORN) == 0
    assert await asked(held, "SELECT count(*) FROM collector.claim") == 0


@pytest.mark.extended
async def test_a_daemon_with_the_same_key_only_stands_by(held, database, simulator, tmp_path):
    path = write(tmp_path, simulator.url, sectors=ALL)
    async with forked(path, database) as holder:
        await holder.said("sweep.began")
        async with forked(path, database) as other:
            await other.said("standby.started")
            await holder.said("sweep.ended")
            assert (await other.stopped())[0] == 0
        assert (await holder.stopped())[0] == 0
    assert not other.events("walk.stored")
    assert await asked(held, STORED) == len(ALL)


@pytest.mark.extended
async def test_what_a_killed_helper_was_walking_the_holder_takes_over(held, database, simulator, tmp_path):
    path = write(tmp_path, simulator.url, sectors=ALL)
    async with forked(path, database) as holder:
        await holder.said("sweep.began")
        async with forked(path, database, **OTHER) as helper:
            await helper.said("walk.stored")
            helper.signal(signal.SIGKILL)
            await holder.said("sweep.ended")
        assert (await holder.stopped())[0] == 0
    assert not holder.events("slot.missed")
    assert await asked(held, STORED) == len(ALL)
    assert await asked(held, TORN) == 0


@pytest.mark.extended
async def test_a_helper_that_was_frozen_writes_nothing_when_it_wakes(held, database, simulator, tmp_path):
    path = write(tmp_path, simulator.url, sectors=ALL)
    async with forked(path, database) as holder:
        await holder.said("sweep.began")
        async with forked(path, database, **OTHER) as helper:
            await helper.said("walk.stored")
            helper.signal(signal.SIGSTOP)
            await holder.said("sweep.ended")
            before = await asked(held, LINES)
            helper.signal(signal.SIGCONT)
            async with asyncio.timeout(600):
                while not any(helper.events(name) for name in AWAKE):
                    assert await helper.read()
            assert (await helper.stopped())[0] == 0
        assert (await holder.stopped())[0] == 0
    assert await asked(held, LINES) == before
    assert await asked(held, STORED) == len(ALL)
    assert await asked(held, TORN) == 0


@pytest.mark.extended
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_a_helper_goes_on_as_the_holder_when_the_holder_is_gone(
    held, database, simulator, tmp_path, number
):
    path = write(tmp_path, simulator.url, sectors=ALL)
    async with forked(path, database) as first:
        await first.said("sweep.began")
        async with forked(path, database, **OTHER) as second:
            await second.said("walk.stored")
            first.signal(number)
            await second.said("lease.taken", seconds=17)
            await second.said("sweep.ended")
            before = await asked(held, LINES)
            if number is signal.SIGSTOP:
                first.signal(signal.SIGCONT)
                await first.said("lease.lost")
                await first.said("standby.started")
            assert (await second.stopped())[0] == 0
    assert await asked(held, LINES) == before
    assert await asked(held, STORED) == len(ALL)
    assert await asked(held, TORN) == 0
