"""A second reading of one schedule's keys, by plain words instead of patterns."""

from datetime import time, timedelta

SESSIONS = ("KRX.regular", "KRX.after", "NXT.pre", "NXT.main", "NXT.after")
DAYS = ("trading", "all", "mon-fri")
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DIGITS = set("0123456789")
DAY = timedelta(days=1)

When = tuple[object, ...]


class Wrong(Exception):
    """Not what the documentation of a schedule allows."""


def reading(keys: dict[str, str]) -> tuple[When, str, timedelta | None]:
    """When, on which days, and the grace (None: not said)."""
    found = when(keys)
    days = keys.get("days", "trading").strip()
    if days not in DAYS:
        raise Wrong
    longest = found[1] if found[0] == "every" else DAY
    assert isinstance(longest, timedelta)
    return found, days, whole_seconds(keys["grace"], longest) if "grace" in keys else None


def when(keys: dict[str, str]) -> When:
    if "at" in keys:
        if "every" in keys or "during" in keys:
            raise Wrong
        return instant(keys["at"].strip())
    if "every" not in keys or "during" not in keys:
        raise Wrong
    during = keys["during"].strip()
    if during not in (*SESSIONS, "day"):
        raise Wrong
    return "every", whole_seconds(keys["every"], DAY), None if during == "day" else during


def instant(text: str) -> When:
    if len(text) == 5 and text[2] == ":" and set(text[:2] + text[3:]) <= DIGITS:
        hour, minute = int(text[:2]), int(text[3:])
        if hour < 24 and minute < 60:
            return "at", time(hour, minute)
        raise Wrong
    for name in SESSIONS:
        for edge in ("open", "close"):
            head = f"{name}.{edge}"
            if text.startswith(head):
                return "edge", name, edge, offset(text[len(head) :])
    raise Wrong


def offset(text: str) -> timedelta:
    if not text:
        return timedelta(0)
    text = text.lstrip(" \t\n\r\f\v")
    if text[:1] not in ("+", "-"):
        raise Wrong
    text = text[:1] + text[1:].lstrip(" \t\n\r\f\v")
    if text[1:] != text[1:].strip():
        raise Wrong
    span = whole_seconds(text[1:], DAY)
    return -span if text[0] == "-" else span


def whole_seconds(text: str, longest: timedelta) -> timedelta:
    text = text.strip()
    number = text.rstrip("".join(set(text) - DIGITS))
    unit = text[len(number) :]
    if not 1 <= len(number) <= 9 or not set(number) <= DIGITS or unit not in UNITS:
        raise Wrong
    milliseconds = int(number) * UNITS[unit]
    if milliseconds % 1000 or not 1000 <= milliseconds <= longest // timedelta(milliseconds=1):
        raise Wrong
    return timedelta(milliseconds=milliseconds)
