"""The daemon as a process: signals at any moment, also as process 1, and a database that goes and comes."""

import asyncio
import os
import random
import re
import shutil
import signal
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.base import resources
from collector.db import embedded, migrations
from collector.db.pool import connect
from collector.model import KST
from kiwoom_simulator import Options, Simulator
from tests.support.daemon_process import forked, started, write

pytestmark = pytest.mark.usefixtures("warm")
EXTENDED = pytest.mark.extended
ALL = [f"{number:03}" for number in range(2, 25)]
IN_TIME = 50.0
"""Seconds: five are promised, on a machine that is not ten times slower."""
SLOW = {"latency": timedelta(milliseconds=150)}

TORN = """
SELECT count(*)
FROM collector.walk AS w
WHERE w.rows <> (SELECT count(*) FROM collector.snapshot AS s WHERE s.slot = w.slot AND s.target = w.target)
"""


@pytest.fixture
async def simulator():
    async with Simulator(Options(quota=0)) as running:
        yield running


@pytest.fixture
async def slow():
    """A simulator that keeps a sweep under way for a while."""
    async with Simulator(Options(quota=0, **SLOW)) as running:
        yield running


@pytest.fixture
async def slower():
    """One that keeps it under way long enough for a second daemon to start meanwhile."""
    async with Simulator(Options(quota=0, latency=timedelta(seconds=1.5))) as running:
        yield running


async def asked(held, query):
    async with held.connection("looking") as connection:
        return await connection.fetchval(query)


async def test_it_sweeps_and_ends_when_told_to(held, database, simulator, tmp_path):
    async with started(write(tmp_path, simulator.url), database) as daemon:
        await daemon.said("sweep.ended")
        status, seconds = await daemon.stopped()
    assert (status, seconds < IN_TIME) == (0, True)
    assert await asked(held, "SELECT count(*) FROM walk WHERE status = 'complete'") == 2
    assert await asked(held, "SELECT count(*) FROM collector.lease WHERE expires_at > clock_timestamp()") == 0


def of_process(pid, name):
    """A file of /proc."""
    return Path(f"/proc/{pid}/{name}").read_text()


def minds_signals(pid):
    caught = of_process(pid, "status").partition("SigCgt:")[2].split()[0]
    return int(caught, 16) >> (signal.SIGTERM - 1) & 1


async def until_it_minds_signals(pid):
    """Before that nobody can."""
    async with asyncio.timeout(600):
        while not minds_signals(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # looks again: the kernel has no event for it


async def stopped_after(seconds, held, database, slow, tmp_path, *, number=signal.SIGTERM):
    async with started(write(tmp_path, slow.url, sectors=ALL), database) as daemon:
        await until_it_minds_signals(daemon.pid)
        await asyncio.sleep(seconds)  # any moment will do
        daemon.signal(number)
        async with asyncio.timeout(IN_TIME):
            status = await daemon.ended()
    assert (status, await asked(held, TORN)) == (0, 0)


@pytest.mark.parametrize(
    "seconds", [0, 1.2, *(pytest.param(some, marks=EXTENDED) for some in (0.4, 0.8, 1.6, 2.4))]
)
async def test_it_ends_within_five_seconds_at_any_moment_and_nothing_is_torn(
    held, database, slow, tmp_path, seconds
):
    await stopped_after(seconds, held, database, slow, tmp_path)


async def test_it_minds_signals_before_anything_large_is_imported(database, simulator, tmp_path):
    async with started(write(tmp_path, simulator.url), database) as daemon:
        await until_it_minds_signals(daemon.pid)
        loaded = of_process(daemon.pid, "maps")
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
    assert "asyncpg" not in loaded


@pytest.mark.extended
async def test_it_ends_within_five_seconds_at_thirty_moments(held, database, slow, tmp_path):
    chance = random.Random(5)
    for _ in range(30):
        number = chance.choice((signal.SIGTERM, signal.SIGINT))
        await stopped_after(chance.uniform(0, 4), held, database, slow, tmp_path, number=number)


async def test_a_second_signal_ends_it_at_once(database, slow, tmp_path):
    async with forked(write(tmp_path, slow.url, sectors=ALL), database) as daemon:
        await daemon.said("sweep.began")
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)
        async with asyncio.timeout(IN_TIME):
            assert await daemon.ended() in (0, 143)


@pytest.mark.extended
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
async def test_as_process_1_it_ends_within_five_seconds_too(held, database, slow, tmp_path):
    before = ("unshare", "-pf", "--mount-proc")
    async with started(write(tmp_path, slow.url, sectors=ALL), database, before=before) as unshared:
        await unshared.said("sweep.began")
        child = int(of_process(unshared.pid, f"task/{unshared.pid}/children").split()[0])
        os.kill(child, signal.SIGTERM)
        async with asyncio.timeout(IN_TIME):
            assert await unshared.ended() == 0
    assert await asked(held, TORN) == 0


@pytest.mark.extended
async def test_a_hangup_takes_over_a_new_configuration_and_refuses_a_wrong_one(
    held, database, simulator, tmp_path
):
    path = write(tmp_path, simulator.url)
    async with forked(path, database) as daemon:
        await daemon.said("sweep.ended")
        path.write_text(path.read_text() + "\nnonsense: 1\n")
        daemon.signal(signal.SIGHUP)
        refused = await daemon.said("config.refused")
        more = "  another: {universe: some, at: '00:01', days: all, grace: 1d}\n"
        write(tmp_path, simulator.url, more=more)
        daemon.signal(signal.SIGHUP)
        await daemon.said("config.reread")
        await daemon.said("sweep.ended", times=2)
        assert (await daemon.stopped())[0] == 0
    assert "nonsense" in refused["reason"]
    assert daemon.events("sweep.began")[1]["schedule"] == "another"


@pytest.mark.extended
async def test_a_hangup_takes_over_another_scope_of_the_quota(held, database, simulator, tmp_path):
    path = write(tmp_path, simulator.url, quota=200)
    path.write_text(path.read_text().replace("witness: off", "witness: on"))
    lanes = "SELECT array_agg(DISTINCT api_id ORDER BY api_id) FROM collector.place WHERE api_id LIKE 'ka%'"
    async with forked(path, database) as daemon:
        await daemon.said("sweep.ended")
        separate = await asked(held, lanes)
        await asked(held, "DELETE FROM collector.place")
        more = "  another: {universe: some, at: '00:01', days: all, grace: 1d}\nquota: {scope: key}\n"
        write(tmp_path, simulator.url, quota=200, more=more)
        path.write_text(path.read_text().replace("witness: off", "witness: on"))
        daemon.signal(signal.SIGHUP)
        await daemon.said("config.reread")
        await daemon.said("witness.heard", times=2)
        shared = await asked(held, lanes)
        assert (await daemon.stopped())[0] == 0
    assert {"ka20002", "ka20003", "ka20009"} <= set(separate)
    assert shared == ["ka20002"]


def naming_keys(path):
    path.write_text(path.read_text().replace("timeout: 60s", "timeout: 60s, keys: [main]"))


def at_the_mock_host(path):
    path.write_text(
        re.sub("http://[^,]*, requests_per_second: 0", "https://mockapi.kiwoom.com", path.read_text())
    )


def with_a_calendar_that_leads_nowhere(path):
    path.with_name("calendar.yaml").symlink_to("nowhere")


PLAIN = {"keys without files", "wrong keys", "firewall", "throttled"}
"""Of the cases of a table those in a plain run: each costs a daemon."""
UNUSABLE = {
    "keys without files": (naming_keys, "api.keys names keys, but KIWOOM_KEYS is not set"),
    "another source": (at_the_mock_host, "https://mockapi.kiwoom.com is another source than"),
    "a calendar that leads nowhere": (with_a_calendar_that_leads_nowhere, "calendar.yaml: cannot be read"),
}


@pytest.mark.extended
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        pytest.param(*case, id=name, marks=() if name in PLAIN else EXTENDED)
        for name, case in UNUSABLE.items()
    ],
)
async def test_a_configuration_that_cannot_be_carried_out_is_refused_at_a_hangup_and_sweeps_go_on(
    database, simulator, tmp_path, spoil, complaint
):
    path = write(tmp_path, simulator.url)
    async with forked(path, database) as daemon:
        await daemon.said("sweep.ended")
        spoil(path)
        daemon.signal(signal.SIGHUP)
        refused = await daemon.said("config.refused")
        path.with_name("calendar.yaml").unlink(missing_ok=True)
        write(
            tmp_path, simulator.url, more="  another: {universe: some, at: '00:01', days: all, grace: 1d}\n"
        )
        daemon.signal(signal.SIGHUP)
        await daemon.said("sweep.ended", times=2)
        assert (await daemon.stopped())[0] == 0
    assert complaint in refused["reason"]


@pytest.mark.extended
async def test_it_tells_systemd_that_it_is_ready_alive_and_going(database, simulator, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        wire.setblocking(False)
        heard = set()
        # Read as it comes: the kernel keeps some ten messages, and a slow machine has more of the watchdog's.
        asyncio.get_running_loop().add_reader(wire, lambda: heard.add(wire.recv(200).decode()))
        telling = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        async with forked(write(tmp_path, simulator.url), database, **telling) as daemon:
            await daemon.said("sweep.ended")
            await daemon.stopped()
        asyncio.get_running_loop().remove_reader(wire)
        with suppress(BlockingIOError):
            while True:
                heard.add(wire.recv(200).decode())
    assert {"READY=1", "WATCHDOG=1", "STOPPING=1"} <= heard


@pytest.fixture
async def own(tmp_path):
    """A server of the test's own, to be stopped and started."""
    home = tmp_path / "own"
    async with embedded.running(home, durable=False) as address, connect(address) as connection:
        await migrations.migrate(connection, address, resources.path("migrations"))
    return home, address


@pytest.mark.extended
async def test_a_database_that_goes_and_comes_back_is_waited_for_without_a_call(own, slow, tmp_path):
    home, address = own
    async with forked(write(tmp_path, slow.url, sectors=ALL), address) as daemon:
        await daemon.said("plan.check_skipped")
        async with embedded.running(home, durable=False):
            await daemon.said("walk.stored", times=3)
            before = len(daemon.events("outage.began"))  # one, if the daemon was faster than the server
        await daemon.said("outage.began", times=before + 1)
        calls = slow.control.stats()["requests"]
        await asyncio.sleep(2)  # nothing may happen meanwhile: there is no event for that
        assert slow.control.stats()["requests"] <= calls + 4
        async with embedded.running(home, durable=False), connect(address) as connection:
            await daemon.said("sweep.ended")
            found = await connection.fetch("SELECT status, count(*) FROM walk GROUP BY 1")
            assert await connection.fetchval(TORN) == 0
            assert (await daemon.stopped())[0] == 0
    assert {row["status"] for row in found} <= {"complete", "suspect"}
    assert sum(row["count"] for row in found) == len(ALL)
    assert len(daemon.events("outage.began")) == len(daemon.events("outage.ended"))


@EXTENDED
async def test_key_files_are_not_read_again_when_the_database_comes_back(own, simulator, tmp_path):
    home, address = own
    keys = tmp_path / "keys"
    keys.mkdir()
    for part in ("app_key", "secret_key"):
        (keys / f"main.{part}").write_text(f"an-{part}")
        (keys / f"main.{part}").chmod(0o600)
    path = write(tmp_path, simulator.url)
    naming_keys(path)
    named = {"KIWOOM_APP_KEY": None, "KIWOOM_SECRET_KEY": None, "KIWOOM_KEYS": str(keys)}
    async with forked(path, address, **named) as daemon:
        async with embedded.running(home, durable=False):
            await daemon.said("sweep.ended")
            before = len(daemon.events("outage.began"))  # one, if the daemon was faster than the server
        await daemon.said("outage.began", times=before + 1)
        shutil.rmtree(keys)
        async with embedded.running(home, durable=False):
            await daemon.said("lease.taken", times=2)
            assert (await daemon.stopped())[0] == 0


REFUSED = {
    "no schedules": ("schedules: {}", "there are no schedules"),
    "too fast": (
        "schedules: {a: {universe: some, every: 30s, during: KRX.regular}}",
        "30s is below one minute",
    ),
    "too much": (
        "schedules: {a: {universe: all, every: 1m, during: KRX.regular}}",
        "nearest cadence that fits is `every: 2m`",
    ),
}


@pytest.mark.parametrize(("schedules", "complaint"), REFUSED.values(), ids=REFUSED.keys())
async def test_schedules_that_cannot_be_kept_are_refused_and_nothing_is_fetched(
    database, simulator, tmp_path, schedules, complaint
):
    path = write(tmp_path, simulator.url, quota=2)
    text = path.read_text().partition("schedules:")[0]
    everything = "  all: [{market: KOSPI, sectors: all}, {market: KOSDAQ, sectors: all}]\n"
    path.write_text(f"{text}{everything}{schedules}\n")
    async with forked(path, database) as daemon:
        assert await daemon.ended() == 2
    assert complaint in daemon.text
    assert f"{path}:" in daemon.text
    assert simulator.control.stats()["requests"] == 0


@pytest.mark.extended
async def test_a_rate_that_was_learned_does_not_keep_the_daemon_from_starting(
    held, database, simulator, tmp_path
):
    path = write(tmp_path, simulator.url, quota=5)
    text = path.read_text().partition("schedules:")[0]
    everything = "  all: [{market: KOSPI, sectors: all}, {market: KOSDAQ, sectors: all}]\n"
    path.write_text(
        f"{text}{everything}schedules: {{a: {{universe: all, every: 2m, during: KRX.regular}}}}\n"
    )
    async with held.connection("learning") as connection:
        await connection.execute(
            "INSERT INTO collector.quota (key, api_id, granted, granted_at)"
            " VALUES ('any', 'ka20002', 1, clock_timestamp())"
        )
    async with forked(path, database) as daemon:
        warning = await daemon.said("plan.slow")
        await daemon.said("lease.taken")
        assert (await daemon.stopped())[0] == 0
    assert "at 1/s" in warning["reason"]
    assert "collector quota --forget" in warning["hint"]


def write_idle(folder, url):
    """A configuration whose slots are hours away."""
    path = write(folder, url)
    at = f"{datetime.now(KST) + timedelta(hours=6):%H:%M}"
    text = path.read_text().partition("schedules:")[0]
    path.write_text(f"{text}schedules: {{later: {{universe: some, at: '{at}', days: all, grace: 1m}}}}\n")
    return path


def calls_of(simulator):
    return [line["api_id"] for line in simulator.api.book.since(0)]


@pytest.mark.extended
async def test_the_key_is_tried_once_at_the_start_and_a_second_daemon_shares_the_token(
    database, simulator, tmp_path
):
    path = write_idle(tmp_path, simulator.url)
    async with forked(path, database) as first:
        line = await first.said("api.checked")
        assert (line["key"], line["base_url"]) == ("main", simulator.url)
        async with forked(path, database) as second:
            await second.said("api.checked")
            assert calls_of(simulator) == ["au10001"]
            assert (await second.stopped())[0] == 0
        assert (await first.stopped())[0] == 0


BAD_KEYS = {
    "wrong keys": ("wrong_keys_8001", "key.denied", "8001", "KIWOOM_APP_KEY"),
    "wrong host": ("wrong_host_8030", "key.denied", "8030", "KIWOOM_BASE_URL"),
    "wrong address": ("ip_8050", "key.denied", "8050", "IP address"),
    "firewall": ("firewall_html_400", "key.denied", "Request Rejected", "firewall"),
    "maintenance": ("maintenance_text", "api.unavailable", "서비스 점검 중입니다", "first slot"),
    "failing": ("token_500", "api.unavailable", "HTTP 500", "first slot"),
    "throttled": ("token_429", "api.unavailable", "HTTP 429", "first slot"),
    "garbage": ("token_missing", "key.denied", "the token is not a text", "api.base_url"),
}


@pytest.mark.parametrize(
    ("fault", "event", "reason", "hint"),
    [
        pytest.param(*case, id=name, marks=() if name in PLAIN else EXTENDED)
        for name, case in BAD_KEYS.items()
    ],
)
async def test_what_is_wrong_with_the_key_or_the_host_is_said_at_once_and_it_runs_on(
    database, tmp_path, fault, event, reason, hint
):
    async with (
        Simulator(Options(quota=0, faults=(fault,))) as simulator,
        forked(write_idle(tmp_path, simulator.url), database) as daemon,
    ):
        line = await daemon.said(event)
        assert reason in line["reason"]
        assert hint in line["hint"]
        assert set(calls_of(simulator)) == {"au10001"}
        assert len(calls_of(simulator)) <= 3
        assert (await daemon.stopped())[0] == 0


@pytest.mark.extended
async def test_an_api_that_is_away_at_the_start_is_said_at_once_and_it_runs_on(database, tmp_path):
    async with forked(write_idle(tmp_path, "http://127.0.0.1:9"), database) as daemon:
        line = await daemon.said("api.unavailable")
        assert "the connection was refused" in line["reason"]
        assert (await daemon.stopped())[0] == 0


@pytest.mark.extended
async def test_a_dead_holder_is_followed_within_seventeen_seconds(held, database, simulator, tmp_path):
    path = write(tmp_path, simulator.url)
    async with forked(path, database) as first:
        taken = await first.said("lease.taken")
        async with forked(path, database) as second:
            standing_by = await second.said("standby.started")
            assert standing_by["holder"] == taken["holder"] != standing_by["standby"]
            first.signal(signal.SIGKILL)
            assert (await second.said("lease.taken"))["holder"] == standing_by["standby"]


@pytest.mark.extended
@pytest.mark.parametrize("moment", [0.0, 0.2, 0.5, 1.1])
async def test_a_holder_that_was_frozen_commits_nothing_when_it_wakes(
    held, database, slower, tmp_path, moment
):
    path = write(tmp_path, slower.url, sectors=ALL)
    async with forked(path, database) as first:
        await first.said("walk.stored")
        async with forked(path, database) as second:
            await second.said("standby.started")
            await asyncio.sleep(moment)  # any moment of its sweep will do
            first.signal(signal.SIGSTOP)
            await second.said("lease.taken")
            await second.said("sweep.ended")
            before = await asked(
                held, "SELECT md5(string_agg(w::text, ',' ORDER BY target)) FROM collector.walk AS w"
            )
            first.signal(signal.SIGCONT)
            await first.said("lease.lost")
            await first.said("standby.started")
            after = await asked(
                held, "SELECT md5(string_agg(w::text, ',' ORDER BY target)) FROM collector.walk AS w"
            )
            assert (await first.stopped())[0] == 0
    assert before == after
    assert await asked(held, TORN) == 0
