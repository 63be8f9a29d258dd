"""The judge: holds what is in the database against what the simulator says it served.

Each finding is a line that begins with its kind. It reads the public views only, so that the layout beneath
them may change.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from collector.db import Connection
from collector.model import Exchange, Target
from kiwoom_simulator import Simulator
from tests.support.harness import STORED, as_stored

_TORN = """
SELECT market || '/' || sector || '/' || exchange, slot, w.rows, count(s.position),
       count(DISTINCT s.position), COALESCE(max(s.position), 0)
FROM walk AS w
FULL JOIN snapshot AS s USING (slot, market, sector, exchange)
GROUP BY slot, market, sector, exchange, w.rows
HAVING count(s.position) IS DISTINCT FROM w.rows
    OR count(s.position) <> count(DISTINCT s.position)
    OR count(s.position) <> COALESCE(max(s.position), 0)
"""
_TORN_BARS = """
SELECT w.symbol, w.rows, count(b.symbol)
FROM bar_walk AS w
FULL JOIN bar AS b ON b.symbol = w.symbol AND b.trading_date BETWEEN w.from_date AND w.to_date
GROUP BY w.symbol, w.rows
HAVING count(b.symbol) IS DISTINCT FROM w.rows
"""
_WALKS = (
    "SELECT slot, market, sector, exchange, status, rows FROM walk ORDER BY slot, market, sector, exchange"
)
_COMPLETE = "SELECT market, sector, exchange FROM walk WHERE status = 'complete'"
_SYMBOLS = "SELECT symbol FROM bar_walk WHERE status = 'complete'"
_EVERYTHING = """
SELECT line
FROM (
    SELECT 'snapshot ' || ROW(market, sector, exchange, position, symbol, name, price, change, change_percent,
                              sign, volume, ask, bid, open, high, low)::text
    FROM snapshot
    UNION ALL
    SELECT 'walk ' || ROW(market, sector, exchange, status, pages, rows, remarks, error)::text FROM walk
    UNION ALL
    SELECT 'listing ' || ROW(symbol, name, board)::text FROM listing
    UNION ALL
    SELECT 'bar ' || ROW(symbol, trading_date, open, high, low, close, volume)::text FROM bar
    UNION ALL
    SELECT 'bar_walk ' || ROW(symbol, from_date, to_date, status, rows)::text FROM bar_walk
) AS everything (line)
ORDER BY line
"""


async def everything(connection: Connection) -> Counter[str]:
    """All lines that a sweep or a backfill leaves, without the moments at which they came."""
    return Counter(row["line"] for row in await connection.fetch(_EVERYTHING))


def differing(found: Counter[str], expected: Counter[str]) -> list[str]:
    """The first lines that one has and the other has not."""
    more, fewer = sorted((found - expected).elements()), sorted((expected - found).elements())
    return [
        *(f"altered: {len(more)} lines too many, such as {line}" for line in more[:2]),
        *(f"altered: {len(fewer)} lines are missing, such as {line}" for line in fewer[:2]),
    ]


async def complete(connection: Connection) -> set[Target]:
    """The targets that the ledger calls complete."""
    return {Target.of(*row) for row in await connection.fetch(_COMPLETE)}


async def settled(connection: Connection) -> set[str]:
    """The listings whose history is stored."""
    return {row["symbol"] for row in await connection.fetch(_SYMBOLS)}


async def torn(connection: Connection) -> list[str]:
    """Where ledger and rows contradict each other."""
    return [_contradiction(*row) for row in await connection.fetch(_TORN)] + [
        f"torn: the bars of {symbol}: {rows} by the ledger, {found} in the table"
        for symbol, rows, found in await connection.fetch(_TORN_BARS)
    ]


def _contradiction(target: str, slot: object, rows: int | None, found: int, places: int, last: int) -> str:
    kind = "doubled" if found > places or (rows is not None and found > rows) else "torn"
    return f"{kind}: {target} at {slot}: {rows} rows by the ledger, {found} in the table, {places} places up to {last}"


async def altered(connection: Connection, simulator: Simulator) -> list[str]:
    """Where complete walks hold other rows than the simulator serves; its market must stand still."""
    found = []
    for slot, *names, status, _ in await connection.fetch(_WALKS):
        if status != "complete":
            continue
        rows = [tuple(row) for row in await connection.fetch(STORED, slot, *names)]
        served = [as_stored(row) for row in simulator.rows(Target.of(*names))]
        if rows != served:
            found.append(
                f"altered: {'/'.join(names)} at {slot}: {len(rows)} rows, not the {len(served)} served"
            )
    return found


async def missing(connection: Connection, targets: Iterable[Target]) -> list[str]:
    """The targets of a finished sweep that are not complete."""
    there = await complete(connection)
    return [f"lost: {target} is not complete" for target in targets if target not in there]


def asked_again(
    simulator: Simulator, since: int, targets: Collection[Target] = (), symbols: Collection[str] = ()
) -> list[str]:
    """What was fetched after arrival number `since`, though it was stored before."""
    named = {(target.sector, target.exchange): target for target in targets}
    found = []
    for arrival in simulator.api.book.since(since):
        if arrival["api_id"] == "ka20002" and (walked := named.get(_place(arrival))):
            found.append(f"doubled: {walked} was stored, and is fetched again")
        elif arrival["api_id"] == "ka10081" and arrival["symbol"] in symbols:
            found.append(f"doubled: the bars of {arrival['symbol']} were stored, and are fetched again")
    return sorted(set(found))


def _place(arrival: dict[str, Any]) -> tuple[str, Exchange]:
    return arrival["sector"], Exchange(arrival["exchange"])
