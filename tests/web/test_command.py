"""The page as a process, alone, beside a daemon's sweeps and after a demonstration: where it listens, how it ends."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from kiwoom_simulator import Options, Simulator
from tests.support import command_process
from tests.support.daemon_process import forked, write
from tests.support.harness import url
from tests.support.web_harness import YAML, get


@asynccontextmanager
async def web(
    tmp_path: Path, address: Dsn, *arguments: str, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    config = tmp_path / "collector.yaml"
    config.write_bytes(YAML)
    ours = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url(address),
        "COLLECTOR_HOME": str(tmp_path / "home"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "web", "--config", str(config), *arguments),
        env={**ours, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.extended
async def test_it_says_where_it_is_and_ends_when_told(tmp_path, database):
    async with web(tmp_path, database, "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        async with asyncio.timeout(600):
            address = (await process.stdout.readline()).decode().strip()
            status, _, _ = await get(address.rstrip("/"), "/healthz")
            process.send_signal(signal.SIGTERM)
            ended = await process.wait()
    assert (status, ended) == (200, 0)


@pytest.mark.extended
async def test_a_daemon_shows_what_it_sweeps(tmp_path, database, warm):
    async with Simulator(Options(quota=0)) as simulator:
        config = write(tmp_path, simulator.url)
        async with forked(config, database, "--web", COLLECTOR_WEB_LISTEN="127.0.0.1:0") as daemon:
            address = (await daemon.said("web.listening"))["address"].rstrip("/")
            await daemon.said("sweep.ended")
            ready, _, _ = await get(address, "/readyz")
            _, _, metrics = await get(address, "/metrics")
            status, seconds = await daemon.stopped()
    assert (ready, status, seconds < 50) == (200, 0, True)
    assert b'collector_requests_total{answer="ok"} 3.0' in metrics
    assert b"collector_lease_held 1.0" in metrics
    assert b'collector_walks_total{status="complete"} 2.0' in metrics
    assert b'collector_request_seconds_count{api_id="ka20002"} 2.0' in metrics
    rows = re.search(rb"collector_rows_total ([0-9.]+)", metrics)
    assert rows
    assert float(rows[1]) > 0


@pytest.mark.extended
async def test_a_demonstration_keeps_its_page_open_until_told_to_stop(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "demo", "--web"),
        env={
            "PATH": os.environ["PATH"],
            "COLLECTOR_HOME": str(tmp_path),
            "COLLECTOR_WEB_LISTEN": "127.0.0.1:0",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(300):
        while not (line := (await process.stdout.readline()).decode()).startswith("open "):
            assert line, "ended without a page"
        status, _, _ = await get(line.split()[1].rstrip("/"), "/")
        process.send_signal(signal.SIGINT)
        ended = await process.wait()
    assert (status, ended) == (200, 0)
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"COLLECTOR_WEB_LISTEN": "0.0.0.0:0"}, "no token is set"),
        ({"COLLECTOR_WEB_LISTEN": "here"}, "is not HOST:PORT"),
        ({"COLLECTOR_WEB_TOKEN": ""}, "COLLECTOR_WEB_TOKEN is empty"),
        ({"COLLECTOR_WEB_TOKEN": "1"}, "COLLECTOR_WEB_TOKEN is shorter than 16 characters"),
    ],
    ids=["beyond loopback", "no place", "no token", "a token of one character"],
)
async def test_what_would_not_be_safe_is_refused_in_one_line(tmp_path, database, environ, said, warm):
    given = {"PATH": os.environ["PATH"], "DATABASE_URL": url(database), "COLLECTOR_HOME": str(tmp_path)}
    config = tmp_path / "collector.yaml"
    config.write_bytes(YAML)
    ended = await command_process.run("web", "--config", str(config), env={**given, **environ}, cwd=tmp_path)
    assert (ended.code, ended.out, said in ended.err, "Traceback" in ended.err) == (2, "", True, False)
