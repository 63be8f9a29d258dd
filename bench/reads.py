"""How long the questions of docs/how-to/read-from-sql.md and the status page take, in a year of sweeps or a part.

    python -m bench reads [--rows N ...] [--home FOLDER] [--calls N] [--pages]

Ten million rows unless told otherwise; each number of them is a database of its own under `.bench`, made when it is
first asked for (100 million: 9 GB). `--home` names one that `bench scale` filled.

Each question is asked with other parameters every time, drawn from the whole year; all have been asked once before,
so that everything is warm. The time ends when the last row has arrived as text. Beside it stands what the server's
session used of the processor, which depends less on what else the machine does. The page is asked by one reader;
`fresh` pauses between two requests until nothing of the last one is remembered.
"""

import argparse
import asyncio
import http.client
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from bench import scale
from bench.scale import CONFIG
from collector import log
from collector.base import resources
from collector.db import embedded, migrations
from collector.db.dsn import Dsn
from collector.db.pool import Connection, connect
from collector.model import KST

_FORGOTTEN = 3.1
"""Seconds after which the page remembers nothing but what never changes."""
_SLOTS = "SELECT slot FROM collector.sweep WHERE universe = 'boards' ORDER BY slot"
_CLOSES = "SELECT slot FROM collector.sweep WHERE universe = 'everything' ORDER BY slot"
_SYMBOLS = """
SELECT l.symbol
FROM collector.snapshot AS s
JOIN collector.listing AS l ON l.id = s.listing
JOIN collector.target AS t ON t.id = s.target
WHERE s.slot = $1 AND t.sector = '001' AND t.exchange = 'NXT'
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What parameters are drawn from."""

    slots: Sequence[datetime]
    closes: Sequence[datetime]
    symbols: Sequence[str]
    names: Sequence[str]


Draw = Callable[[random.Random, Known], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the table; `goal` in milliseconds, 0 where none is set."""

    name: str
    query: str
    draw: Draw = lambda _, __: ()
    goal: float = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds, one a call."""

    rows: int
    wall: Sequence[float]
    used: Sequence[float]


def _slot(chance: random.Random, known: Known) -> tuple[object, ...]:
    return (chance.choice(known.slots),)


def _close(chance: random.Random, known: Known) -> tuple[object, ...]:
    return (chance.choice(known.closes),)


def _listing(chance: random.Random, known: Known) -> tuple[object, ...]:
    return (chance.choice(known.symbols), chance.choice(known.slots).astimezone(KST).date())


def _day(chance: random.Random, known: Known) -> tuple[object, ...]:
    return (chance.choice(known.slots).astimezone(KST).date(),)


def _hour(chance: random.Random, known: Known) -> tuple[object, ...]:
    at = chance.choice(known.closes) - timedelta(hours=chance.uniform(1, 6))
    return (at - timedelta(hours=1), at)


def _days(chance: random.Random, known: Known) -> tuple[object, ...]:
    first, last = sorted(chance.sample(known.closes, 2))
    return (first.astimezone(KST).date(), last.astimezone(KST).date())


_VIEW = "SELECT * FROM snapshot WHERE slot = $1 AND market = 'KOSPI' AND sector = '{}' AND exchange = 'KRX'"
QUESTIONS = (
    Question("a sector at one slot", "SELECT * FROM as_of('KOSPI', '013', 'KRX', $1)", _close, 2),
    Question("a board of NXT at one slot", "SELECT * FROM as_of('KOSPI', '001', 'NXT', $1)", _slot, 2),
    Question("a board at one slot", "SELECT * FROM as_of('KOSPI', '001', 'KRX', $1)", _slot, 3),
    Question("… by the view snapshot", _VIEW.format("001"), _slot),
    Question("a listing's day", "SELECT * FROM listing_day($1, $2)", _listing, 10),
    Question("latest of the boards", "SELECT * FROM latest WHERE sector IN ('001', '101')", goal=50),
    Question("latest of everything", "SELECT * FROM latest", goal=50),
    Question("a sector's day", "SELECT * FROM breadth('KOSPI', '013', 'KRX', $1)", _day),
    Question("a board's day", "SELECT * FROM breadth('KOSPI', '001', 'KRX', $1)", _day),
    Question("KRX against NXT", "SELECT * FROM krx_nxt('KOSPI', '001', $1)", _slot),
    Question("CONSOLIDATED, a check", "SELECT * FROM consolidated_check('KOSPI', '001', $1)", _close),
    Question("movers of an hour", "SELECT * FROM movers('KOSPI', '001', 'KRX', $1, $2)", _hour),
    Question("membership changes", "SELECT * FROM membership_changes($1, $2)", _days),
    Question("a sector's memberships", "SELECT * FROM membership WHERE sector = '013' AND exchange = 'KRX'"),
)
PAGES = (
    "/",
    "/day/{day}",
    "/slot/{close}",
    "/walk/{slot}/KOSPI/001/KRX",
    "/heat/KOSPI/KRX?day={day}",
    "/sector/KOSPI/001/KRX?day={day}",
    "/sector/KOSPI/013/KRX?day={day}",
    "/sector/KOSPI/001/KRX?day={day}&days=5",
    "/listing/{symbol}?day={day}",
    "/compare?targets=KOSPI/001/KRX,KOSDAQ/101/KRX&day={day}",
    "/failures?day={day}",
    "/failures",
    "/sectors",
    "/search?q={word}",
    "/metrics",
)
"""Addresses; what stands in braces is drawn anew for each request, so that no answer is remembered."""


def main(arguments: list[str]) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="bench reads", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000])
    parser.add_argument("--home", type=Path, help="as `bench scale` had it")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--pages", action="store_true", help="ask the page, too")
    parser.add_argument("--only", default="", help="questions whose name has this in it")
    chosen = parser.parse_args(arguments)
    if chosen.home and not (chosen.home / "postgres").exists():
        parser.error(
            f"there is no database in {chosen.home}: python -m bench scale --home {chosen.home} makes one"
        )
    asyncio.run(_measure_all(chosen))


async def _measure_all(chosen: argparse.Namespace) -> None:
    log.configure(level="error")
    for rows in [0] if chosen.home else chosen.rows:
        await _measure(chosen.home or await scale.home_of(rows), chosen)


async def _measure(home: Path, chosen: argparse.Namespace) -> None:
    async with embedded.running(home) as address:
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
            title = f"PostgreSQL {await _title(connection)}, {chosen.calls} calls, milliseconds"
            known = await drawn_from(connection)
            table = _table("question", "rows", title)
            for question in QUESTIONS:
                if chosen.only in question.name:
                    found = await ask(connection, question, known, chosen.calls)
                    _add(table, question.name, found, question.goal)
        Console(width=120).print(table)
        if chosen.pages:
            Console(width=120).print(await asyncio.to_thread(_pages, address, home, known, chosen.calls))


async def _title(connection: Connection) -> str:
    version = str(await connection.fetchval("SHOW server_version")).split()[0]
    rows = await connection.fetchval("SELECT sum(rows) FROM collector.walk WHERE status = 'complete'")
    return f"{version}, {rows:,} rows"


async def drawn_from(connection: Connection) -> Known:
    """What there is to ask about."""
    slots = [row["slot"] for row in await connection.fetch(_SLOTS)]
    closes = [row["slot"] for row in await connection.fetch(_CLOSES)]
    symbols = [row["symbol"] for row in await connection.fetch(_SYMBOLS, slots[-1])]
    names = [row["name"] for row in await connection.fetch("SELECT name FROM collector.listing ORDER BY id")]
    return Known(slots, closes, symbols, names)


def draw_address(template: str, chance: random.Random, known: Known) -> str:
    """Fill in the braces of an address; a name is cut to its first two characters."""
    slot, close = (chance.choice(instants).astimezone(KST) for instants in (known.slots, known.closes))
    return template.format(
        day=close.date(),
        slot=f"{slot:%Y%m%dT%H%M%S}",
        close=f"{close:%Y%m%dT%H%M%S}",
        symbol=chance.choice(known.symbols),
        word=quote(chance.choice(known.names)[:2]),
    )


async def ask(connection: Connection, question: Question, known: Known, calls: int) -> Measured:
    """Ask so many different ones, twice; the second time counts."""
    chance = random.Random(20002)
    asked = [_text(question.query, question.draw(chance, known)) for _ in range(calls)]
    session = await connection.fetchval("SELECT pg_backend_pid()")
    wall, used, rows = [], [], []
    for query in (*asked, *asked):
        before, began = on_processor(session), time.perf_counter()
        status = await connection.execute(query)
        wall.append((time.perf_counter() - began) * 1000)
        used.append(on_processor(session) - before)
        rows.append(int(status.split()[1]))
    return Measured(max(rows), wall[calls:], used[calls:])


def _text(query: str, drawn: Sequence[object]) -> str:
    """A query with its parameters in it, which are instants, days and symbols."""
    for number, value in enumerate(drawn, 1):
        query = query.replace(f"${number}", f"'{value}'")
    return query


def on_processor(process: int) -> float:
    """Milliseconds that a process has run so far; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return 0.0


def _table(what: str, size: str, title: str) -> Table:
    table = Table(what, title=title, title_justify="left")
    for heading in (size, "median", "p95", "processor", "p95", "goal"):
        table.add_column(heading, justify="right")
    return table


def _add(table: Table, name: str, found: Measured, goal: float) -> None:
    figures = (f"{at:,.1f}" for taken in (found.wall, found.used) for at in _middle_and_late(taken))
    table.add_row(name, f"{found.rows:,}", *figures, f"{goal:g}" if goal else "")


def _middle_and_late(taken: Sequence[float]) -> tuple[float, float]:
    """Median and p95."""
    ordered = sorted(taken)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def _pages(address: Dsn, home: Path, known: Known, calls: int) -> Table:
    table = _table(
        "page", "bytes", f"the page, {calls} requests, milliseconds; processor: of the page's process"
    )
    with serving(address, home) as (host, process):
        for path in PAGES:
            _add(table, path, read(host, process, path, known, calls), 50 if "search" in path else 100)
        _add(table, "/, fresh", read(host, process, "/", known, max(3, calls // 3), _FORGOTTEN), 100)
    return table


def read(host: str, process: int, template: str, known: Known, calls: int, pause: float = 0.0) -> Measured:
    """Ask for a page so many times, a few times before that, with a pause before each."""
    wall, used, size = [], [], 0
    chance = random.Random(20002)
    with closing(http.client.HTTPConnection(host, timeout=30)) as reader:
        for number in range(calls + 3):
            time.sleep(pause)
            address = draw_address(template, chance, known)
            address += f"{'&' if '?' in address else '?'}number={number}"
            before, began = on_processor(process), time.perf_counter()
            reader.request("GET", address)
            answer = reader.getresponse()
            size = len(answer.read())
            if answer.status != 200:
                raise SystemExit(f"{address} was answered by {answer.status}")
            wall.append((time.perf_counter() - began) * 1000)
            used.append(on_processor(process) - before)
    return Measured(size, wall[3:], used[3:])


@contextmanager
def serving(address: Dsn, home: Path) -> Iterator[tuple[str, int]]:
    """`collector web` in a process of its own: where it listens, and its number."""
    config = home / "reads.yaml"
    config.write_text(CONFIG % "http://127.0.0.1:9")
    place = f"postgresql://{address.user}@/{address.database}?host={quote(address.host, safe='')}&port={address.port}"
    environ = os.environ | {"DATABASE_URL": place, "COLLECTOR_CONFIG": str(config)}
    command = (sys.executable, "-m", "collector", "web", "--listen", "127.0.0.1:0")
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as web:
        assert web.stdout is not None
        host = web.stdout.readline().strip().removeprefix("http://").rstrip("/")
        try:
            _await_ready(host)
            yield host, web.pid
        finally:
            web.terminate()


def _await_ready(host: str) -> None:
    for _ in range(100):
        with closing(http.client.HTTPConnection(host, timeout=30)) as reader:
            reader.request("GET", "/")
            if reader.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the page does not come up")
