"""The server for assistants, asked by the SDK's own client over stdio: it answers, it is bounded, it writes nothing."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.base import resources
from collector.db import setup
from collector.db.dsn import Dsn
from collector.db.pool import connect
from tests.support.archive_harness import DAY, KOSPI, fill
from tests.support.command_process import environment
from tests.support.harness import fetch, yaml

if TYPE_CHECKING:  # its import takes a second, which each worker would pay for its collection
    from mcp import Client

pytestmark = pytest.mark.skipif(find_spec("mcp") is None, reason="the extra `mcp` is not installed")


@pytest.fixture
async def filled(database: Dsn) -> Dsn:
    await fill(database, DAY, rows=300)
    async with connect(database) as connection:
        await setup.prepare_database(connection, database, resources.path("migrations"))
    return database


@asynccontextmanager
async def client(address: Dsn, folder: Path) -> "AsyncIterator[Client]":
    from mcp import Client, StdioServerParameters, stdio_client

    (folder / "config").mkdir()
    schedule = "schedules:\n  s: {universe: all, at: '09:00'}\n"
    (folder / "config" / "collector.yaml").write_text(yaml([KOSPI], requests_per_second=5) + schedule)
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "collector", "mcp"],
        env={**environment(None, address), "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
    )
    async with Client(stdio_client(parameters)) as session:
        yield session


async def ask(session: "Client", tool: str, **arguments: Any) -> tuple[bool, str]:
    result = await session.call_tool(tool, arguments)
    return bool(result.is_error), "".join(part.text for part in result.content)


@pytest.mark.extended
async def test_an_assistant_reads_and_cannot_write(filled: Dsn, tmp_path: Path) -> None:
    async with client(filled, tmp_path) as session:
        tools = {tool.name for tool in (await session.list_tools()).tools}
        assert tools == {"freshness", "gaps", "breadth", "sector_days", "sql"}

        failed, text = await ask(session, "freshness")
        assert (failed, json.loads(text.splitlines()[0])["market"]) == (False, "KOSDAQ")
        failed, text = await ask(session, "breadth", market="KOSPI", sector="001", day=f"{DAY:%Y%m%d}")
        assert (failed, len(text.splitlines())) == (False, 3)
        failed, text = await ask(
            session, "sector_days", from_day=str(DAY), to_day=str(DAY + timedelta(days=1))
        )
        assert json.loads(text.splitlines()[0])["sector_name"] == "종합(KOSPI)"
        failed, text = await ask(session, "gaps", from_day=str(DAY), to_day=str(DAY))
        assert not failed, text
        failed, text = await ask(session, "sql", query="SELECT * FROM snapshot")
        assert (failed, len(text.splitlines())) == (False, 1001)
        assert text.endswith("more rows were left out; the limit is 1000")

        before = await fetch(filled, "SELECT count(*) FROM walk")
        for query, says in (
            ("DELETE FROM collector.walk", "no rows|read-only|permission denied"),
            (
                "INSERT INTO collector.listing (symbol, name, first_seen, last_seen) SELECT '1', '1', now(), now()",
                "",
            ),
            ("SELECT * FROM collector.token", "permission denied"),
            ("SELECT pg_read_file('/etc/passwd')", "permission denied"),
            ("SELECT 1; DROP TABLE collector.walk", "multiple commands"),
            ("SELECT set_config('role', 'none', true), set_config('transaction_read_only', 'off', true)", ""),
            ("RESET ROLE", "gives no rows"),
            ("COPY collector.walk TO PROGRAM 'true'", ""),
            ("SELECT * FROM snapshots", "does not exist"),
        ):
            failed, text = await ask(session, "sql", query=query)
            assert failed, (query, text)
            assert any(part in text for part in says.split("|")), (query, text)
        assert await fetch(filled, "SELECT count(*) FROM walk") == before
        failed, text = await ask(session, "breadth", market="KOSPI", sector="999")
        assert (failed, text) == (False, "no rows")
