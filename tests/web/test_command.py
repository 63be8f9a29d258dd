"""`collector web` as a process: where it listens, what it refuses, how it ends."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.postgres import Address
from tests.stand import url
from tests.web.stage import YAML, get


@asynccontextmanager
async def web(
    tmp_path: Path, address: Address, *arguments: str, **environ: str
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


async def test_it_says_where_it_is_and_ends_when_told(tmp_path, database):
    async with web(tmp_path, database, "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        async with asyncio.timeout(30):
            address = (await process.stdout.readline()).decode().strip()
            status, _, _ = await get(address.rstrip("/"), "/healthz")
            process.send_signal(signal.SIGTERM)
            ended = await process.wait()
    assert (status, ended) == (200, 0)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"COLLECTOR_WEB_LISTEN": "0.0.0.0:0"}, "no token guards it"),
        ({"COLLECTOR_WEB_LISTEN": "here"}, "is no HOST:PORT"),
        ({"COLLECTOR_WEB_TOKEN": ""}, "COLLECTOR_WEB_TOKEN is empty"),
    ],
    ids=["beyond loopback", "no place", "no token"],
)
async def test_what_would_not_be_safe_is_refused_in_one_line(tmp_path, database, environ, said):
    async with web(tmp_path, database, **environ) as process:
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    assert (process.returncode, out, said in err.decode(), "Traceback" in err.decode()) == (
        2,
        b"",
        True,
        False,
    )
