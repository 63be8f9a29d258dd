"""Looks at the daemon and the ledger, and keeps the events that people are told of.

The daemon calls the methods of an observer, which return at once. One task does the work: it derives conditions,
compares them with the stored events, and lets the outbox send what is due. No failure of it reaches a sweep.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.config import NotifyConfig
from collector.db.clocks import Comparison
from collector.db.notices import Notice
from collector.errors import StoreError
from collector.log import logger
from collector.market.schedule import ScheduledSlot
from collector.notify.outbox import Outbox
from collector.notify.ping import Pinger
from collector.notify.watch import Scene, Watch

GLANCE = 5.0
"""Longest time in seconds between two looks at the keys and the clocks. A settled slot is looked at once."""
SLOW = timedelta(seconds=30)
"""Time between two looks at the quota, the calendar, the disk and the messages that are due again."""
DATABASE_GRACE = timedelta(seconds=30)
"""A shorter absence of the database, such as its restart, is no event."""
_OF_DATABASE = ("database", "storing")
"""Outages without a database, or with one that takes no rows."""
_AFTER_A_BUG = 60.0


@dataclass(frozen=True)
class _Absence:
    """The database has been away since a time; `is_told` once a message about it is under way."""

    since: datetime
    reason: str
    is_told: bool = False


class NoticeWorker:
    """The observer of one daemon. `settings` returns the configuration in force."""

    def __init__(
        self,
        settings: Callable[[], NotifyConfig],
        outbox: Outbox,
        pinger: Pinger,
        *,
        host: str,
        home: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._host = host
        self._home = home
        self._now = now
        self._pinger = pinger
        self._wake = asyncio.Event()
        outbox.changed = self._wake.set
        self._watch: Watch | None = None
        self._is_leading = False
        self._settled: dict[str, ScheduledSlot] = {}
        self._clocks: Comparison | None = None
        self._away: set[str] = set()
        self._absence: _Absence | None = None
        self._looked_slowly = datetime.min.replace(tzinfo=UTC)

    def lead(self, is_leading: bool) -> None:
        """Hear that this daemon sweeps, or does not any more."""
        self._is_leading = is_leading
        self._wake.set()

    def settle_slot(self, slot: ScheduledSlot) -> None:
        """Hear that every target of a slot has its line in the ledger. Of each schedule the newest slot counts."""
        self._settled[slot.schedule] = slot
        self._wake.set()

    def compare_clocks(self, comparison: Comparison) -> None:
        """Hear how the clocks of the machine and of the database compare."""
        is_news = self._clocks is None or self._clocks.is_apart != comparison.is_apart
        self._clocks = comparison
        if is_news:
            self._wake.set()

    def begin_outage(self, of: str, reason: str) -> None:
        """Hear of an outage. That of the API shows in the ledger; an absent or full database cannot show its own."""
        if of not in _OF_DATABASE:
            return
        self._away.add(of)
        if self._absence is None:
            self._absence = _Absence(self._now(), reason)

    def end_outage(self, of: str) -> None:
        """Hear of the end of an outage."""
        self._away.discard(of)
        if self._away or self._absence is None:
            return
        if self._absence.is_told and self._settings().wants("recovery"):
            self._outbox.send_now(self._database_notice(self._absence, ended_at=self._now()))
        self._absence = None

    @contextmanager
    def attach(self, scene: Scene) -> Iterator[None]:
        """Use this database while the block runs."""
        self._watch = Watch(scene, self._settings, self._now, host=self._host, home=self._home)
        self._wake.set()
        try:
            yield
        finally:
            self._watch = None

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(GLANCE):
                        await self._wake.wait()
                self._wake.clear()
                try:
                    await self._look()
                except StoreError:
                    continue  # the daemon reports the database; the next look tries again
                except Exception:
                    logger.exception("notice.failed")
                    await asyncio.sleep(_AFTER_A_BUG)
        finally:
            await self._pinger.close()
            await self._outbox.close()

    async def _look(self) -> None:
        self._tell_of_database()
        watch = self._watch
        if watch is None:
            return
        has_changed = await self._look_at_slots(watch)
        has_changed |= await watch.look_at_host(self._clocks)
        now = self._now()
        if is_slow := abs(now - self._looked_slowly) >= SLOW:
            self._looked_slowly = now
            if self._is_leading:
                await watch.look_at_the_rest()
        if has_changed or is_slow or self._outbox.has_results:
            await self._outbox.send_due(watch.store)

    def _tell_of_database(self) -> None:
        absence = self._absence
        if absence is None or absence.is_told or self._now() - absence.since < DATABASE_GRACE:
            return
        if self._settings().wants("database") and self._outbox.send_now(self._database_notice(absence)):
            self._absence = replace(absence, is_told=True)

    def _database_notice(self, absence: _Absence, ended_at: datetime | None = None) -> Notice:
        facts = {"host": self._host, "reason": absence.reason}
        return Notice(0, "database", self._host, absence.since, facts, ended_at, told_at=ended_at)

    async def _look_at_slots(self, watch: Watch) -> bool:
        """Look at the settled slots; True if an event began or ended."""
        has_changed = False
        while self._settled:
            name, slot = self._settled.popitem()
            try:
                is_news, is_whole = await watch.look_at_slot(slot)
            except StoreError:
                self._settled.setdefault(name, slot)
                raise
            has_changed |= is_news
            if is_whole:
                self._pinger.start()
            else:
                await self._outbox.prepare()
        return has_changed
