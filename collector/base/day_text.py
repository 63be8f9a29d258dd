"""The forms of a day in commands: `2026-11-20`, `20261120`, `today`, `yesterday`, `-5d`."""

import re
from datetime import date, timedelta

ALLOWED = "YYYY-MM-DD, YYYYMMDD, today, yesterday or -5d"
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{4})([0-9]{2})([0-9]{2})", re.ASCII)
_AGO = re.compile(r"-([0-9]{1,5})d", re.ASCII)
_WORDS = {"today": 0, "yesterday": 1}


def parse_day(text: str, today: date) -> date:
    """Reads one day; `today` is the day of the words. ValueError with the allowed forms for other texts."""
    word = text.strip().lower()
    ago = _WORDS.get(word)
    if match := _AGO.fullmatch(word):
        ago = int(match[1])
    try:
        if ago is not None:
            return today - timedelta(days=ago)
        if match := _DAY.fullmatch(word):
            return date(*(int(part) for part in match.groups() if part))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a date; use {ALLOWED}")
