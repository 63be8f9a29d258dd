"""What every view works with: the database, the configuration in force, and what was learnt a moment ago."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from collector import sectors as table
from collector.calendar import Calendar
from collector.config import Config
from collector.model import Sector, Target
from collector.postgres.database import Database
from collector.web.breadths import Breadths
from collector.web.figures import Figures, Gatherer
from collector.web.live import Live
from collector.web.questions import Member, Questions
from collector.web.recent import Recent
from collector.web.wanted import Wanted, wanted

T = TypeVar("T")

MEMBERS = 8
"""Lists of members that are kept at a time: a board's takes 1.7 MB, and a reader may leaf through a year of days."""


@dataclass(frozen=True)
class Desk:
    """While the database answers. `configured` says what is in force now: it may be read anew."""

    database: Database
    configured: Callable[[], tuple[Config, Calendar]]
    live: Live
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    breadths: Breadths = field(default_factory=Breadths)
    _recent: Recent = field(default_factory=Recent)
    _members: Recent = field(default_factory=lambda: Recent(size=MEMBERS))
    _gatherer: Gatherer = field(default_factory=Gatherer)

    @property
    def questions(self) -> Questions:
        return Questions(self.database)

    async def recent(self, key: Hashable, age: float, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer that is at most so many seconds old."""
        return await self._recent.get(key, age, ask)

    async def targets(self) -> Mapping[int, Target]:
        """Every target that was ever walked, by its number."""
        return await self.recent("targets", 5.0, self.questions.targets)

    async def members(self, slot: datetime, number: int) -> list[Member]:
        """A walk's rows, for who asks for them in another order or form a moment later."""
        return await self._members.get((slot, number), 60.0, lambda: self.questions.members(slot, number))

    async def number(self, target: Target) -> int | None:
        """A target's number, None if it was never walked."""
        return next((number for number, one in (await self.targets()).items() if one == target), None)

    async def sectors(self) -> Mapping[str, Sector]:
        """The table of sectors as last refreshed, else the one that travels with the program."""
        return await self.recent("sectors", 60.0, self._sectors)

    async def wanted(self) -> Wanted:
        """What the configuration in force asks for."""
        config, calendar = self.configured()
        found = await self.recent("wanted", 60.0, self._wanted)
        return found if found.config is config and found.calendar is calendar else await self._wanted()

    async def figures(self) -> Figures:
        """The figures of the metrics, at most three seconds old."""
        return await self.recent("figures", 3.0, self._figures)

    async def _sectors(self) -> Mapping[str, Sector]:
        return await self.questions.sectors() or table.shipped()

    async def _wanted(self) -> Wanted:
        return wanted(*self.configured(), await self.sectors())

    async def _figures(self) -> Figures:
        numbers = {target: number for number, target in (await self.targets()).items()}
        return await self._gatherer.gather(self.questions, await self.wanted(), numbers, self.now())
