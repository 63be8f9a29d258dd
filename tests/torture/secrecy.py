"""Nine sentinels in place of the secrets, every command in health and in trouble, and then the search for them in
every byte that was written: output, logs, pages, metrics, the database's files, log and tables, and the arguments
and the environments of all processes.

The server logs every statement with its values, asyncio its slow steps, and Python its tracebacks.
"""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import ClientSession

from collector.db.pool import connect
from collector.model import Target
from collector.secret import Secret
from kiwoom_simulator import Options
from tests.support import secret_sentinels
from tests.support.command_process import until
from tests.support.harness import url
from tests.torture.cluster import Cluster
from tests.torture.figures import Figures
from tests.torture.world import Stage, World

NAME = "secrecy"
LONG, SHORT = 1, 1

TARGETS = [Target.of("KOSPI", "005", "KRX"), Target.of("KOSPI", "006", "KRX")]
OPTIONS = Options(quota=0, tokens=(secret_sentinels.TOKEN, secret_sentinels.SECOND_TOKEN))
GROSS = {"PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"}
LOUD = ("log_statement=all", "log_connections=on", "log_min_messages=debug1", "log_parameter_max_length=-1")
TABLES = """
SELECT c.oid::regclass AS name
FROM pg_class AS c
WHERE c.relkind = 'r' AND (c.relnamespace = 'collector'::regnamespace OR c.relname IN ('pg_stat_statements', 'pg_proc'))
"""
SERVICES = (
    f"json://127.0.0.1:1/{secret_sentinels.NOTIFY_TOKEN} tgram://{secret_sentinels.NOTIFY_TOKEN}/1"
    f" nosuch://{secret_sentinels.NOTIFY_TOKEN}"
)
"""Services that cannot be reached, have no such URL, or do not exist."""
_ADDRESS = re.compile(r'"address": ?"(http[^"]+)"')
BUG = """
import aiohttp
async def broken(*_, **__):
    raise RuntimeError("a bug")
aiohttp.ClientSession._request = broken
"""
PARTLY = ("first", "last", "most", "lines", "base64", "hex", "percent", "html")
"""How a gateway may quote a secret beside the whole of it."""
TROUBLES = (
    "[1517:",
    "Bearer ***",
    "8001:",
    "the password for watched is wrong",
    "Fatal Python error",
    "RuntimeError: a bug",
    "it cannot be reached, or it does not answer",
    "no service of apprise has such a URL",
    "notice.undelivered",
)


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures()
    folder = world.folder / "secrecy"
    async with world.another_cluster("loud", *LOUD) as cluster:
        data = await _locked(cluster)
        for way in ("environment", "files"):
            async with world.stage(*TARGETS, options=OPTIONS, cluster=cluster) as stage:
                tried = Trial(stage, folder / way, way)
                await (tried.everything() if way == "files" else tried.briefly())
                await _dump(stage, tried.folder)
                figures.count("commands", tried.commands)
                figures.count("pages", tried.pages)
                figures.losses += [*tried.losses, *tried.untried()]
        figures.tried = _size(folder, data)
        figures.losses += [
            f"shown: {each}" for each in secret_sentinels.shown_in(folder, data, but=Trial.KEPT)
        ]
    return figures


async def _locked(cluster: Cluster) -> Path:
    """Have the program's role give its password, and the server log everything; the server's folder."""
    await cluster.execute(f"CREATE ROLE watched SUPERUSER LOGIN PASSWORD '{secret_sentinels.PASSWORD}'")
    async with connect(cluster.address) as connection:
        data = Path(await connection.fetchval("SHOW data_directory"))
    (data / "server.log").write_bytes(b"")  # the statement above does not count
    (data / "pg_hba.conf").write_text("local all watched scram-sha-256\nlocal all all trust\n")
    await cluster.execute("SELECT pg_reload_conf()")
    return data


def _size(*folders: Path) -> int:
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


class Trial:
    """Every command once, in health and in trouble, with the secrets given one way."""

    KEPT = ("app_key", "secret_key", "database_url", "web_token", "notify_urls")
    """The files that hold them on purpose."""

    def __init__(self, stage: Stage, folder: Path, way: str) -> None:
        self.stage = stage
        self.folder = folder
        self.losses: list[str] = []
        self.commands = self.pages = 0
        self._way = way
        folder.mkdir(parents=True)

    async def briefly(self) -> None:
        for arguments in (
            ("check", "--online"),
            ("once", *_slot(0)),
            ("sql", "SELECT * FROM collector.token"),
        ):
            await self.ran(*arguments)
        await self.spoiled()
        await self.notified()

    async def everything(self) -> None:
        for arguments in _healthy():
            await self.ran(*arguments)
        await self.watched()
        self.stage.simulator.api.tokens.expire()
        await self.ran("once", *_slot(1))
        await self.ran(
            "once", *_slot(2), pair=(secret_sentinels.SECOND_APP_KEY, secret_sentinels.SECOND_SECRET_KEY)
        )
        await self.spoiled()
        await self.notified()
        await self.ran("once", "--app-key", "an argument that there is not")

    async def notified(self) -> None:
        """Messages that no service takes: by hand, and of a daemon whose key is denied."""
        await self.ran("notify", "--test")
        await self.stage.connection.execute(
            "DELETE FROM collector.token"
        )  # the daemon asks for one at its start
        self.stage.simulator.api.faults.put(["wrong_keys_8001"])
        async with self._started("daemon") as (process, name):
            await until(
                lambda: process.returncode is not None or self.said(name).count("notice.undelivered") == 3
            )
            self._look_at(process.pid)
            process.send_signal(signal.SIGTERM)
            await process.wait()
        self.stage.simulator.api.faults.put([])
        await self.ran("notify")

    async def spoiled(self) -> None:
        """What goes wrong, each in its way."""
        forms = ("plain", *PARTLY) if self._way == "files" else ("plain",)
        for form in forms:
            await self.troubled(f"quoted_request:api=ka20002,form={form}", has_token=True)
        for form in forms:
            await self.troubled(f"quoted_request:api=au10001,form={form}")
        for fault in ("wrong_keys_8001", "http_5xx", "token_garbage"):
            await self.troubled(fault)
        await self.ran("once", *_slot(4), password=secret_sentinels.PASSWORD[::-1][:9])
        await self.ran("once", *_slot(4), port=1)
        await self.ran("once", *_slot(4), PYTHONPATH=str(self._bug()))
        await self.ran("once", *_slot(4), number=signal.SIGABRT)

    def untried(self) -> list[str]:
        """The troubles of which nothing is to be read: they did not come about."""
        text = "".join(path.read_text(errors="replace") for path in self.folder.glob("*.err"))
        return [f"untried: {trouble!r} stands nowhere" for trouble in TROUBLES if trouble not in text]

    async def troubled(self, fault: str, *, has_token: bool = False) -> None:
        """A sweep under a fault, in need of a new token unless it has one."""
        if not has_token:
            self.stage.simulator.api.tokens.expire()
        self.stage.simulator.api.faults.put([fault])
        await self.ran("once", *_slot(3))
        self.stage.simulator.api.faults.put([])

    async def watched(self) -> None:
        """The daemon with its page: crawled, and looked at from outside."""
        async with self._started("daemon", "--web", COLLECTOR_WEB_LISTEN="127.0.0.1:0") as (process, name):
            await until(
                lambda: process.returncode is not None or _ADDRESS.search(self.said(name)) is not None
            )
            found = _ADDRESS.search(self.said(name))
            assert found, self.said(name)
            await self._crawl(found[1].rstrip("/"))
            self._look_at(process.pid)
            process.send_signal(signal.SIGTERM)
            await process.wait()

    async def _crawl(self, base: str) -> None:
        """Every page within two steps of the first, and what monitors ask for; with the token and without."""
        known, coming = (
            {"/", "/metrics", "/healthz", "/readyz", "/nowhere"},
            ["/", "/metrics", "/readyz", "/nowhere"],
        )
        async with ClientSession(
            headers={"Authorization": f"Bearer {secret_sentinels.WEB_TOKEN}"}
        ) as session:
            for path in coming:
                async with session.get(base + path, headers={"Accept-Language": "en"}) as answer:
                    body = await answer.read()
                self.pages += 1
                (self.folder / f"page{self.pages}").write_bytes(str(answer.headers).encode() + body)
                for link in re.findall(r'href="(/[^"#]*)"', body.decode()) if len(known) < 60 else ():
                    if link not in known:
                        known.add(link)
                        coming.append(link)
            async with session.get(base, headers={"Authorization": "Bearer guessed"}) as answer:
                (self.folder / "page-refused").write_bytes(await answer.read())

    def _look_at(self, pid: int) -> None:
        """What any process shows of itself; environments only where the secrets are not meant to be in one."""
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                for name in secret_sentinels.shown((place / "cmdline").read_bytes()):
                    self.losses.append(f"shown: {name} in the arguments of process {place.name}")
        environs = [Path(f"/proc/{pid}/environ")] if self._way == "files" else []
        for place in environs:
            if place.exists():
                self.losses += [
                    f"shown: {name} in an environment" for name in secret_sentinels.shown(place.read_bytes())
                ]

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.err").read_text()

    def _bug(self) -> Path:
        """A folder from which Python takes a bug amid the request, with the keys among the locals around it."""
        place = self.folder / "bug"
        place.mkdir()
        (place / "sitecustomize.py").write_text(BUG)
        return place

    async def ran(self, *arguments: str, number: int = 0, **spoiled: Any) -> None:
        """A command up to its end."""
        async with self._started(*arguments, **spoiled) as (process, name):
            if number:
                await until(lambda: process.returncode is not None or self.said(name) != "")
                with suppress(ProcessLookupError):
                    process.send_signal(number)
            async with asyncio.timeout(60):
                await process.wait()

    @asynccontextmanager
    async def _started(
        self,
        *arguments: str,
        pair: tuple[str, str] = (secret_sentinels.APP_KEY, secret_sentinels.SECRET_KEY),
        password: str = secret_sentinels.PASSWORD,
        port: int = 0,
        **more: str,
    ) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        self.commands += 1
        name = f"{self.commands:02}-{arguments[0]}"
        place = replace(self.stage.tap.address, user="watched", password=Secret(password))
        secrets = {
            "KIWOOM_APP_KEY": pair[0],
            "KIWOOM_SECRET_KEY": pair[1],
            "DATABASE_URL": url(replace(place, port=port) if port else place),
            "COLLECTOR_WEB_TOKEN": secret_sentinels.WEB_TOKEN,
            "COLLECTOR_NOTIFY_URLS": SERVICES,
        }
        env = {name: value for name, value in self.stage.env.items() if name not in secrets} | GROSS | more
        env["COLLECTOR_CONFIG"] = str(self.stage.config)
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "collector", *arguments),
                env=env | self._given(secrets),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        try:
            yield process, name
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _given(self, secrets: dict[str, str]) -> dict[str, str]:
        if self._way == "environment":
            return secrets
        named = dict(zip(secrets, self.KEPT, strict=True))
        for name, file in named.items():
            path = self.folder / file
            path.touch(mode=0o600)
            path.write_text(secrets[name])
        return {f"{name}_FILE": str(self.folder / file) for name, file in named.items()}


def _healthy() -> Sequence[Sequence[str]]:
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    return (
        ("check",),
        ("check", "--online"),
        ("plan",),
        ("migrate",),
        ("sectors", "--refresh"),
        ("once", *_slot(0)),
        ("status", "--json"),
        ("gaps", "--from", day, "--to", day),
        ("verify",),
        ("schedule", "--next", "3"),
        ("sql", "SELECT * FROM collector.token"),
        ("sql", "SELECT 1 / 0"),
        ("backfill", "--from", day, "--to", day),
    )


def _slot(number: int) -> tuple[str, str]:
    slot = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5 - number)
    return "--slot", slot.isoformat()


async def _dump(stage: Stage, folder: Path) -> None:
    """Every table as text: in the files of the server values may be compressed."""
    for row in await stage.connection.fetch(TABLES):
        await stage.connection.copy_from_query(
            f"SELECT * FROM {row['name']}", output=folder / f"table-{row['name']}", format="csv"
        )
