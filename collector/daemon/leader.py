"""One leadership term: first accounts for the slots due meanwhile, then sweeps every slot as it falls due.

The decisions are in `overrun`; this module carries them out. Any end of a term (a lost lease, an absent
database, a signal) ends its sweeps too. The next term, of this daemon or another, continues from the stored
accounts.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby, islice

from collector.base.aio import Group, task_group
from collector.base.clock import DISCIPLINED, Clock
from collector.base.days import ONE_DAY, day_start
from collector.base.outages import Outages
from collector.daemon.agreement import Agreement
from collector.daemon.overrun import Action, Miss, Reason, ScheduleState, Start, end_sweep, fall_due, in_time
from collector.daemon.upkeep import Upkeep
from collector.db.accounting import SlotAccounting
from collector.db.lease import Lease, LeaseLost
from collector.errors import Denied, StoreError
from collector.log import logger
from collector.market.calendar import kst
from collector.market.schedule import Schedule, ScheduledSlot
from collector.market.stale import open_exchanges
from collector.market.timetable import Timetable
from collector.model import Status, Sweep, Target
from collector.sweep.sweeper import Collector

WARMING = timedelta(seconds=5)
"""Time before a slot at which connections are opened. The slowest TLS handshake with Kiwoom took 3.1 seconds, and a
server keeps an idle connection longer than five."""
FARTHEST = timedelta(days=400)
"""How far back slots are accounted for, after any outage."""
# Slots recorded as missed in one transaction.
_BATCH = 100
_PAUSES = (1.0, 3.0)
"""Seconds before a sweep is repeated after a database error, while its slot may still run."""
# Time until failed maintenance is repeated.
_AGAIN = timedelta(minutes=10)
# Maintenance starts this long after midnight.
_AFTER_MIDNIGHT = timedelta(minutes=5)


class LeaderTerm:
    """Sweeps as long as the lease is held; `stop_event` ends the term once no sweep runs.

    `why` returns the reason for missing a slot before the term began. `settled` hears of each slot that has all
    its lines in the ledger, of many missed slots of the last one.
    """

    def __init__(
        self,
        timetable: Timetable,
        collector: Collector,
        accounts: SlotAccounting,
        lease: Lease,
        *,
        clock: Clock,
        agreement: Agreement,
        upkeep: Upkeep,
        outages: Outages,
        why: Callable[[datetime], Reason],
        stop_event: asyncio.Event,
        settled: Callable[[ScheduledSlot], None] = lambda _: None,
    ) -> None:
        self._timetable = timetable
        self._collector = collector
        self._accounts = accounts
        self._lease = lease
        self._clock = clock
        self._agreement = agreement
        self._upkeep = upkeep
        self._outages = outages
        self._why = why
        self._stop_event = stop_event
        self._settled = settled
        self._states = {schedule.name: ScheduleState() for schedule in timetable.schedules}
        self._walking: dict[ScheduledSlot, Sequence[Target]] = {}
        self._sweeps: set[asyncio.Task[None]] = set()
        self._sessions: dict[ScheduledSlot, date | None] = {}
        self._closed_days: set[date] = set()
        self._group: Group
        self._seen: datetime
        self._reached: dict[str, datetime] = {}

    async def run(self) -> None:
        """Runs until the stop event; LeaseLost, StoreError or ClocksApart if the term cannot go on."""
        async with task_group() as self._group:
            renewing = self._group.create_task(self._lease.keep_renewing())
            comparing = self._group.create_task(self._agreement.keep())
            maintenance = self._group.create_task(self._run_maintenance())
            await self._catch_up()
            while not self._stop_event.is_set():
                await self._look()
                upcoming = self._timetable.next(self._seen)
                if upcoming is None:
                    await self._clock.sleep_until(self._seen + ONE_DAY, self._stop_event)
                elif await self._has_reached(upcoming.at - WARMING):
                    self._group.create_task(
                        self._collector.warm(len(self._timetable.targets[upcoming.universe]))
                    )
                    await self._clock.sleep_until(upcoming.at, self._stop_event)
            while self._sweeps:
                await asyncio.wait(self._sweeps)
            maintenance.cancel()
            comparing.cancel()
            renewing.cancel()

    async def _has_reached(self, at: datetime) -> bool:
        """Waits for a moment; False if the clock was stepped back, or the term ends before."""
        await self._clock.sleep_until(at, self._stop_event)
        return self._clock.now() >= at and not self._stop_event.is_set()

    async def _catch_up(self) -> None:
        """Accounts for slots due since the stored accounts end, and starts the slots still in time."""
        now = await self._agreement.now()
        await self._forget_ahead(now)
        until = await self._accounts.until(list(self._states))
        for schedule in self._timetable.schedules:
            if schedule.name not in until:
                until[schedule.name] = await self._accounting_start(schedule, now)
                await self._accounts.account(schedule.name, until[schedule.name])
        self._reached = {name: min(at, now) for name, at in until.items()}
        since = {name: max(min(at, now), now - FARTHEST) for name, at in until.items()}
        self._seen = now
        due = self._timetable.due(min(since.values(), default=now), now)
        newest = self._timetable.newest(max(min(since.values(), default=now), now - ONE_DAY), now)
        runnable = in_time((slot for slot in newest.values() if slot.at > since[slot.schedule]), now)
        passed = (slot for slot in due if slot.at > since[slot.schedule] and slot not in runnable.values())
        await self._pass_over(passed, self._why)
        for name in self._states:
            if name not in runnable:
                await self._accounts.account(name, now)
        await self._begin(runnable.values())

    async def _accounting_start(self, schedule: Schedule, now: datetime) -> datetime:
        """Returns the start of a new schedule's accounts: its newest slot in the ledger.

        Without such a slot the schedule is new, and nothing was missed; but a slot still in time is run.
        """
        for at in await self._accounts.newest(self._timetable.targets[schedule.universe], now):
            if self._timetable.is_slot(schedule, at):
                return at
        newest = self._timetable.newest(now - ONE_DAY, now)
        runnable = in_time(newest.values(), now).get(schedule.name)
        return runnable.at - datetime.resolution if runnable else now

    async def _look(self) -> None:
        """Handles the slots due since the last look."""
        now = await self._agreement.now()
        if now < self._seen - DISCIPLINED:
            logger.warning("clock.stepped_back", seconds=round((self._seen - now).total_seconds()))
            await self._forget_ahead(now)
            self._seen = now
        if now <= self._seen:
            return
        before, self._seen = self._seen, now
        runnable = in_time(self._timetable.newest(max(before, now - ONE_DAY), now).values(), now)
        passed = (slot for slot in self._timetable.due(before, now) if slot not in runnable.values())
        await self._begin(runnable.values())
        await self._pass_over(passed, lambda _: Reason.LATE)
        self._reached = {name: max(at, now) for name, at in self._reached.items()}

    async def _forget_ahead(self, now: datetime) -> None:
        forgotten = await self._accounts.forget_ahead(now)
        if any(forgotten):
            logger.warning(
                "slots.ahead_of_time",
                removed=forgotten.lines,
                suspect=forgotten.walks,
                schedules_put_back=forgotten.schedules,
                hint="they were written while a clock was ahead; suspect walks keep their rows",
            )

    async def _begin(self, slots: Iterable[ScheduledSlot]) -> None:
        """Starts due slots. A slot due again after the clock was set back is skipped if it has run."""
        actions: list[Action] = []
        for slot in slots:
            if slot.at <= self._reached[slot.schedule] and await self._has_run(slot):
                continue
            self._states[slot.schedule], decided = fall_due(self._states[slot.schedule], slot)
            actions += decided
        for action in actions:
            if isinstance(action, Start):
                self._start(action.slot)
        for action in actions:
            if isinstance(action, Miss):
                await self._miss([action.slot], action.reason)

    async def _has_run(self, slot: ScheduledSlot) -> bool:
        return await self._accounts.has_run(slot.at, self._timetable.targets[slot.universe])

    def _start(self, slot: ScheduledSlot) -> None:
        self._walking[slot] = self._free(slot)
        task = self._group.create_task(self._sweep(slot))
        self._sweeps.add(task)
        task.add_done_callback(self._sweeps.discard)

    async def _sweep(self, slot: ScheduledSlot) -> None:
        """Runs one slot from its start to its last line in the ledger."""
        targets = self._walking[slot]
        late = (self._clock.now() - slot.at).total_seconds()
        logger.info("sweep.began", slot=slot.at.isoformat(), schedule=slot.schedule, late=round(late, 3))
        reason = await self._sweep_with_retry(slot, targets)
        await self._judge(slot, targets)
        missed = await self._accounts.settle(slot.schedule, slot.at, slot.universe, targets, reason)
        if missed:
            logger.warning("slot.missed", **_facts(slot), reason=reason, targets=missed)
        self._settled(slot)
        self._end_sweep(slot)

    async def _sweep_with_retry(self, slot: ScheduledSlot, targets: Sequence[Target]) -> Reason:
        """Sweeps a slot, again after a passing database error; returns the reason for targets still left out."""
        for pause in (*_PAUSES, None):
            try:
                sweep = await self._collector.sweep(
                    slot.at,
                    slot.universe,
                    targets,
                    may_begin=lambda: not self._states[slot.schedule].is_cut,
                )
            except Denied as error:
                self._outages.begin("api", f"{type(error).__name__}: {error}", hint=error.hint)
                return Reason.DENIED
            except LeaseLost:
                raise
            except StoreError as error:
                await self._lease.renew()  # an absent database ends the term here
                self._outages.begin("storing", str(error))
                if pause is None or self._clock.now() > slot.deadline:
                    return Reason.DATABASE
                await asyncio.sleep(pause)
            else:
                self._outages.end("storing")
                self._note_api(sweep)
                self._sessions[slot] = sweep.session
                return Reason.OVERRUN
        raise AssertionError("unreachable")

    def _end_sweep(self, slot: ScheduledSlot) -> None:
        del self._walking[slot]
        self._states[slot.schedule], actions = end_sweep(self._states[slot.schedule])
        for action in actions:
            if not self._stop_event.is_set():
                self._start(action.slot)

    def _free(self, slot: ScheduledSlot) -> Sequence[Target]:
        """Returns the slot's targets, without targets in another schedule's sweep of the same instant."""
        targets = self._timetable.targets[slot.universe]
        others = [walked for other, walked in self._walking.items() if other.at == slot.at]
        taken = {target for walked in others for target in walked}
        return [target for target in targets if target not in taken] if taken else targets

    def _note_api(self, sweep: Sweep) -> None:
        """Records the state of the API: away if it answered nothing at all, back if it answered anything."""
        walked = [
            outcome for outcome in sweep.outcomes if outcome.ended and outcome.status is not Status.MISSED
        ]
        failed = [outcome.error for outcome in walked if outcome.error.startswith("Unavailable")]
        if walked and len(failed) == len(walked):
            self._outages.begin("api", failed[0])
        elif walked:
            self._outages.end("api")

    async def _judge(self, slot: ScheduledSlot, targets: Sequence[Target]) -> None:
        day = kst(slot.at).date()
        session = self._sessions.pop(slot, None)
        if session is not None and session < day and day not in self._closed_days:
            self._closed_days.add(day)
            logger.error("calendar.closed_day", **_facts(slot), day=day.isoformat())
        if session is not None:
            return  # a second source names the day, so nothing is guessed
        exchanges = open_exchanges(self._timetable.calendar, slot.at)
        if exchanges and await self._accounts.flag_stale(slot.at, targets, exchanges):
            logger.error("calendar.closed_day", **_facts(slot), day=kst(slot.at).date().isoformat())

    async def _pass_over(self, slots: Iterable[ScheduledSlot], why: Callable[[datetime], Reason]) -> None:
        """Records slots as missed that cannot run any more, a batch at a time."""
        slots = iter(slots)
        while batch := list(islice(slots, _BATCH)):
            alike = sorted(batch, key=lambda slot: (slot.schedule, why(slot.at), slot.at))
            for (_, reason), group in groupby(alike, lambda slot: (slot.schedule, why(slot.at))):
                await self._miss(list(group), reason)

    async def _miss(self, slots: Sequence[ScheduledSlot], reason: Reason) -> None:
        """Records missed targets of a schedule's slots, except targets in another sweep of the instant."""
        for targets, alike in groupby(slots, self._free):
            if targets:
                await self._miss_alike(list(alike), targets, reason)

    async def _miss_alike(
        self, slots: Sequence[ScheduledSlot], targets: Sequence[Target], reason: Reason
    ) -> None:
        first, last = slots[0], slots[-1]
        missed = await self._accounts.record_missed(
            [slot.at for slot in slots], first.universe, targets, reason
        )
        if missed:
            facts = _facts(first) | ({"until": last.at.isoformat()} if len(slots) > 1 else {})
            logger.warning("slot.missed", **facts, reason=reason, targets=missed)
            self._settled(last)

    async def _run_maintenance(self) -> None:
        """Once a day: creates partitions, stores closing times, archives and drops old days."""
        never = asyncio.Event()
        while True:
            now = await self._agreement.now()
            today = kst(now).date()
            again = day_start(today + ONE_DAY) + _AFTER_MIDNIGHT
            self._say_if_unsure(today)
            try:
                await self._accounts.make_days(today)
                await self._accounts.keep_closings(self._timetable.calendar, today)
                await self._retain(now)
                await self._tend_answers(now)
                await self._repair(now)
            except LeaseLost:
                raise
            except StoreError as error:
                logger.warning("maintenance.failed", reason=str(error))
                again = self._clock.now() + _AGAIN
            await self._clock.sleep_until(again, never)

    async def _retain(self, now: datetime) -> None:
        """Archives days, and takes the next step towards dropping old days.

        If days are archived, a day without whole files is never dropped.
        """
        upkeep, retention = self._upkeep, self._accounts.retention(self._outages)
        first = upkeep.archivable(self._timetable.calendar, now)
        if first and not await retention.why_kept(now, first):
            await upkeep.archive(first)
        await retention.enforce(
            now, upkeep.keep_days, upkeep.prove if upkeep.archive_after_days > 0 else None
        )

    async def _repair(self, now: datetime) -> None:
        day = self._upkeep.repairable(self._timetable.calendar, now)
        if day is not None and self._upkeep.repair is not None:
            await self._upkeep.repair(day)

    async def _tend_answers(self, now: datetime) -> None:
        """Pack the kept answers of days that are over, and drop those that are older than they are to be kept."""
        packed, dropped = await self._collector.store.tend_answers(now, self._upkeep.raw_days)
        if packed or dropped:
            logger.info("answers.tended", packed=packed, dropped=[day.isoformat() for day in dropped])

    def _say_if_unsure(self, today: date) -> None:
        calendar = self._timetable.calendar
        if not calendar.sure(today):
            logger.warning(
                "calendar.out_of_range", day=today.isoformat(), known_until=calendar.coverage_end.isoformat()
            )


def _facts(slot: ScheduledSlot) -> dict[str, str]:
    return {"slot": slot.at.isoformat(), "schedule": slot.schedule, "universe": slot.universe}
