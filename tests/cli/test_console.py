"""Tables at a terminal: as a table if it fits, else as records, and never with a value cut."""

import io
import sys

import pytest
from rich.console import Console
from rich.table import Table

from collector.cli import console
from collector.cli.sql_job import _RowTable

VALUES = ("2026-11-20T11:00:00+09:00", "KOSPI", "삼성전자", "-0.55")


def shown(width: int, *columns: str, rows: int = 2, wrapped: str = "", last: str = "-0.55") -> str:
    table = Table(*columns, title="newest")
    for _ in range(rows):
        table.add_row(*VALUES[:-1], last)
    text = io.StringIO()
    console.print_table(Console(file=text, width=width, highlight=False), table, wrapped=wrapped)
    return text.getvalue()


@pytest.mark.parametrize("width", [58, 80, 1000])
def test_a_table_that_fits_is_a_table(width: int) -> None:
    text = shown(width, "slot", "market", "name", "change")
    assert all(value in text for value in VALUES)
    assert "-[ 1 ]-" not in text
    assert "slot" in text.splitlines()[2]


@pytest.mark.parametrize("width", [10, 40, 57])
def test_a_table_that_does_not_fit_is_a_record_after_another(width: int) -> None:
    text = shown(width, "slot", "market", "name", "change")
    record = [f"slot   | {VALUES[0]}", "market | KOSPI", "name   | 삼성전자", "change | -0.55"]
    assert text.splitlines() == ["newest", "-[ 1 ]-", *record, "-[ 2 ]-", *record]


def test_a_long_reason_takes_several_lines_of_its_column() -> None:
    reason = "row_count: 650 rows where 716 were expected; accept the walk or wait for the next one"
    text = shown(100, "slot", "market", "name", "reason", wrapped="reason", last=reason)
    assert "-[ 1 ]-" not in text
    assert all(word in text for word in reason.split())
    assert "-[ 1 ]-" in shown(100, "slot", "market", "name", "reason", last=reason)


def test_numbers_of_a_query_are_right_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    write = _RowTable(["symbol", "price", "traded"])
    for row in [("005930", 108_500, True), ("000020", 900, False), ("000040", None, None), None]:
        write(row)
    assert "│ 005930 │ 108500 │" in text.getvalue()
    assert "│ 000020 │    900 │" in text.getvalue()
