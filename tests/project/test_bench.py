"""The page of measurements is what its commands wrote."""

import pytest

from bench import __main__ as bench
from bench import report

PAGE = report.PAGE.read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    return page.partition(f"## {report.SECTIONS[name]}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", report.SECTIONS)
def test_each_section_shows_one_run_of_its_own_command(name):
    commands = [line for line in section(PAGE, name).splitlines() if line.startswith("`python -m bench ")]
    assert [command.split()[3].rstrip("`,") for command in commands] == [name]


@pytest.mark.parametrize("name", report.SECTIONS)
def test_figures_that_are_written_anew_take_the_place_of_the_old_ones(name):
    runs = [
        f"`python -m bench {name}`, {day}\n\n```\nfigures of {day}\n```\n" for day in ("Monday", "Tuesday")
    ]
    page = report.PAGE.read_text(encoding="utf-8")
    for run in runs:
        page = report._with(page, name, run)
    assert runs[1] in page
    assert "Monday" not in page
    others = [other for other in report.SECTIONS if other != name]
    assert [section(page, other).strip() for other in others] == [
        section(PAGE, other).strip() for other in others
    ]


def test_every_measurement_of_the_page_is_one_that_can_be_asked_for():
    assert set(report.SECTIONS) <= set(bench.NAMED)
    assert set(report.SECTIONS) == set(bench.EVERY)
