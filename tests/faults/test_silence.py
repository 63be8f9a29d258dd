"""A client that is lost in the middle of COPY behind a network gone silent: its server lets it go, and its locks."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.db.pool import connect
from tests.torture.cluster import Cluster, carried_out, running

HERE, THERE = "10.213.77.1", "10.213.77.2"
LIMIT = 40.0
"""Seconds: ten of silence until the server asks, three times five until it gives up, and some."""
CLIENT = f"""
import asyncio
from collector.db import Dsn, connect

async def rows():
    yield (1,)
    await asyncio.sleep(0.5)  # what is sent by then has arrived
    print("copying", flush=True)
    await asyncio.sleep(600)  # until the process is ended

async def main():
    address = Dsn(host="{HERE}", database="postgres", user="postgres", sslmode="disable")
    async with connect(address, statement_timeout=5) as connection, connection.transaction():
        await connection.execute("LOCK TABLE t IN EXCLUSIVE MODE")
        await connection.copy_records_to_table("t", records=rows())

asyncio.run(main())
"""

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip"), reason="needs root, for a network of its own"
    ),
]


@asynccontextmanager
async def another_network() -> AsyncIterator[str]:
    """A network namespace whose only way out leads here."""
    name = f"lost{os.getpid()}"
    await carried_out("ip", "netns", "add", name)
    try:
        await carried_out("ip", "link", "add", name, "type", "veth", "peer", "name", "out", "netns", name)
        await carried_out("ip", "address", "add", f"{HERE}/24", "dev", name)
        await carried_out("ip", "link", "set", name, "up")
        await carried_out("ip", "-n", name, "address", "add", f"{THERE}/24", "dev", "out")
        await carried_out("ip", "-n", name, "link", "set", "out", "up")
        yield name
    finally:
        await carried_out("ip", "link", "delete", name)  # at once; a namespace goes in its own time
        await carried_out("ip", "netns", "delete", name)


def trust(rules: Path) -> None:
    rules.write_text(f"{rules.read_text()}\nhost all all {THERE}/32 trust\n")


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[Cluster]:
    """A server that listens there, and trusts whoever comes from there."""
    async with running(folder, f"listen_addresses={HERE}") as cluster:
        trust(folder / "data" / "pg_hba.conf")
        await cluster.execute("SELECT pg_reload_conf()")
        await cluster.execute("CREATE TABLE t (i int)")
        yield cluster


async def test_the_locks_of_a_client_lost_in_mid_copy_are_free_within_half_a_minute(tmp_path: Path) -> None:
    async with another_network() as network, listening(tmp_path / "server") as cluster:
        client = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", network, sys.executable, "-c", CLIENT), stdout=asyncio.subprocess.PIPE
        )
        try:
            assert client.stdout
            assert await client.stdout.readline() == b"copying\n"
            await carried_out("ip", "-n", network, "link", "set", "out", "down")
            async with (
                asyncio.timeout(LIMIT),
                connect(cluster.address, statement_timeout=LIMIT) as connection,
            ):
                await connection.execute("SET lock_timeout = 0")
                await connection.execute("DROP TABLE t")
        finally:
            client.kill()
            await client.wait()
