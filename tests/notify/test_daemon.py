"""The daemon as a process tells services what happens: against the simulator, over real HTTP."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from kiwoom_simulator import Options, Simulator
from tests.support import secret_sentinels
from tests.support.daemon_process import forked
from tests.support.harness import fetch
from tests.support.notice_services import TOKEN, Services, services

pytestmark = [pytest.mark.usefixtures("warm"), pytest.mark.extended]
FAST = """
api: {{base_url: {simulator}, requests_per_second: 0, timeout: 60s}}
witness: off
universes:
  some:
    - {{market: KOSPI, sectors: ['005', '006'], exchanges: [KRX]}}
schedules:
  quick: {{universe: some, every: {every}, during: day, days: all}}
notify: {{language: en, {notify}}}
"""
BROKEN = "rejected_15xx:sector=005"
ONE_FAILED = "1 of 2 targets failed"
"""Told of the first slot that is swept; a slow machine misses slots before it."""


def configure(tmp_path, simulator, *, every="2s", notify="quiet: 1h", more=""):
    path = tmp_path / "collector.yaml"
    path.write_text(FAST.format(simulator=simulator.url, every=every, notify=notify) + more)
    return path


async def set_faults(simulator, *faults):
    async with aiohttp.ClientSession() as session:
        await session.put(f"{simulator.url}/_sim/faults", json=list(faults))


@pytest.fixture
async def simulator():
    async with Simulator(Options(quota=0)) as running:
        yield running


@pytest.fixture
async def broken():
    async with Simulator(Options(quota=0, faults=(BROKEN,))) as running:
        yield running


def has_title(server: Services, text: str, name: str = ""):
    """Whether an event is in the title of a message or in a paragraph of one."""
    return lambda: any(text in f"{m['title']}\n{m['message']}" for m in server.messages(name))


def count(server: Services, text: str, name: str = "") -> int:
    return sum(f"{m['title']}\n{m['message']}".count(text) for m in server.messages(name))


async def test_three_failed_slots_are_told_at_once_and_once_and_so_is_the_recovery(
    held, database, broken, tmp_path
):
    async with services() as server:
        path = configure(tmp_path, broken, notify=f"ping: {server.url('ping', 'http')}")
        urls = server.url("one")
        async with forked(path, database, "--force", COLLECTOR_NOTIFY_URLS=urls) as daemon:
            await server.wait(has_title(server, "slots in a row without a complete sweep"))
            told_at = datetime.now().astimezone()
            await server.wait(has_title(server, ONE_FAILED))
            await daemon.said("sweep.ended", times=5)
            await seen_waiting(daemon.pid)
            assert server.calls("ping") == 0
            await set_faults(broken)
            await server.wait(has_title(server, "sweeps are complete again"))
            await server.wait(lambda: server.calls("ping") > 1)
            assert (await daemon.stopped())[0] == 0
    assert count(server, "slots in a row") == 1
    assert count(server, ONE_FAILED) == 1
    assert count(server, "sweeps are complete again") == 1
    assert "collector check --online" in str(server.messages())
    assert secret_sentinels.shown(daemon.text.encode()) == []
    async with held.connection("looking") as connection:
        third = await connection.fetchval(
            "SELECT committed_at FROM collector.walk WHERE target ="
            " (SELECT id FROM collector.target WHERE sector = '005')"
            " ORDER BY slot OFFSET 2 LIMIT 1"
        )
    seconds = (told_at - third).total_seconds()
    print(f"from the third failed slot to the notice: {seconds:.2f} s")
    assert seconds < 50  # five are promised, on a machine that is not ten times slower


async def seen_waiting(pid):
    """Wait until a child waits for its order, the next message, as one does while slots fail."""
    async with asyncio.timeout(600):
        while not any(b"collector.notify.child" in shown_by(child) for child in children(pid)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # looks again


async def entered_as_told(database, *kinds):
    """Wait until the table of notices says that events of these kinds were told."""
    query = (
        "SELECT count(DISTINCT kind) FROM collector.notice"
        f" WHERE kind IN ({', '.join(map(repr, kinds))}) AND told_at IS NOT NULL"
    )
    async with asyncio.timeout(600):
        while await fetch(database, query) != [(len(kinds),)]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # looks again


async def test_a_restart_repeats_nothing(database, broken, tmp_path):
    async with services() as server:
        path = configure(tmp_path, broken)
        urls = server.url("one")
        async with forked(path, database, "--force", COLLECTOR_NOTIFY_URLS=urls) as daemon:
            await server.wait(has_title(server, "slots in a row without a complete sweep"))
            await server.wait(has_title(server, ONE_FAILED))
            await entered_as_told(database, "behind", "failure")
            os.kill(daemon.pid, signal.SIGKILL)
            await daemon.ended()
        async with forked(path, database, "--force", COLLECTOR_NOTIFY_URLS=urls) as again:
            await again.said("sweep.ended", times=5)
            assert (await again.stopped())[0] == 0
    assert count(server, "slots in a row without a complete sweep") == 1
    assert count(server, ONE_FAILED) == 1


async def test_of_two_daemons_one_tells(database, broken, tmp_path):
    async with services() as server:
        path = configure(tmp_path, broken)
        urls = {"COLLECTOR_NOTIFY_URLS": server.url("one")}
        async with forked(path, database, "--force", **urls) as leader:
            await leader.said("lease.taken")
            async with forked(path, database, "--force", **urls) as other:
                await other.said("standby.started")
                await server.wait(has_title(server, "slots in a row without a complete sweep"))
                await server.wait(has_title(server, ONE_FAILED))
                began = len(leader.events("sweep.ended"))
                await leader.said("sweep.ended", times=began + 2)
                assert [(await daemon.stopped())[0] for daemon in (other, leader)] == [0, 0]
    assert count(server, "slots in a row without a complete sweep") == 1
    assert count(server, ONE_FAILED) == 1


def sweeps_before(daemon, line):
    """The sweeps that ended in the last 15 of the 30 seconds for which a service that drips holds its sender up."""
    at = datetime.fromisoformat(line["timestamp"])
    ends = [datetime.fromisoformat(end["timestamp"]) for end in daemon.events("sweep.ended")]
    return [end for end in ends if at - timedelta(seconds=15) < end < at]


async def test_services_that_hang_refuse_or_are_unknown_delay_no_sweep_and_cost_one_warning(
    database, broken, tmp_path
):
    behaviour = {"hangs": "hang", "drips": "drip", "refuses": "refuse", "good": "accept", "ping": "hang"}
    async with services(behaviour.__getitem__) as server:
        path = configure(tmp_path, broken, notify=f"ping: {server.url('ping', 'http')}")
        bad = [server.url("hangs"), server.url("drips"), server.url("refuses"), f"nosuch://{TOKEN}/x"]
        urls = " ".join([*bad, server.url("good")])
        async with forked(path, database, "--force", COLLECTOR_NOTIFY_URLS=urls) as daemon:
            await server.wait(has_title(server, "slots in a row", "good"))
            await set_faults(broken)
            await server.wait(has_title(server, "sweeps are complete again", "good"))
            await daemon.said("notice.undelivered", times=4)
            await daemon.said("ping.failed")
            began = len(daemon.events("sweep.ended"))
            await daemon.said("sweep.ended", times=began + 5)
            status, seconds = await daemon.stopped()
    undelivered = [line["service"] for line in daemon.events("notice.undelivered")]
    assert sorted(undelivered) == sorted(set(undelivered))
    assert len(daemon.events("ping.failed")) == 1
    [drips] = [line for line in daemon.events("notice.undelivered") if line["service"].split()[0] == "2"]
    assert sweeps_before(daemon, drips)
    assert (status, seconds < 50) == (0, True)  # five are promised, on a machine that is not ten times slower
    assert secret_sentinels.shown(daemon.text.encode()) == []


async def test_a_denied_key_is_told_and_so_is_its_return(database, simulator, tmp_path):
    await set_faults(simulator, "ip_8050")
    async with services() as server:
        path = configure(tmp_path, simulator)
        async with forked(path, database, "--force", COLLECTOR_NOTIFY_URLS=server.url("one")) as daemon:
            await daemon.said("key.denied")
            await server.wait(has_title(server, "Kiwoom denies the key main"))
            await set_faults(simulator)
            await server.wait(has_title(server, "The key main works again"))
            assert (await daemon.stopped())[0] == 0
    assert count(server, "Kiwoom denies the key main") == 1


def children(pid):
    """The processes of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def shown_by(pid):
    """The environment and the arguments of a process, empty if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


async def test_the_token_of_a_service_is_in_no_argument_no_environment_and_no_table(
    held, database, broken, tmp_path
):
    seen = b""
    async with services(lambda _: "hang") as server:
        path = configure(tmp_path, broken, notify=f"ping: {server.url('ping', 'http')}")
        file = tmp_path / "urls"
        file.write_text("".join(server.url(name) + "?rto=1\n" for name in ("one", "two")))
        file.chmod(0o600)
        async with forked(path, database, "--force", COLLECTOR_NOTIFY_URLS_FILE=str(file)) as daemon:
            await server.wait(lambda: server.calls("one") > 0)
            for child in children(daemon.pid):
                seen += shown_by(child)
            await daemon.said("notice.undelivered", times=2)
            assert (await daemon.stopped())[0] == 0
    async with held.connection("looking") as connection:
        rows = await connection.fetch("SELECT n::text AS row FROM collector.notice AS n")
    assert b"collector.notify.child" in seen
    seen += json.dumps([row["row"] for row in rows]).encode() + daemon.text.encode()
    assert secret_sentinels.shown(seen) == []
