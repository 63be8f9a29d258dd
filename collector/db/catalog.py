"""The catalog of ids: small numbers for targets and listings, and the table of sectors.

A snapshot row names its target and its listing by id, so a row takes 84 bytes instead of 160. Ids are
assigned once and never change. They are read when the program starts and kept in memory.
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

# Stores the data source of an empty database. The update changes nothing; it makes RETURNING give the stored
# kind.
_ENSURE_SOURCE = """
INSERT INTO collector.origin (kind) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET kind = collector.origin.kind
RETURNING kind
"""
# Ids of all targets.
_TARGETS = "SELECT id, market, sector, exchange FROM collector.target"
# Triggers change the generation with every change of ids, so one value shows if the ids in memory are
# current.
_GENERATION = "SELECT generation FROM collector.registry_state"
# The same under a lock: no other process registers listings until the transaction ends.
_NEXT_GENERATION = "SELECT generation FROM collector.registry_state FOR UPDATE"
# Registers targets. Known targets are filtered first: ON CONFLICT alone would use up an id of a smallint
# sequence for every known target.
_REGISTER_TARGETS = """
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
# Ids of all listings; the newest board of a symbol comes last and wins.
_LISTINGS = "SELECT id, symbol, name, board FROM collector.listing ORDER BY last_seen"
# Registers listings. The sorted order avoids deadlocks between processes registering the same listings.
_REGISTER_LISTINGS = """
INSERT INTO collector.listing (symbol, name, first_seen, last_seen)
SELECT symbol, name, $3, $3
FROM unnest($1::text[], $2::text[]) AS seen (symbol, name)
ORDER BY symbol, name
ON CONFLICT DO NOTHING
"""
# Ids of these listings, including ids assigned by another process.
_LISTING_IDS = """
SELECT l.id, l.symbol, l.name
FROM unnest($1::text[], $2::text[]) AS seen (symbol, name)
JOIN collector.listing AS l USING (symbol, name)
"""
# Records sightings and boards. One statement locks all listings in the order of their ids: another process
# may end the same sweep at this moment and would deadlock otherwise.
_KEEP_MEMBERS = """
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
# The sectors valid now.
_SECTORS = """
SELECT code, market, name_ko, name_en, kind, members, index_only
FROM collector.sector
WHERE valid_to IS NULL
ORDER BY code
"""
# Ends the validity of sectors.
_END_SECTORS = """
UPDATE collector.sector
SET valid_to = $2
WHERE code = ANY ($1::text[]) AND valid_to IS NULL
"""
# Adds a sector. A second refresh on one day replaces the row of this day.
_NEW_SECTOR = """
INSERT INTO collector.sector (code, market, name_ko, name_en, kind, members, index_only, valid_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (code, valid_from) DO UPDATE
SET market = EXCLUDED.market, name_ko = EXCLUDED.name_ko, name_en = EXCLUDED.name_en, kind = EXCLUDED.kind,
    members = EXCLUDED.members, index_only = EXCLUDED.index_only, valid_to = NULL
"""
# From then on the shipped list does not overwrite the table any more.
_MARK_FETCHED = "UPDATE collector.sector SET source = 'ka10101' WHERE source <> 'ka10101'"

_SOURCES = {"real": "Kiwoom's real host", "mock": "Kiwoom's mock host", "ours": "a simulator"}


class Registry:
    """Maps targets and listings to ids, and registers new ones. Call `open()` first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._seen: dict[Market | None, set[PageListings]] = {}
        self._placed: WeakSet[PageListings] = WeakSet()
        self._numbers: WeakKeyDictionary[PageListings, Column] = WeakKeyDictionary()
        self.generation: UUID | None = None
        """The generation of the ids in memory."""
        self.targets: dict[Target, int] = {}
        self.listings: dict[tuple[str, str], int] = {}
        """(symbol, name) → id. A renamed listing has two ids, so an old snapshot keeps the old name."""
        self.boards: Boards = {}
        """symbol → the board of its listing, as seen in complete walks."""

    async def open(self) -> None:
        """Reads all ids again. If a remembered id differs from the database, everything remembered is dropped."""
        # Without the lock, a registration that commits after the snapshot of this reading would look like an id
        # that the database has lost.
        async with self._lock:
            await self._read_ids()

    async def _read_ids(self) -> None:
        """Does the work of `open`. The caller holds the lock."""
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
        """Reads all ids again if any may have changed in the database."""
        async with self._database.connection("comparing the ids") as connection:
            generation = await connection.fetchval(_GENERATION)
        if generation != self.generation:
            await self.open()

    def _forget(self) -> None:
        for memory in (self.targets, self.listings, self.boards, self._seen, self._placed, self._numbers):
            memory.clear()

    async def ensure_source(self, kind: str) -> None:
        """Records the source of the data: `real`, `mock` or `ours`. ConfigError if the database holds data of
        another source.

        Simulated prices among real prices would spoil every later study, and the difference could not be
        found again.
        """
        async with self._database.connection("checking the source of the data") as connection:
            stored_kind = await connection.fetchval(_ENSURE_SOURCE, kind)
        if stored_kind != kind:
            raise ConfigError(
                f"the database {self._database.address} holds data of another source"
                f" ({_SOURCES[stored_kind]}, not {_SOURCES[kind]})",
                hint="name another database in DATABASE_URL, or another folder in COLLECTOR_HOME",
            )

    async def register_targets(self, targets: Collection[Target]) -> None:
        """Assigns an id to each target."""
        # Every proposed row uses up an id, and a smallint has 32,767 of them.
        if new := set(targets) - self.targets.keys():
            async with self._database.transaction("registering targets") as connection:
                await connection.execute(_REGISTER_TARGETS, *map(list, zip(*new, strict=True)))
            await self.open()

    async def listing_ids(self, listings: PageListings, slot: datetime) -> Column:
        """Returns the id of each listing; a new pair of symbol and name gets a new id."""
        cached = self._numbers.get(listings)
        if cached is None:
            names = list(zip(listings.symbol, listings.name, strict=True))
            if not self.listings.keys() >= set(names):
                await self._register_listings(set(names), slot)
            cached = self._numbers[listings] = array("i", map(self.listings.__getitem__, names))
        return cached

    async def _register_listings(self, names: set[tuple[str, str]], slot: datetime) -> None:
        async with self._lock:
            new = sorted(names - self.listings.keys())
            if not new:
                return
            symbols, titles = map(list, zip(*new, strict=True))
            async with self._database.transaction("registering listings") as connection:
                before = await connection.fetchval(_NEXT_GENERATION)
                await connection.execute(_REGISTER_LISTINGS, symbols, titles, slot)
                rows = await connection.fetch(_LISTING_IDS, symbols, titles)
                generation = await connection.fetchval(_GENERATION)
            if before != self.generation:
                await self._read_ids()
                return
            self.generation = generation
            self.listings |= {(row["symbol"], row["name"]): row["id"] for row in rows}

    def note_members(self, market: Market, pages: Iterable[PageListings]) -> None:
        """Remembers the listings of a complete walk of a market, and the boards they prove."""
        home = market if market in (Market.KOSPI, Market.KOSDAQ) else None
        seen = self._seen.setdefault(home, set())
        for listings in pages:
            seen.add(listings)
            if home is not None and listings not in self._placed:
                self._placed.add(listings)
                self.boards |= dict.fromkeys(set(listings.symbol) - self.boards.keys(), home)

    async def keep_members(self, connection: Connection, slot: datetime) -> None:
        """Stores the sightings collected by `note_members` since the last call."""
        seen, self._seen = self._seen, {}
        boards: dict[int, Market | None] = {}
        for home in sorted(seen, key=bool):  # no board first: a board from another market then overrides it
            ids = chain.from_iterable(self._numbers.get(listings, ()) for listings in seen[home])
            boards |= dict.fromkeys(ids, home)
        await connection.execute(_KEEP_MEMBERS, slot, list(boards), list(boards.values()))

    async def sectors(self) -> dict[str, Sector]:
        """Returns the sector table as last refreshed, by code; empty if it was never refreshed."""
        async with self._database.connection("reading the sectors") as connection:
            rows = await connection.fetch(_SECTORS)
        return {row["code"]: Sector(**{**row, "market": Market(row["market"])}) for row in rows}

    async def refresh_sectors(self, fetched: Sequence[Sector], today: date) -> tuple[int, int]:
        """Takes over the API's sector list from `today` on; returns the counts of new or renamed sectors and
        of ended ones.

        Ended sectors stay with their dates, since sectors are renamed and their codes reused.
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
            await connection.execute(_MARK_FETCHED)
        return len(new), len(gone)


def _agree(remembered: Mapping[Any, int], read: Mapping[Any, int]) -> bool:
    """Returns True if every remembered id is unchanged."""
    return remembered.items() <= read.items()


def _sector_identity(sector: Sector | None) -> tuple[Market, str] | None:
    """Returns the facts making up the identity of a sector under its code."""
    return None if sector is None else (sector.market, sector.name_ko)


def _sector_row(sector: Sector, today: date) -> tuple[object, ...]:
    return (
        *(sector.code, sector.market, sector.name_ko, sector.name_en),
        *(sector.kind, sector.members, sector.index_only, today),
    )
