"""The type of an option that names a day."""

from datetime import date, datetime

import click

from collector.base.day_text import parse_day

# The package `holidays` covers KRX from 2000 to 2100. The margin leaves room for the next days.
_ANSWERED = (date(2000, 1, 1), date(2099, 12, 30))


class DayParam(click.ParamType[date]):
    """A Korean date: 2026-11-20, 20261120, today, yesterday or -5d."""

    name = "date"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        from collector.model import KST  # noqa: PLC0415 - `--help` does not need it

        try:
            day = parse_day(value, datetime.now(KST).date())
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not _ANSWERED[0] <= day <= _ANSWERED[1]:
            self.fail(f"{value} is out of range; use {_ANSWERED[0]} to {_ANSWERED[1]}", param, ctx)
        return day
