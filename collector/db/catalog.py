"""Who is who: the numbers that stand for targets and listings, and the table of sectors.

The rows of snapshots name their target and listing by number, so that a row is 84 bytes and not 160. Numbers
are given once and never change; they are learnt when the program starts and kept in memory.
"""

import asyncio
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import chain
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary, WeakSet

from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import ConfigError
from collector.log import logger
from collector.market.membership import Boards
from collector.model import Column, Market, PageListings, Sector, Target

_ENSURE_SOURCE = """
INSERT INTO collector.origin (kind) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET kind = collector.origin.kind
RETURNING kind
"""
_TARGETS = "SELECT id, market, sector, exchange FROM collector.target"
_GENERATION = "SELECT generation FROM collector.registry_state"
_NEXT_GENERATION = "SELECT generation FROM collector.registry_state FOR UPDATE"
_NEW_TARGETS = """
INSERT INTO collector.target (market, sector, exchange)
SELECT *
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (market, sector, exchange)
WHERE NOT EXISTS (
    SELECT
    FROM collector.target AS t
    WHERE t.market = wanted.market AND t.sector = wanted.sector AND t.exchange = wanted.exchange
)
ORDER BY market, sector, exchange
ON CONFLICT DO NOTHING
"""
_LISTINGS = "SELECT id, symbol, name, board FROM collector.listing ORDER BY last_seen"
_NEW_LISTINGS = """
INSERT INTO collector.listing (symbol, name, first_seen, last_seen)
SELECT symbol, name, $3, $3
FROM unnest($1::text[], $2::text[]) AS seen (symbol, name)
ORDER BY symbol, name
ON CONFLICT DO NOTHING
"""
_IDS = """
SELECT l.id, l.symbol, l.name
FROM unnest($1::text[], $2::text[]) AS seen (symbol, name)
JOIN collector.listing AS l USING (symbol, name)
"""
# In one statement and in one order: others end the same sweep at this moment, and lock the same listings.
_SEEN = """
UPDATE collector.listing AS l
SET last_seen = GREATEST(l.last_seen, $1), board = COALESCE(locked.board, l.board)
FROM (
    SELECT k.id, seen.board
    FROM unnest($2::integer[], $3::text[]) AS seen (id, board)
    JOIN collector.listing AS k USING (id)
    ORDER BY k.id
    FOR UPDATE OF k
) AS locked
WHERE l.id = locked.id
"""
_SECTORS = """
SELECT code, market, name_ko, name_en, kind, members, index_only
FROM collector.sector
WHERE valid_to IS NULL
ORDER BY code
"""
_END_SECTORS = """
UPDATE collector.sector
SET valid_to = $2
WHERE code = ANY ($1::text[]) AND valid_to IS NULL
"""
_NEW_SECTOR = """
INSERT INTO collector.sector (code, market, name_ko, name_en, kind, members, index_only, valid_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (code, valid_from) DO UPDATE
SET market = EXCLUDED.market, name_ko = EXCLUDED.name_ko, name_en = EXCLUDED.name_en, kind = EXCLUDED.kind,
    members = EXCLUDED.members, index_only = EXCLUDED.index_only, valid_to = NULL
"""

_SOURCES = {"real": "Kiwoom's real host", "mock": "Kiwoom's mock host", "ours": "a simulator"}


class Registry:
    """Targets and listings by number, learnt from the database and added to. `await open()` first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one_at_a_time = asyncio.Lock()
        self._seen: dict[Market | None, set[PageListings]] = {}
        self._placed: WeakSet[PageListings] = WeakSet()
        self._numbers: WeakKeyDictionary[PageListings, Column] = WeakKeyDictionary()
        self.generation: UUID | None = None
        """The generation of the ids in the database that those in memory were read under."""
        self.targets: dict[Target, int] = {}
        self.listings: dict[tuple[str, str], int] = {}
        """(symbol, name) → number: a renamed listing has two, so that a snapshot keeps the name it was seen with."""
        self.boards: Boards = {}
        """symbol → the board it is listed on, as far as complete walks have shown."""

    async def open(self) -> None:
        """Read every id anew. If one that is remembered is another now, all that is remembered is dropped."""
        async with (
            self._database.connection("reading targets and listings") as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            generation = await connection.fetchval(_GENERATION)
            targets = {
                Target.of(row["market"], row["sector"], row["exchange"]): row["id"]
                for row in await connection.fetch(_TARGETS)
            }
            rows = await connection.fetch(_LISTINGS)
        listings = {(row["symbol"], row["name"]): row["id"] for row in rows}
        if not (_agree(self.targets, targets) and _agree(self.listings, listings)):
            logger.warning("database.replaced", database=str(self._database.address))
            self._forget()
        self.generation = generation
        self.targets |= targets
        self.listings |= listings
        self.boards |= {row["symbol"]: Market(row["board"]) for row in rows if row["board"]}

    async def refresh(self) -> None:
        """Read every id anew if any may have changed in the database since."""
        async with self._database.connection("comparing the ids") as connection:
            generation = await connection.fetchval(_GENERATION)
        if generation != self.generation:
            await self.open()

    def _forget(self) -> None:
        for memory in (self.targets, self.listings, self.boards, self._seen, self._placed, self._numbers):
            memory.clear()

    async def ensure_source(self, kind: str) -> None:
        """Say whose data is coming: `real`, `mock` or `ours`; ConfigError if the database holds another's.

        Simulated prices among real ones would poison every study made on them, and nobody could tell later.
        """
        async with self._database.connection("looking whose data this is") as connection:
            stored_kind = await connection.fetchval(_ENSURE_SOURCE, kind)
        if stored_kind != kind:
            raise ConfigError(
                f"the database {self._database.address} holds data of another source"
                f" ({_SOURCES[stored_kind]}, not {_SOURCES[kind]})",
                hint="name another database in DATABASE_URL, or another folder in COLLECTOR_HOME",
            )

    async def register_targets(self, targets: Collection[Target]) -> None:
        """Give each target its number."""
        # Whatever is proposed costs a number, of which there are 32,767.
        if new := set(targets) - self.targets.keys():
            async with self._database.transaction("registering targets") as connection:
                await connection.execute(_NEW_TARGETS, *map(list, zip(*new, strict=True)))
            await self.open()

    async def listing_ids(self, listings: PageListings, slot: datetime) -> Column:
        """The number of each listing; one seen under a name for the first time is given its own."""
        cached = self._numbers.get(listings)
        if cached is None:
            names = list(zip(listings.symbol, listings.name, strict=True))
            if not self.listings.keys() >= set(names):
                await self._register_listings(set(names), slot)
            cached = self._numbers[listings] = array("i", map(self.listings.__getitem__, names))
        return cached

    async def _register_listings(self, names: set[tuple[str, str]], slot: datetime) -> None:
        async with self._one_at_a_time:
            new = sorted(names - self.listings.keys())
            if not new:
                return
            symbols, titles = map(list, zip(*new, strict=True))
            async with self._database.transaction("registering listings") as connection:
                before = await connection.fetchval(_NEXT_GENERATION)
                await connection.execute(_NEW_LISTINGS, symbols, titles, slot)
                rows = await connection.fetch(_IDS, symbols, titles)
                generation = await connection.fetchval(_GENERATION)
            if before != self.generation:
                await self.open()
                return
            self.generation = generation
            self.listings |= {(row["symbol"], row["name"]): row["id"] for row in rows}

    def note_members(self, market: Market, pages: Iterable[PageListings]) -> None:
        """A complete walk of a market showed these: what it tells of boards counts from now on."""
        home = market if market in (Market.KOSPI, Market.KOSDAQ) else None
        seen = self._seen.setdefault(home, set())
        for listings in pages:
            seen.add(listings)
            if home is not None and listings not in self._placed:
                self._placed.add(listings)
                self.boards |= dict.fromkeys(set(listings.symbol) - self.boards.keys(), home)

    async def keep_members(self, connection: Connection, slot: datetime) -> None:
        """Write down what `note_members` was told since the last time."""
        seen, self._seen = self._seen, {}
        boards: dict[int, Market | None] = {}
        for home in sorted(seen, key=bool):  # no board first: it takes nothing from what another market tells
            ids = chain.from_iterable(self._numbers.get(listings, ()) for listings in seen[home])
            boards |= dict.fromkeys(ids, home)
        await connection.execute(_SEEN, slot, list(boards), list(boards.values()))

    async def sectors(self) -> dict[str, Sector]:
        """The sector table as last refreshed, by code; empty where it never was."""
        async with self._database.connection("reading the sectors") as connection:
            rows = await connection.fetch(_SECTORS)
        return {row["code"]: Sector(**{**row, "market": Market(row["market"])}) for row in rows}

    async def refresh_sectors(self, fetched: Sequence[Sector], today: date) -> tuple[int, int]:
        """Take over the API's list from `today` on; the count of new or renamed sectors, and of those gone.

        What is no longer valid stays with its dates, since sectors are renamed and numbers used again.
        """
        before = await self.sectors()
        listed = {sector.code for sector in fetched}
        gone = [code for code in before if code not in listed]
        new = [
            sector
            for sector in fetched
            if _sector_identity(before.get(sector.code)) != _sector_identity(sector)
        ]
        async with self._database.transaction("refreshing the sectors") as connection:
            await connection.execute(_END_SECTORS, gone + [sector.code for sector in new], today)
            await connection.executemany(_NEW_SECTOR, [_sector_row(sector, today) for sector in new])
        return len(new), len(gone)


def _agree(remembered: Mapping[Any, int], read: Mapping[Any, int]) -> bool:
    """Whether every id that is remembered is still the same."""
    return remembered.items() <= read.items()


def _sector_identity(sector: Sector | None) -> tuple[Market, str] | None:
    """What makes a sector another one under the same code."""
    return None if sector is None else (sector.market, sector.name_ko)


def _sector_row(sector: Sector, today: date) -> tuple[object, ...]:
    return (
        *(sector.code, sector.market, sector.name_ko, sector.name_en),
        *(sector.kind, sector.members, sector.index_only, today),
    )
