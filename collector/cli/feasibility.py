"""Forecasts the load of the schedules, and refuses schedules that are senseless or exceed the quota."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.base import duration
from collector.config import Config, build_timetable
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.granted_rate import read_lowest_grant
from collector.db.snapshots import SnapshotStore
from collector.errors import ConfigError
from collector.log import logger
from collector.market import schedule_lint
from collector.market.calendar import Calendar
from collector.market.schedule import Every, Schedule
from collector.market.sectors import bundled_sectors
from collector.market.timetable import Timetable
from collector.model import Baseline, Target
from collector.sweep.estimate import Due, Estimate, Overrun, estimate, find_overrun, list_completions

_WEEK = timedelta(days=7)
_YEAR = timedelta(days=365)
_CADENCES = [timedelta(minutes=n) for n in (1, 2, 3, 5, 10, 13, 15, 26, 30, 39, 65, 78, 130, 195, 390)]
"""Intervals to offer: round ones, and divisors of a session of six and a half hours."""


_LEARNED = (
    "the server granted less than the configured rate; a higher rate is tried every hour, or at once after"
    " `collector quota --forget`"
)


@dataclass(frozen=True)
class Forecast:
    """The load of a configuration's schedules. The mappings are by schedule, `costs` is by universe."""

    per_second: int
    """The rate granted by the server, else the configured one; 0 means no quota."""
    costs: Mapping[str, Estimate]
    sweeps_a_day: Mapping[str, int]
    sweeps_a_year: Mapping[str, int]
    ends: Mapping[str, timedelta]
    """Duration of the longest sweep of the coming week, with the other sweeps beside it."""
    complaint: str | None
    """The reason with the arithmetic and the nearest cadence that fits; None if the schedules fit."""
    fits_configured: bool = True
    """True if the schedules fit the configured rate, even if the learned one is lower."""


def refuse_bad_schedules(config: Config, calendar: Calendar, now: datetime, *, force: bool) -> None:
    """ConfigError with a line for each fault of a schedule or of several together."""
    if lines := list(check_schedules(config, calendar, now, force=force)):
        raise ConfigError("\n".join(lines))


def check_schedules(
    config: Config, calendar: Calendar, now: datetime, *, force: bool = False
) -> Iterator[str]:
    """The same as lines `FILE:LINE: …`."""
    if not config.schedules:
        example = "schedules: {intraday: {universe: U, every: 5m, during: KRX.regular}}"
        yield config.format_error(("schedules",), f"there are no schedules; add one, such as `{example}`")
    for warning in schedule_lint.validate(config.schedules, calendar, start=now):
        if not (force and warning.forcible):
            path = ("schedules", warning.schedule, warning.field)
            yield config.format_error(
                path, f"schedules.{warning.schedule}.{warning.field}: {warning.message}"
            )


async def refuse_infeasible(config: Config, calendar: Calendar, database: Database, now: datetime) -> None:
    """ConfigError with the arithmetic if a sweep cannot end before the next one of its schedule.

    A learned rate only causes a warning: the server may grant more by then.
    """
    load_forecast = await forecast(config, calendar, database, now)
    if load_forecast.complaint and load_forecast.fits_configured:
        logger.warning(
            "plan.slow", reason=load_forecast.complaint, learned=load_forecast.per_second, hint=_LEARNED
        )
    elif load_forecast.complaint:
        raise ConfigError(load_forecast.complaint, hint="change the schedule, or start it with --force")


async def forecast(config: Config, calendar: Calendar, database: Database, now: datetime) -> Forecast:
    """A forecast from earlier walks; from the sector table if a target has none."""
    registry = Registry(database)
    await registry.open()
    sectors = await registry.sectors() or bundled_sectors()
    configured = learned = config.api.requests_per_second
    if configured:
        async with database.connection("reading the quota") as connection:
            learned = min(await read_lowest_grant(connection) or configured, configured)
    keys = max(1, len(config.api.keys))
    timetable = build_timetable(config, calendar, sectors)
    targets = {target for selection in timetable.targets.values() for target in selection}
    baselines = await _read_baselines(SnapshotStore(database, registry), targets, now)
    costs = {name: estimate(selection, sectors, baselines) for name, selection in timetable.targets.items()}
    load = _Load(timetable, costs, learned * keys, now)
    result = _forecast(config, load)
    if result.complaint is None or learned == configured:
        return replace(result, fits_configured=result.complaint is None)
    return replace(result, fits_configured=replace(load, per_second=configured * keys).clash() is None)


async def _read_baselines(
    store: SnapshotStore, targets: Collection[Target], now: datetime
) -> Mapping[Target, Baseline]:
    """The baselines of the targets with earlier walks."""
    numbered = [target for target in targets if target in store.registry.targets]
    return await store.baselines(now, numbered)


@dataclass(frozen=True)
class _Load:
    """The work by universe, and the available rate."""

    timetable: Timetable
    costs: Mapping[str, Estimate]
    per_second: int
    now: datetime

    def due(self) -> list[Due]:
        """The sweeps of the coming week."""
        return [Due(slot.at, slot.schedule) for slot in self.timetable.between(self.now, self.now + _WEEK)]

    def requests(self) -> dict[str, int]:
        return {
            schedule.name: self.costs[schedule.universe].requests for schedule in self.timetable.schedules
        }

    def clash(self) -> Overrun | None:
        return find_overrun(self.due(), self.requests(), self.per_second)

    def with_schedule(self, old: Schedule, new: Schedule) -> "_Load":
        """The load with `new` in place of `old`."""
        schedules = [new if schedule is old else schedule for schedule in self.timetable.schedules]
        return replace(self, timetable=replace(self.timetable, schedules=schedules))

    def longest(self) -> dict[str, timedelta]:
        """The duration of the longest sweep of each schedule."""
        durations: dict[str, timedelta] = {}
        for end in list_completions(self.due(), self.requests(), self.per_second):
            name, took = end.due.schedule, end.at - end.due.at
            durations[name] = max(took, durations.get(name, took))
        return durations


def _forecast(config: Config, load: _Load) -> Forecast:
    timetable = load.timetable
    year = {
        schedule.name: list(timetable.instants(schedule, load.now, load.now + _YEAR))
        for schedule in timetable.schedules
    }
    clash = load.clash()
    return Forecast(
        per_second=load.per_second,
        costs=load.costs,
        sweeps_a_day={
            name: max(Counter(at.date() for at in slots).values(), default=0) for name, slots in year.items()
        },
        sweeps_a_year={name: len(slots) for name, slots in year.items()},
        ends={} if clash else load.longest(),
        complaint=_complaint(config, load, clash) if clash else None,
    )


def _complaint(config: Config, load: _Load, clash: Overrun) -> str:
    """The arithmetic of the first sweep that does not fit, and the nearest alternative."""
    slow = next(schedule for schedule in config.schedules if schedule.name == clash.due.schedule)
    cost = load.costs[slow.universe]
    alone = cost.seconds(load.per_second)
    gap = (clash.next_at - clash.due.at).total_seconds()
    text = (
        f"schedules.{slow.name}: {cost.targets} targets take {cost.requests} requests,"
        f" at {load.per_second}/s {alone:.0f} s"
    )
    if alone <= gap:
        others = ", ".join(schedule.name for schedule in config.schedules if schedule is not slow)
        text += f", beside {others} {(clash.ends - clash.due.at).total_seconds():.0f} s"
    key = "every" if isinstance(slow.when, Every) else "at"
    fits = f"its next slot comes after {gap:.0f} s; {_nearest(slow, load)}"
    return config.format_error(("schedules", slow.name, key), f"{text}; {fits}")


def _nearest(slow: Schedule, load: _Load) -> str:
    if isinstance(slow.when, Every):
        for interval in _CADENCES:
            if interval <= slow.when.interval:
                continue
            slower = replace(slow, when=slow.when._replace(interval=interval))
            if load.with_schedule(slow, slower).clash() is None:
                return f"the nearest cadence that fits is `every: {duration.show(interval)}`"
    return "no cadence fits; name fewer targets"
