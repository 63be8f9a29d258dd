"""Reads the dated table of hours and closures, and refuses invalid entries with file and line."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time
from typing import NamedTuple, TypeVar

from collector.base import yaml_text
from collector.errors import ConfigError

SESSIONS = ("KRX.regular", "KRX.after", "NXT.pre", "NXT.main", "NXT.after")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_T = TypeVar("_T")
_HOURS = re.compile(r"\d\d:\d\d(:\d\d)?-\d\d:\d\d(:\d\d)?", re.ASCII)


class OpeningHours(NamedTuple):
    """The opening and closing times of a session, KST."""

    opens: time
    closes: time


class Special(NamedTuple):
    """A day with hours of its own, and the reason; None is a session that stays closed."""

    reason: str
    hours: Mapping[str, OpeningHours | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarTable:
    """The content of the calendar file; the file explains each part."""

    coverage_start: date
    coverage_end: date
    sessions: Mapping[str, Mapping[date, OpeningHours | None]]
    """A session's usual hours from each date on, in the order of the dates."""
    first_day: Mapping[str, Mapping[date, OpeningHours | None]]
    """Other hours of the first trading day of a year, from each date on."""
    closed: Mapping[date, str]
    open: Mapping[date, str]
    special: Mapping[date, Special]


def read(data: bytes, origin: str, base: CalendarTable | None = None) -> CalendarTable:
    """Read the table from a file's bytes; ConfigError `ORIGIN:LINE: …` for an invalid entry.

    With a `base` the file may be partial: it overrides parts of that table.
    """
    root = yaml_text.read(data, origin)
    try:
        return _table(root, base or _NOTHING, is_partial=base is not None)
    except _WrongError as wrong:
        raise ConfigError(yaml_text.format_error(origin, wrong.line, str(wrong))) from None


_NOTHING = CalendarTable(
    coverage_start=date.min, coverage_end=date.max, sessions={}, first_day={}, closed={}, open={}, special={}
)


class _WrongError(Exception):
    """An error in the file, on its way to `read`, which knows the file's name."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def _table(root: yaml_text.Mapping, base: CalendarTable, *, is_partial: bool) -> CalendarTable:
    _only(root, "known", "sessions", "first_trading_day", "closed", "open", "hours")
    known = _only(_section(root, "known"), "from", "until")
    closed, opened = _reasons(_section(root, "closed")), _reasons(_section(root, "open"))
    special = _specials(_section(root, "hours"))
    for day in closed.keys() & (opened.keys() | special.keys()):
        line = _section(root, "closed").lines[day.isoformat()]
        raise _WrongError(line, f"{day} is closed here and open elsewhere in the file; remove one of them")
    table = CalendarTable(
        coverage_start=_coverage_date(known, "from", base.coverage_start if is_partial else None),
        coverage_end=_coverage_date(known, "until", base.coverage_end if is_partial else None),
        sessions=_merge_steps(base.sessions, _steps_by_session(_section(root, "sessions"))),
        first_day=_merge_steps(base.first_day, _first_day(_section(root, "first_trading_day"))),
        closed=_without(base.closed, opened, special) | closed,
        open=_without(base.open, closed) | opened,
        special=_without(base.special, closed) | special,
    )
    if table.coverage_end < table.coverage_start:
        line = known.lines.get("until", known.lines.get("from", root.line))
        raise _WrongError(line, "`until` lies before `from`; use a later date")
    if not table.sessions:
        raise _WrongError(root.line, f"no hours under `sessions`; add {_names()}")
    return table


def _coverage_date(node: yaml_text.Mapping, key: str, default: date | None) -> date:
    if default is not None and key not in node.entries:
        return default
    return _date(*_entry(node, key))


def _merge_steps(
    base: Mapping[str, Mapping[date, OpeningHours | None]],
    own: Mapping[str, Mapping[date, OpeningHours | None]],
) -> dict[str, dict[date, OpeningHours | None]]:
    """Merge each session's steps in the order of their dates; own hours win on the same date.

    Own hours without a date count from `date.min` and replace all steps of their session.
    """
    merged = {name: dict(steps) for name, steps in base.items()}
    for name, steps in own.items():
        earlier = {} if date.min in steps else merged.get(name, {})
        merged[name] = dict(sorted((earlier | dict(steps)).items()))
    return merged


def _without(base: Mapping[date, _T], *own: Mapping[date, object]) -> dict[date, _T]:
    """Return the base's days without those contradicted by the own file."""
    return {day: value for day, value in base.items() if not any(day in days for days in own)}


def _section(root: yaml_text.Mapping, key: str) -> yaml_text.Mapping:
    node = root.entries.get(key)
    if node is None or node == yaml_text.Scalar(node.line, ""):
        return yaml_text.Mapping(root.line)
    return _mapping(node, root.lines[key])


def _mapping(node: yaml_text.Node, line: int) -> yaml_text.Mapping:
    if isinstance(node, yaml_text.Mapping):
        return node
    raise _WrongError(line, f"{yaml_text.describe(node)}; use a mapping (`key: value` lines)")


def _only(node: yaml_text.Mapping, *keys: str) -> yaml_text.Mapping:
    for key, line in node.lines.items():
        if key not in keys:
            raise _WrongError(line, f"{yaml_text.quote(key)}; use {', '.join(keys)}")
    return node


def _entry(node: yaml_text.Mapping, key: str) -> tuple[str, int]:
    if key not in node.entries:
        raise _WrongError(node.line, f"`{key}` is missing")
    return _text(node.entries[key], node.lines[key]), node.lines[key]


def _text(node: yaml_text.Node, line: int) -> str:
    if isinstance(node, yaml_text.Scalar) and node.text:
        return node.text
    raise _WrongError(line, f"{yaml_text.describe(node)}; use a text")


def _date(text: str, line: int) -> date:
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        with suppress(ValueError):
            return date.fromisoformat(text)
    raise _WrongError(line, f"{yaml_text.quote(text)} is not a date; use YYYY-MM-DD, a day that exists")


def _by_date(node: yaml_text.Mapping) -> Iterator[tuple[date, yaml_text.Node, int]]:
    for key, value in node.entries.items():
        yield _date(key, node.lines[key]), value, node.lines[key]


def _by_weekday(node: yaml_text.Mapping) -> Iterator[tuple[date, yaml_text.Node, int]]:
    for day, value, line in _by_date(node):
        if day.weekday() >= 5:
            name = WEEKDAYS[day.weekday()]
            raise _WrongError(line, f"{day} is a {name} and closed anyway; use a day from Monday to Friday")
        yield day, value, line


def _by_session(node: yaml_text.Mapping) -> Iterator[tuple[str, yaml_text.Node, int]]:
    for name, value in node.entries.items():
        if name not in SESSIONS:
            raise _WrongError(node.lines[name], f"{yaml_text.quote(name)} is not a session; use {_names()}")
        yield name, value, node.lines[name]


def _names() -> str:
    return ", ".join(SESSIONS)


def _reasons(node: yaml_text.Mapping) -> dict[date, str]:
    return {day: _text(value, line) for day, value, line in _by_weekday(node)}


def _steps(node: yaml_text.Node, line: int) -> dict[date, OpeningHours | None]:
    steps = {day: _hours(value, line) for day, value, line in _by_date(_mapping(node, line))}
    if list(steps) != sorted(steps):
        raise _WrongError(line, "dates out of order; put the earliest first")
    return steps


def _steps_by_session(node: yaml_text.Mapping) -> dict[str, dict[date, OpeningHours | None]]:
    return {name: _steps(value, line) for name, value, line in _by_session(node)}


def _first_day(node: yaml_text.Mapping) -> dict[str, dict[date, OpeningHours | None]]:
    """Read hours from a date on, as under `sessions`, or hours without a date."""
    return {
        name: _steps(value, line) if isinstance(value, yaml_text.Mapping) else {date.min: _hours(value, line)}
        for name, value, line in _by_session(node)
    }


def _hours_by_session(node: yaml_text.Mapping) -> dict[str, OpeningHours | None]:
    return {name: _hours(value, line) for name, value, line in _by_session(node)}


def _specials(node: yaml_text.Mapping) -> dict[date, Special]:
    return {day: _special(_mapping(value, line)) for day, value, line in _by_weekday(node)}


def _special(node: yaml_text.Mapping) -> Special:
    reason, _ = _entry(node, "reason")
    hours = {key: value for key, value in node.entries.items() if key != "reason"}
    return Special(reason, _hours_by_session(yaml_text.Mapping(node.line, hours, node.lines)))


def _hours(node: yaml_text.Node, line: int) -> OpeningHours | None:
    text = _text(node, line)
    if text == "closed":
        return None
    if _HOURS.fullmatch(text):
        opens, _, closes = text.partition("-")
        with suppress(ValueError):
            hours = OpeningHours(time.fromisoformat(opens), time.fromisoformat(closes))
            if hours.opens < hours.closes:
                return hours
    allowed = "HH:MM-HH:MM or HH:MM:SS-HH:MM:SS, closing later than opening, or closed"
    raise _WrongError(line, f"{yaml_text.quote(text)} is not a range of hours; use {allowed}")
