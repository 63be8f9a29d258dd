"""A morning in a real database, and the page over it: what the tests of the page look at."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from collector import config
from collector.base import resources
from collector.cli.schedule import read_calendar
from collector.daemon import SlotAccounting
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.market import calendar
from collector.model import KST, Certificate, Quote, Remark, Status, Target
from collector.web import AccessPolicy, Live, serve_pages
from collector.web.queries import read_only
from tests.support.database_limits import PATIENT
from tests.support.harness import reading

read_only.QUERY_TIMEOUT = PATIENT
read_only._BOUNDS = read_only._BOUNDS.replace("'3s'", f"'{PATIENT:.0f}s'")
"""The limits of a page's queries: as `widen_limits`."""

YAML = b"""
universes:
  boards:
    - {market: KOSPI, sectors: [001], exchanges: [KRX, NXT]}
    - {market: KOSPI, sectors: [008, 013], exchanges: [KRX]}
schedules:
  intraday: {universe: boards, every: 5m, during: KRX.regular}
"""
OPENING = datetime(2026, 11, 20, 9, 0, tzinfo=KST)
NOW = OPENING + timedelta(minutes=22)
KRX, NXT = Target.of("KOSPI", "001", "KRX"), Target.of("KOSPI", "001", "NXT")
CHEMICALS, ELECTRONICS = Target.of("KOSPI", "008", "KRX"), Target.of("KOSPI", "013", "KRX")
WICKED = "<script>alert(1)</script>"
ERROR = (
    "Rejected: Kiwoom says: 잘못된 요청입니다[1504:해당 URI에서는 지원하는 API ID가 아닙니다. API ID=ka20002]"
)


def slot(number: int) -> datetime:
    """The morning's slots, from 0."""
    return OPENING + number * timedelta(minutes=5)


def listed(count: int, moved: int, *, first: int = 0) -> list[Quote]:
    """Listings of which every third falls; the first has a name that no page may believe."""
    rows = []
    for number in range(first, first + count):
        basis = (-1 if number % 3 == 0 else 1) * (10 * moved + number)
        price = 10_000 + 10 * number + basis
        name = WICKED if number == first else f"종목 {number}"
        rows.append(
            Quote(
                *(f"{number + 1:06}", name, price, basis, basis, 2 if basis > 0 else 5, 1000 + number),
                *(price + 5, price - 5, 10_000, price + 50, price - 50),
            )
        )
    return rows


async def fill(database: Database) -> None:
    """Three whole slots and one with every way to end; the fifth has nobody's word."""
    registry = Registry(database)
    await registry.ensure_source("ours")
    await registry.open()
    store = SnapshotStore(database, registry)
    targets = [KRX, NXT, CHEMICALS, ELECTRONICS]
    whole = Certificate(Status.COMPLETE)
    for number in range(3):
        await store.begin_sweep(slot(number), "boards", targets)
        for target, rows in zip(targets, _walks(number), strict=True):
            await store.save_walk(reading(target, slot(number), rows), whole)
        await store.end_sweep(slot(number), "boards")
    await store.begin_sweep(slot(3), "boards", targets)
    krx, nxt, *_ = _walks(3)
    await store.save_walk(reading(KRX, slot(3), krx), whole)
    await store.save_walk(reading(NXT, slot(3), nxt), Certificate(Status.SUSPECT, (Remark.ROW_COUNT,)))
    await store.save_failure(slot(3), CHEMICALS, error=ERROR, attempts=1)
    await SlotAccounting(database, registry).record_missed([slot(3)], "boards", [ELECTRONICS], "overrun")
    await store.end_sweep(slot(3), "boards")


def _walks(number: int) -> Sequence[list[Quote]]:
    board = listed(240, number)
    return board, listed(30, number + 1), board[:60], board[60:100]


@dataclass(frozen=True)
class Page:
    """A page that is served."""

    url: str
    address: Dsn


@dataclass
class Stand:
    """What a test may set before a page is served; `yaml` also while it is, as a SIGHUP does."""

    yaml: bytes = YAML
    now: Callable[[], datetime] = lambda: NOW
    guard: AccessPolicy = field(default_factory=AccessPolicy)
    home: Path = Path()


@asynccontextmanager
async def page(address: Dsn, stand: Stand | None = None) -> AsyncIterator[Page]:
    """The page over a database, ready to be asked."""
    stand = stand or Stand()
    parsed, days = lru_cache(lambda yaml: config.parse(yaml, "stage.yaml")), days_of()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        async with open_pool(address, size=3) as pool:
            yield Database(pool, address)

    async with serve_pages(
        opened,
        lambda: (parsed(stand.yaml), days),
        live=Live(),
        guard=stand.guard,
        host="127.0.0.1",
        port=0,
        home=stand.home,
        now=stand.now,
    ) as url:
        await until_it_answers(url)
        yield Page(url.rstrip("/"), address)


def days_of() -> calendar.Calendar:
    return read_calendar(resources.path("config", "collector.yaml"))


async def until_it_answers(url: str) -> None:
    async with asyncio.timeout(600):
        while b"not answered yet" in (await get(url.rstrip("/"), "/readyz"))[2]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # looks again


async def get(
    url: str, path: str, *, method: str = "GET", headers: Sequence[str] = ()
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own."""
    place = url.removeprefix("http://")
    lines = [f"{method} {path} HTTP/1.1", *(headers or [f"Host: {place}"]), "Connection: close", "", ""]
    return await raw(url, "\r\n".join(lines).encode())


async def raw(url: str, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Bytes there and back."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body
