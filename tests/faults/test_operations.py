"""What kernels and operators do: too little memory, a kill, a configuration half written, a server that refuses."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Options, Simulator
from tests.support.byte_server import Visit, serving
from tests.support.command_process import config, environment, until
from tests.support.command_process import run_cold as run
from tests.support.daemon_process import started, write
from tests.support.harness import STILL, TORN, execute, fetch, url

MANY = [Target.of("KOSDAQ", code, "KRX") for code in ("101", "106", "139", "138", "103", "108")]
ONE = Target.of("KOSPI", "013", "KRX")
COLD = ("-m", "collector", "once", "--quiet")
MEMORY = Path("/sys/fs/cgroup/memory")


@contextmanager
def group_of_memory() -> Iterator[Path]:
    """A control group, at first without a limit; whoever wants more than its limit is killed by the kernel."""
    group = MEMORY / f"collector-test-{uuid4().hex}"
    group.mkdir()
    try:
        yield group
    finally:
        group.rmdir()


def held_in(group: Path) -> int:
    """Bytes that nothing can be dropped of, in a control group."""
    lines = (group / "memory.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["rss"])


@pytest.mark.extended
@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access(MEMORY / "memory.limit_in_bytes", os.W_OK),
    reason="needs root and a memory control group of version 1",
)
async def test_a_sweep_that_the_kernel_kills_for_its_memory_is_taken_up_by_the_next(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *MANY)
    slow = replace(STILL, latency=timedelta(milliseconds=40))
    async with Simulator(slow) as simulator:
        env = environment(simulator.url, database)
        with group_of_memory() as group:
            process = await asyncio.create_subprocess_exec(
                *("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", sys.executable, *COLD),
                env=env,
                cwd=tmp_path,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await until(lambda: simulator.api.book.count >= 8)
            simulator.api.faults.put(["huge_body:bytes=8000000"])
            (group / "memory.limit_in_bytes").write_text(str(held_in(group) + 4_000_000))
            code = await process.wait()
        assert await fetch(database, TORN) == []
        simulator.api.faults.put([])
        assert (await run(*COLD, env=env, cwd=tmp_path)).code == 0
    assert code == -signal.SIGKILL
    assert await fetch(database, "SELECT status, count(*) FROM walk GROUP BY 1") == [("complete", len(MANY))]


@pytest.mark.extended
async def test_a_kill_while_a_token_is_asked_for_leaves_nothing_half_of_it(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, ONE)
    async with Simulator(replace(STILL, faults=("token_slow:seconds=20",))) as simulator:
        env = environment(simulator.url, database)
        process = await asyncio.create_subprocess_exec(sys.executable, *COLD, env=env, cwd=tmp_path)
        await until(lambda: simulator.api.book.count >= 1)
        process.kill()
        await process.wait()
        assert await fetch(database, "SELECT sealed FROM collector.token WHERE sealed IS NOT NULL") == []
        simulator.api.faults.put([])
        assert (await run(*COLD, env=env, cwd=tmp_path)).code == 0
    assert await fetch(database, "SELECT status FROM walk") == [("complete",)]


@pytest.mark.extended
async def test_a_configuration_half_written_or_swapped_is_taken_whole_or_not_at_all(
    database: Dsn, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    link = tmp_path / "current.yaml"
    async with Simulator(Options(quota=0)) as simulator:
        first = write(tmp_path / "first", simulator.url)
        more = "  another: {universe: some, at: '00:01', days: all, grace: 1d}\n"
        second = write(tmp_path / "second", simulator.url, more=more)
        whole = second.read_text()
        link.symlink_to(first)
        async with started(link, database) as daemon:
            await daemon.said("sweep.ended")
            link.unlink()
            link.symlink_to(second)
            for number, length in enumerate((0, len(whole) // 2, len(whole) - 12), start=1):
                second.write_text(whole[:length])
                daemon.signal(signal.SIGHUP)
                await daemon.said("config.refused", times=number)
            second.write_text(whole)
            daemon.signal(signal.SIGHUP)
            await daemon.said("config.reread")
            await daemon.said("sweep.ended", times=2)
            assert (await daemon.stopped())[0] == 0
    assert [line["schedule"] for line in daemon.events("sweep.began")] == ["today", "another"]


async def refusing(visit: Visit) -> None:
    """A server that knows no such password."""
    await visit.reader.read(1024)
    fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "kim"\0\0'
    await visit.send(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)


@pytest.mark.extended
async def test_a_daemon_that_the_database_lets_not_in_ends_at_once_and_has_called_nobody(
    database: Dsn, tmp_path: Path
) -> None:
    async with Simulator(Options(quota=0)) as simulator, serving(refusing) as server:
        path = write(tmp_path, simulator.url)
        wrong = f"postgresql://kim:s3ntinel@127.0.0.1:{server.port}/db?sslmode=disable"
        missing = url(replace(database, database="no_such_database"))
        for address, words in ((wrong, "the password for kim is wrong"), (missing, "no database no_such")):
            async with started(path, database, DATABASE_URL=address) as daemon:
                assert await daemon.ended() == 2
            assert words in daemon.text
            assert "s3ntinel" not in daemon.text
        assert simulator.control.stats()["requests"] == 0


@pytest.mark.extended
async def test_a_daemon_waits_for_a_read_only_database_to_be_a_primary_again(
    database: Dsn, tmp_path: Path
) -> None:
    demoted = f"ALTER DATABASE {database.database} SET default_transaction_read_only"
    elsewhere = replace(database, database="postgres")
    async with Simulator(Options(quota=0)) as simulator:
        await execute(elsewhere, f"{demoted} = on")
        async with started(write(tmp_path, simulator.url), database) as daemon:
            began = await daemon.said("outage.began")
            assert simulator.control.stats()["requests"] == 0
            await execute(elsewhere, f"{demoted} = off")
            await daemon.said("outage.ended")
            await daemon.said("sweep.ended")
            assert (await daemon.stopped())[0] == 0
    assert "it is read-only" in began["reason"]
