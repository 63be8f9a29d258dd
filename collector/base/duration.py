"""Lengths of time as people write them in a config: `500ms`, `10s`, `5m`, `2h`, `7d`."""

import re
from datetime import timedelta

_FORM = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_UNIT = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
ALLOWED = "a whole number and a unit: 500ms, 10s, 5m, 2h, 7d"


def parse(text: str) -> timedelta:
    """Read one length of time; ValueError (its text says what is allowed) for anything else."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time; allowed is {ALLOWED}")
    return timedelta(**{_UNIT[match[2]]: int(match[1])})


def show(span: timedelta) -> str:
    """The shortest of the forms that `parse` reads back as the same span."""
    milliseconds = span // timedelta(milliseconds=1)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
