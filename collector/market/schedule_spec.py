"""Parses one schedule of a config and refuses invalid expressions."""

import re
from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum
from typing import NamedTuple

from collector.base import duration
from collector.base.days import ONE_DAY
from collector.base.yaml_text import quote
from collector.market.calendar import SESSIONS

_SECOND = timedelta(seconds=1)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_WHOLE_DAY = "day"
_EDGE = re.compile(r"(\w+\.\w+)\.(open|close)(?:\s*([+-])\s*(\w+))?", re.ASCII)
_DURING = f"{', '.join(SESSIONS)}, or {_WHOLE_DAY}"
_INSTANTS = "HH:MM, or SESSION.open or SESSION.close, if need be with + or - a span: KRX.regular.close + 10m"


class ScheduleError(ValueError):
    """An invalid field of a schedule; the text has the value and the allowed form."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Days(StrEnum):
    """The days of a schedule; a session takes place on trading days alone, at any value."""

    TRADING = "trading"
    ALL = "all"
    WEEKDAYS = "mon-fri"


class Every(NamedTuple):
    """At a session's opening, every interval counted from it, and at its closing.

    Without a session: from midnight to midnight, KST, every interval.
    """

    interval: timedelta
    session: str | None


class AtTime(NamedTuple):
    """At a time of day, KST."""

    time: time


class AtSessionBoundary(NamedTuple):
    """At an instant relative to a session's opening or closing."""

    session: str
    edge: str
    offset: timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of a universe's sweeps. `grace` is None for the default, see `ScheduledSlot`."""

    name: str
    universe: str
    when: Every | AtTime | AtSessionBoundary
    days: Days = Days.TRADING
    grace: timedelta | None = None

    @property
    def session(self) -> str | None:
        """The session that anchors the slots; None for a time of day."""
        return None if isinstance(self.when, AtTime) else self.when.session


def parse(
    name: str,
    *,
    universe: str,
    every: str | None = None,
    during: str | None = None,
    at: str | None = None,
    days: str | None = None,
    grace: str | None = None,
) -> Schedule:
    """Parse one schedule from the texts of its keys, None for an absent key; ScheduleError if a text is
    invalid."""
    when = _when(every, during, at)
    limit = when.interval if isinstance(when, Every) else ONE_DAY
    return Schedule(
        name, universe, when, _days(days), None if grace is None else _span("grace", grace, limit)
    )


def _when(every: str | None, during: str | None, at: str | None) -> Every | AtTime | AtSessionBoundary:
    if at is not None:
        for field, text in (("every", every), ("during", during)):
            if text is not None:
                raise ScheduleError(field, f"{field} beside at; use either `every` with `during`, or `at`")
        return _at(at)
    if every is None:
        raise ScheduleError("every", "no time; use either `every` with `during`, or `at`")
    if during is None:
        raise ScheduleError("during", f"every without during; add during: {_DURING}")
    return Every(_span("every", every, ONE_DAY), _during(during.strip()))


def _at(text: str) -> AtTime | AtSessionBoundary:
    if match := _CLOCK.fullmatch(text.strip()):
        return AtTime(time(int(match[1]), int(match[2])))
    if match := _EDGE.fullmatch(text.strip()):
        offset = _span("at", match[4], ONE_DAY) if match[4] else timedelta(0)
        return AtSessionBoundary(_session("at", match[1]), match[2], -offset if match[3] == "-" else offset)
    raise ScheduleError("at", f"{quote(text)} is not a time; use {_INSTANTS}")


def _during(name: str) -> str | None:
    return None if name == _WHOLE_DAY else _session("during", name, _DURING)


def _session(field: str, name: str, allowed: str = ", ".join(SESSIONS)) -> str:
    if name not in SESSIONS:
        raise ScheduleError(field, f"{quote(name)} is not a session; use {allowed}")
    return name


def _days(text: str | None) -> Days:
    if text is None:
        return Days.TRADING
    try:
        return Days(text.strip())
    except ValueError:
        raise ScheduleError("days", f"{quote(text)} is not a set of days; use {', '.join(Days)}") from None


def _span(field: str, text: str, most: timedelta) -> timedelta:
    """Parse a duration of whole seconds, because slots are whole seconds."""
    try:
        span = duration.parse(text)
    except (ValueError, OverflowError) as error:
        raise ScheduleError(field, str(error)) from None
    if span % _SECOND or not _SECOND <= span <= most:
        raise ScheduleError(field, f"{text} is out of range; use 1s to {duration.show(most)}, whole seconds")
    return span
