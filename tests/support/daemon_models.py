"""Models of what the daemon works with: a ledger in memory, a lease, an API, each failing when it is told to.

They keep what the real ones promise (a line a slot × target, nothing written without the lease) and note
whatever would break a promise.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from types import SimpleNamespace

from collector.daemon import DaemonContext, Upkeep
from collector.db.accounting import Forgotten
from collector.db.lease import LeaseLost
from collector.errors import StoreError
from collector.market.calendar import Calendar, kst
from collector.market.stale import Seen, is_stale
from collector.market.timetable import Timetable
from collector.model import Baseline, History, Outcome, Page, Quote, Status, Target
from collector.sweep.sweeper import Collector
from tests.support.harness import columns

Fault = Callable[[], Exception | None]
"""Asked before each call: what it shall raise, or None."""


def sound() -> None:
    """No fault."""


@dataclass(frozen=True)
class Line:
    """A line of the ledger."""

    status: str
    error: str = ""
    digest: str = ""
    rows: int = 0


@dataclass
class Books:
    """What outlives a crash: the ledger, the accounts, the lease, and the trace of all that was written."""

    lines: dict[tuple[datetime, Target], Line] = field(default_factory=dict)
    accounted: dict[str, datetime] = field(default_factory=dict)
    epoch: int = 0
    holder: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    targets: set[Target] = field(default_factory=set)
    shown: dict[Target, dict[date, str]] = field(default_factory=dict)
    """What each day's newest complete walk of a target showed."""
    _trace: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, slot: datetime, target: Target, line: Line) -> None:
        before = self.lines.get((slot, target))
        if before and before.status == "complete" and line.status != "suspect":
            self.wrong.append(f"{slot} {target}: {before} was overwritten by {line}")
        self.lines[slot, target] = line
        if line.status == "complete":
            self.shown.setdefault(target, {})[kst(slot).date()] = line.digest
        self.targets.add(target)
        self._trace.update(f"{slot.timestamp()} {target} {line}\n".encode())

    @property
    def trace(self) -> str:
        """Equal for two runs that wrote the same in the same order."""
        return self._trace.hexdigest()


class ModelLease:
    """Held from taking to releasing, unless `books` says that somebody took it."""

    def __init__(self, books: Books, holder: str, fault: Fault = sound) -> None:
        self.holder = holder
        self.epoch: int | None = None
        self._books = books
        self._fault = fault

    def assert_held(self) -> None:
        if error := self._fault():
            raise error
        if self.epoch != self._books.epoch:
            raise LeaseLost("another one has it")

    async def take(self) -> bool:
        if error := self._fault():
            raise error
        self._books.epoch += 1
        self.epoch = self._books.epoch
        return True

    async def keep_renewing(self) -> None:
        await asyncio.Event().wait()

    async def renew(self) -> None:
        self.assert_held()

    async def release(self) -> None:
        self.epoch = None


class ModelStore:
    """As `collector.store.Store`, in memory."""

    def __init__(self, books: Books, lease: ModelLease) -> None:
        self._books = books
        self._lease = lease
        self.registry = SimpleNamespace(boards={})

    async def begin_sweep(self, slot: datetime, universe: str, targets: Collection[Target]) -> None:
        self._lease.assert_held()

    async def tend_answers(self, host: datetime, keep_days: int) -> tuple[int, list[object]]:
        return 0, []

    async def end_sweep(self, slot: datetime, universe: str, others: Collection[Target]) -> None:
        self._lease.assert_held()

    async def ledger(self, slot: datetime) -> dict[Target, Outcome]:
        found = {target: self._books.lines.get((slot, target)) for target in self._books.targets}
        return {
            target: Outcome(target, slot, Status(line.status), error=line.error)
            for target, line in found.items()
            if line
        }

    async def baselines(self, slot: datetime, targets: Sequence[Target]) -> dict[Target, Baseline]:
        return dict.fromkeys(targets, Baseline())

    async def suspect_copies(self, slot: datetime, targets: Sequence[Target]) -> set[Target]:
        return set()

    async def has_no_nxt_members(self, slot: datetime, target: Target) -> bool:
        return False

    async def history(self, slot: datetime, target: Target) -> History:
        return History()

    async def save_walk(self, reading, certificate, claim, *, borne_out, expected, log=None) -> bool:
        self._lease.assert_held()
        digest = str([page.rows for page in reading.pages])
        line = Line(str(certificate.status), digest=digest, rows=reading.row_count)
        self._books.write(reading.slot, reading.target, line)
        return True

    async def save_failure(
        self, slot: datetime, target: Target, *, error: str, attempts: int, claim, log=None
    ) -> None:
        self._lease.assert_held()
        self._books.write(slot, target, Line("failed", error.partition(":")[0]))


class ModelAccounts:
    """As `collector.daemon.accounts.Accounts`, in memory."""

    def __init__(self, books: Books, lease: ModelLease) -> None:
        self._books = books
        self._lease = lease
        self.closed_days: list[datetime] = []

    async def until(self, schedules: Sequence[str]) -> dict[str, datetime]:
        self._lease.assert_held()
        return {name: at for name, at in self._books.accounted.items() if name in schedules}

    async def newest(self, targets: Collection[Target], until: datetime) -> list[datetime]:
        found = {slot for slot, target in self._books.lines if target in targets and slot <= until}
        return sorted(found, reverse=True)[:500]

    async def account(self, schedule: str, until: datetime) -> None:
        self._lease.assert_held()
        self._books.accounted[schedule] = max(until, self._books.accounted.get(schedule, until))

    async def record_missed(self, slots, universe, targets, reason) -> int:
        self._lease.assert_held()
        lacking = [
            (slot, target) for slot in slots for target in targets if (slot, target) not in self._books.lines
        ]
        for slot, target in lacking:
            self._books.write(slot, target, Line("missed", str(reason)))
        return len(lacking)

    async def settle(self, schedule, slot, universe, targets, reason) -> int:
        missed = await self.record_missed([slot], universe, targets, reason)
        await self.account(schedule, slot)
        return missed

    async def has_run(self, slot: datetime, targets: Collection[Target]) -> bool:
        lines = [self._books.lines.get((slot, target)) for target in targets]
        return any(line and (line.status, line.error) != ("missed", "late") for line in lines)

    async def flag_stale(self, slot, targets, exchanges) -> bool:
        self._lease.assert_held()
        lines = {target: self._books.lines.get((slot, target)) for target in targets}
        before = {target: self._before(slot, target) for target in targets}
        seen = [
            Seen(target, line.rows, line.digest == before[target])
            for target, line in lines.items()
            if line and line.status == "complete"
        ]
        if not is_stale(seen, exchanges):
            return False
        for one in seen:
            self._books.write(slot, one.target, Line("suspect", "stale", before[one.target] or ""))
        self.closed_days.append(slot)
        return True

    def _before(self, slot: datetime, target: Target) -> str | None:
        """What the newest complete walk of an earlier day showed."""
        days = self._books.shown.get(target, {})
        earlier = [day for day in days if day < slot.date()]
        return days[max(earlier)] if earlier else None

    async def make_days(self, today: date) -> None:
        self._lease.assert_held()

    async def keep_closings(self, calendar: Calendar, today: date) -> None:
        self._lease.assert_held()

    async def forget_ahead(self, now: datetime) -> Forgotten:
        return Forgotten()

    def retention(self, outages):
        return ModelRetention()


class ModelRetention:
    """Keeps everything."""

    async def why_kept(self, host: datetime, before: date) -> str:
        return ""

    async def enforce(self, host: datetime, keep_days: int, prove) -> None:
        pass


class ModelKiwoom:
    """Answers one page a target, whose rows are those of the day that `shown` names."""

    name = key_digest = "model"
    lacks_token = False

    def __init__(
        self,
        books: Books,
        now: Callable[[], datetime],
        fault: Fault = sound,
        latency: Callable[[], float] = lambda: 0.2,
        shown: Callable[[datetime], object] = lambda at: at,
    ) -> None:
        self.requests = 0
        self.warmed: list[tuple[datetime, int]] = []
        """When connections were opened ahead, and how many."""
        self._books = books
        self._now = now
        self._fault = fault
        self._latency = latency
        self._shown = shown

    def reset_retry_budget(self) -> None:
        self.requests = 0

    async def warm(self, connections: int) -> None:
        self.warmed.append((self._now(), connections))

    async def prices(self, target: Target, page_key: str | None = None, *, counter) -> tuple[Page, datetime]:
        counter.sent += 1
        self.requests += 1
        self._books.calls["prices"] += 1
        await asyncio.sleep(self._latency())  # in virtual time
        if error := self._fault():
            raise error
        return Page(columns([_row(str(self._shown(kst(self._now()))))]), None), self._now()


def _row(name: str) -> Quote:
    return Quote("005930", name, 1000, 0, 0, 3, 7, None, None, 1000, 1000, 1000)


def assembling(
    timetable: Timetable,
    upkeep: Upkeep,
    books: Books,
    kiwoom: ModelKiwoom,
    fault: Fault = sound,
    *,
    name: str = "one",
):
    """What a Daemon is given in place of the real parts."""

    @asynccontextmanager
    async def assembled():
        if error := fault():
            raise error
        lease = ModelLease(books, name, fault)
        collector = Collector(kiwoom, ModelStore(books, lease), {}, concurrency=4)
        yield DaemonContext(timetable, upkeep, collector, ModelAccounts(books, lease), lease)

    return assembled


def away() -> StoreError:
    """The database does not answer."""
    return StoreError("nothing answers there")
