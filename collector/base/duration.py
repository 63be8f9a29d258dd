"""Parses and prints durations of a config: `500ms`, `10s`, `5m`, `2h`, `7d`."""

import re
from datetime import timedelta

_FORM = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_UNIT = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
ALLOWED = "a whole number and a unit (500ms, 10s, 5m, 2h, 7d)"


def parse(text: str) -> timedelta:
    """Parse one duration; ValueError with the allowed form for anything else."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; use {ALLOWED}")
    return timedelta(**{_UNIT[match[2]]: int(match[1])})


def show(span: timedelta) -> str:
    """Format a duration in the shortest form that `parse` reads back as the same value."""
    milliseconds = span // timedelta(milliseconds=1)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
