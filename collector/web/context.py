"""The shared input of all views: database, configuration in force, and cached answers."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from collector.config import Config, build_timetable
from collector.db.database import Database
from collector.market.calendar import Calendar
from collector.market.sectors import bundled_sectors
from collector.market.timetable import Timetable
from collector.model import Sector, Target
from collector.web.breadth_cache import BreadthCache
from collector.web.cache import TtlCache
from collector.web.live import Live
from collector.web.metrics_data import MetricsData, MetricsGatherer
from collector.web.queries import Queries
from collector.web.queries.walk import Member

T = TypeVar("T")

MEMBERS = 8
"""Cached member lists. A whole market takes 1.7 MB, and a user may browse a year of days."""


@dataclass(frozen=True)
class ViewContext:
    """Valid while the database is available. `configured` returns the configuration in force; it may change."""

    database: Database
    configured: Callable[[], tuple[Config, Calendar]]
    live: Live
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    breadths: BreadthCache = field(default_factory=BreadthCache)
    _recent: TtlCache = field(default_factory=TtlCache)
    _members: TtlCache = field(default_factory=lambda: TtlCache(size=MEMBERS))
    _gatherer: MetricsGatherer = field(default_factory=MetricsGatherer)

    @property
    def queries(self) -> Queries:
        return Queries(self.database)

    async def recent(self, key: Hashable, age: float, ask: Callable[[], Awaitable[T]]) -> T:
        """A cached answer, at most `age` seconds old."""
        return await self._recent.get(key, age, ask)

    async def targets(self) -> Mapping[int, Target]:
        """Every target with a walk, by its id."""
        return await self.recent("targets", 5.0, self.queries.targets)

    async def members(self, slot: datetime, target_id: int) -> list[Member]:
        """A walk's rows, cached for a second request in another order or format."""
        return await self._members.get((slot, target_id), 60.0, lambda: self.queries.members(slot, target_id))

    async def target_id(self, target: Target) -> int | None:
        """A target's id; None if it has no walk."""
        return next(
            (
                target_id
                for target_id, known_target in (await self.targets()).items()
                if known_target == target
            ),
            None,
        )

    async def source(self) -> str | None:
        """The source of the data; None in an empty database."""
        return await self.recent("source", 5.0, self.queries.source)

    async def sectors(self) -> Mapping[str, Sector]:
        """The sectors as last refreshed, else the shipped ones."""
        return await self.recent("sectors", 60.0, self._sectors)

    async def timetable(self) -> Timetable:
        """The timetable of the configuration in force."""
        config, calendar = self.configured()
        built_from, timetable = await self.recent("timetable", 60.0, self._build_timetable)
        if built_from is not config or timetable.calendar is not calendar:
            _, timetable = await self._build_timetable()
        return timetable

    async def figures(self) -> MetricsData:
        """The figures of the metrics, at most three seconds old."""
        return await self.recent("figures", 3.0, self._figures)

    async def _sectors(self) -> Mapping[str, Sector]:
        return await self.queries.sectors() or bundled_sectors()

    async def _build_timetable(self) -> tuple[Config, Timetable]:
        config, calendar = self.configured()
        return config, build_timetable(config, calendar, await self.sectors())

    async def _figures(self) -> MetricsData:
        numbers = {target: target_id for target_id, target in (await self.targets()).items()}
        return await self._gatherer.gather(self.queries, await self.timetable(), numbers, self.now())
