"""A stand for trying whole sweeps: the program as it is wired, a database, and a simulator to ask."""

from array import array
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from collector import config
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.config import Environment
from collector.db import Connection
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import connect, open_pool
from collector.db.snapshots import SnapshotStore
from collector.model import KST, Exchange, Page, PageListings, Quote, QuoteColumns, Target, WalkResult
from collector.secret import Secret
from collector.sweep.sweeper import Collector
from kiwoom_simulator import Options

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
"""A Friday, two hours after the opening: prices of both venues move, and here they stand still."""
APP_KEY, SECRET_KEY = "s3ntinel-app-key", "s3ntinel-secret-key"
STILL = Options(quota=0, freeze=OPEN)


TORN = """
SELECT w.slot, w.target
FROM collector.walk AS w
FULL JOIN collector.snapshot AS s USING (slot, target)
GROUP BY w.slot, w.target, w.rows
HAVING count(s.slot) IS DISTINCT FROM w.rows
"""
"""Walks whose rows are not as many as their line in the ledger says."""


def url(address: Dsn) -> str:
    """An address as a DATABASE_URL."""
    user, database = quote(address.user, safe=""), quote(address.database, safe="")
    password = f":{quote(address.password.reveal(), safe='')}" if address.password else ""
    if address.is_socket:
        return f"postgresql://{user}{password}@/{database}?host={quote(address.host, safe='')}&port={address.port}"
    place = f"{address.host}:{address.port}"
    pooler = "&pgbouncer=true" if address.pgbouncer else ""
    return f"postgresql://{user}{password}@{place}/{database}?sslmode={address.sslmode}{pooler}"


def yaml(targets: Iterable[Target] = (), *, witness: str = "off", scope: str = "learned", **api: Any) -> str:
    """A configuration with one universe, `all`; without a quota and second sources unless they are given.

    A request has a minute: a machine that stands still for some seconds fails no test.
    """
    settings = {"requests_per_second": 0, "timeout": "60s", **api}
    lines = [
        f"    - {{market: {t.market}, sectors: ['{t.sector}'], exchanges: [{t.exchange}]}}" for t in targets
    ]
    head = [
        f"witness: {witness}",
        f"quota: {{scope: {scope}}}",
        "api:",
        *(f"  {name}: {value}" for name, value in settings.items()),
        "universes:",
        "  all:",
    ]
    return "\n".join([*head, *lines]) + "\n"


@lru_cache
def parsed(text: str, base_url: str) -> config.Config:
    return config.parse(text.encode(), "stand.yaml", base_url=base_url)


@asynccontextmanager
async def collecting(
    address: Dsn,
    base_url: str,
    *targets: Target,
    secret_key: str = SECRET_KEY,
    app_key: str = APP_KEY,
    opened: Database | None = None,
    **api: Any,
) -> AsyncIterator[Collector]:
    """Everything that a sweep of these targets needs, wired as the program wires it.

    Sweeps of one database may share a pool of sessions: `opened`. A new session costs PostgreSQL some 10 ms.
    """
    environment = Environment(
        app_key=Secret(app_key), secret_key=Secret(secret_key), database_url=Secret(url(address))
    )
    settings = parsed(yaml(targets or [Target.of("KOSPI", "001", "KRX")], **api), base_url)
    async with bootstrap.open_collector(CliContext(environment, settings), opened=opened) as collector:
        yield collector


@asynccontextmanager
async def opened_database(address: Dsn, *, size: int = 12) -> AsyncIterator[Database]:
    """A pool of sessions with a database, to be shared by the collectors of a test."""
    async with open_pool(address, size=size) as pool:
        yield Database(pool, address)


@asynccontextmanager
async def opened_store(address: Dsn) -> AsyncIterator[SnapshotStore]:
    """A store of snapshots with the targets that the database knows."""
    async with opened_database(address, size=3) as database:
        store = SnapshotStore(database, Registry(database))
        await store.registry.open()
        yield store


async def fetch(address: Dsn, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, read with a session of its own."""
    async with connect(address) as connection:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def execute(address: Dsn, query: str, *arguments: Any) -> None:
    async with connect(address) as connection:
        await connection.execute(query, *arguments)


def as_stored(row: Mapping[str, str]) -> tuple[Any, ...]:
    """A row as the simulator serves it, as the view `snapshot` should give it back: symbol to low."""
    price, ask, bid, opened, high, low = (
        abs(int(row[name])) or None
        for name in ("cur_prc", "sel_bid", "buy_bid", "open_pric", "high_pric", "low_pric")
    )
    percent = round(float(row["flu_rt"]) * 100)
    return (
        *(row["stk_cd"][:6], row["stk_nm"], price, int(row["pred_pre"]), percent, int(row["pred_pre_sig"])),
        *(int(row["now_trde_qty"]), ask, bid, opened, high, low),
    )


STORED = """
SELECT symbol, name, price, change, (change_percent * 100)::integer, sign, volume, ask, bid, open, high, low
FROM snapshot
WHERE slot = $1 AND market = $2 AND sector = $3 AND exchange = $4
ORDER BY position
"""


async def stored(address: Dsn, slot: datetime, target: Target) -> list[tuple[Any, ...]]:
    """The rows of a walk as the view shows them, in order."""
    async with connect(address) as connection:
        return await fetch_walk(connection, slot, target)


async def stored_walks(
    address: Dsn, keys: Iterable[tuple[datetime, Target]]
) -> dict[tuple[datetime, Target], list[tuple[Any, ...]]]:
    """The rows of many walks by slot and target, read with one session: a session costs 10 ms of processor time."""
    async with connect(address) as connection:
        return {(slot, target): await fetch_walk(connection, slot, target) for slot, target in keys}


async def fetch_walk(connection: Connection, slot: datetime, target: Target) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(STORED, slot, *target)]


def snapshots(count: int, *, first: int = 0, name: str = "name", price: int = 1000) -> list[Quote]:
    """Rows whose values all differ, so that none can stand in for another."""
    return [
        Quote(
            symbol=f"{number:06}",
            name=f"{name} {number}",
            price=price + number,
            change=-number,
            change_bp=number - 40,
            sign=1 + number % 5,
            volume=3_000_000_000 + number,
            ask=price + number + 5 if number % 3 else None,
            bid=price + number - 5 if number % 3 else None,
            open=price + 1 if number % 7 else None,
            high=price + 2 * number,
            low=1 + number,
        )
        for number in range(first, first + count)
    ]


def columns(rows: Iterable[Quote]) -> QuoteColumns:
    """Single rows as the columns of a page."""
    walked = list(rows)
    symbol, name, *values = zip(*walked, strict=True) if walked else [()] * len(Quote._fields)
    numbers = ([0 if value is None else value for value in column] for column in values)
    return QuoteColumns(PageListings(symbol, name), *map(array, "iiibqiiiii", numbers))


def reading(target: Target, slot: datetime, rows: Sequence[Quote], **changes: Any) -> WalkResult:
    """A walk that found these rows on pages of 100, one a second."""
    parts = [rows[start : start + 100] for start in range(0, len(rows), 100)] or [[]]
    keys = [f"N{number}" for number in range(1, len(parts))] + [None]
    facts = {
        "pages": [Page(columns(part), key) for part, key in zip(parts, keys, strict=True)],
        "requested_at": slot + timedelta(seconds=1),
        "page_times": [slot + timedelta(seconds=2 + number) for number in range(len(parts))],
        "attempts": len(parts),
        **changes,
    }
    return WalkResult(target=target, slot=slot, **facts)


KRX = Exchange.KRX
