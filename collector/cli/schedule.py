"""`collector schedule`: list the coming slots and the skipped days."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from heapq import merge
from itertools import islice
from pathlib import Path

import click

from collector.base import resources
from collector.base.days import ONE_DAY, day_start
from collector.cli.context import read_context
from collector.cli.day_param import DayParam
from collector.cli.options import config_option
from collector.errors import ConfigError
from collector.market import calendar
from collector.market.calendar import Calendar
from collector.market.schedule import (
    HORIZON,
    Schedule,
    ScheduledSlot,
    Skip,
    due_slots,
    list_skips,
    merge_slots,
)
from collector.model import KST


@click.command(
    epilog="""\b
Examples:
  collector schedule                                        the next 10 slots
  collector schedule --next 50
  collector schedule --from 2026-11-16 --to 2026-11-20      all slots of a week, and the skipped days
  collector schedule --from 2026-12-31 --to 2027-01-04 --json
"""
)
@click.option(
    "--next", "count", type=click.IntRange(1, 100_000), help="Number of coming slots (default: 10)."
)
@click.option("--from", "first", type=DayParam(), help="All slots from this day, KST ...")
@click.option("--to", "last", type=DayParam(), help="... to this one, both included.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one list.")
@config_option
def schedule(
    count: int | None, first: date | None, last: date | None, as_json: bool, config_path: Path | None
) -> None:
    """List the slots of the schedules, and the skipped days."""
    _refuse_contradictions(count, first, last)
    config = read_context(config_path).config
    schedules, known = config.schedules, read_calendar(Path(config.origin))
    if first and last:
        entries = between(schedules, known, first, last)
    else:
        entries = upcoming(schedules, known, datetime.now(KST), count or 10)
    lines = _json(entries) if as_json else _table(entries, schedules)
    click.echo("\n".join(lines))
    if unsure := next((day for day in map(_day, entries) if not known.sure(day)), None):
        span = f"{known.coverage_start} to {known.coverage_end}"
        click.echo(f"collector: the calendar covers {span}; {unsure} is uncertain", err=True)


def read_calendar(path: Path) -> Calendar:
    """The calendar of a configuration: the shipped one, extended by the `calendar.yaml` beside the
    configuration.

    ConfigError if that file is unreadable: it may close days that are open in the shipped one.
    """
    shipped_file, beside = resources.path("config", "calendar.yaml"), path.parent / "calendar.yaml"
    base = _load_calendar(shipped_file, None)
    if not os.path.lexists(beside) or (beside.exists() and beside.samefile(shipped_file)):
        return base
    return _load_calendar(beside, base)


def _load_calendar(path: Path, base: Calendar | None) -> Calendar:
    try:
        return calendar.load(path.read_bytes(), str(path), base)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def between(
    schedules: Sequence[Schedule], known: Calendar, first: date, last: date
) -> list[ScheduledSlot | Skip]:
    """The slots and the skipped days from one day to another, both included, in time order."""
    slots = merge_slots(schedules, known, day_start(first), day_start(last + ONE_DAY))
    return _together(slots, list_skips(schedules, known, first, last + ONE_DAY))


def upcoming(
    schedules: Sequence[Schedule], known: Calendar, now: datetime, count: int
) -> list[ScheduledSlot | Skip]:
    """The next `count` slots, and the skipped days up to the last of them, in time order."""
    slots = list(islice(due_slots(schedules, known, now, now + HORIZON), count))
    end = slots[-1].at.date() if slots else now.date()
    return _together(slots, list_skips(schedules, known, now.date(), end + ONE_DAY))


def _refuse_contradictions(count: int | None, first: date | None, last: date | None) -> None:
    if (first is None) != (last is None):
        raise click.UsageError("--from and --to go together; give both, or --next")
    if first and last and count:
        raise click.UsageError("--next and --from/--to exclude each other; give one of them")
    if first and last and last < first:
        raise click.UsageError("--to lies before --from; use the same day or a later one")


def _together(slots: Iterable[ScheduledSlot], skips: Iterable[Skip]) -> list[ScheduledSlot | Skip]:
    both: tuple[Iterable[ScheduledSlot | Skip], ...] = (skips, slots)
    return list(merge(*both, key=_moment))


def _moment(entry: ScheduledSlot | Skip) -> datetime:
    """The sort key of an entry. A skipped day sorts before its slots."""
    return entry.at if isinstance(entry, ScheduledSlot) else day_start(entry.day)


def _day(entry: ScheduledSlot | Skip) -> date:
    return entry.day if isinstance(entry, Skip) else entry.at.date()


def _json(entries: Iterable[ScheduledSlot | Skip]) -> Iterator[str]:
    lines = (json.dumps(_plain(entry), ensure_ascii=False) for entry in entries)
    yield "[" + ",\n ".join(lines) + "]"


def _plain(entry: ScheduledSlot | Skip) -> dict[str, str | None]:
    if isinstance(entry, Skip):
        return {"date": entry.day.isoformat(), "skipped": entry.reason}
    return {
        "slot": entry.at.isoformat(),
        "schedule": entry.schedule,
        "universe": entry.universe,
        "session": entry.session,
    }


def _table(entries: Iterable[ScheduledSlot | Skip], schedules: Sequence[Schedule]) -> Iterator[str]:
    name = max((len(schedule.name) for schedule in schedules), default=0)
    universe = max((len(schedule.universe) for schedule in schedules), default=0)
    name, universe = max(name, len("schedule")), max(universe, len("universe"))
    yield f"{'slot (KST)':23}  {'schedule':{name}}  {'universe':{universe}}  session"
    for entry in entries:
        if isinstance(entry, Skip):
            yield f"{entry.day:%Y-%m-%d %a}           skipped: {entry.reason}"
        else:
            when = f"{entry.at:%Y-%m-%d %a %H:%M:%S}"
            yield f"{when}  {entry.schedule:{name}}  {entry.universe:{universe}}  {entry.session or '-'}"
