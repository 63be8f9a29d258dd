"""What `collector schedule` shows."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from collector.cli.schedule import read_calendar, upcoming
from collector.config import parse
from collector.errors import ConfigError
from collector.model import KST
from tests.support.command_process import Ended, environment, run

CONFIG = """
universes:
  boards: [{market: KOSPI, sectors: [001], exchanges: [KRX]}]
schedules:
  intraday: {universe: boards, every: 3h, during: KRX.regular}
  nightly: {universe: boards, at: 22:00}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "collector.yaml"
    found.write_text(CONFIG)
    return found


async def shown(path: Path, *arguments: str) -> Ended:
    return await run("schedule", "--config", str(path), *arguments, env=environment(), cwd=path.parent)


async def test_json_is_one_list_of_slots_and_skipped_days_in_time_order(path):
    result = await shown(path, "--from", "2026-11-19", "--to", "2026-11-21", "--json")
    slots = [
        ("2026-11-19T10:00:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-19T13:00:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-19T16:00:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-19T16:30:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-19T22:00:00+09:00", "nightly", None),
        ("2026-11-20T09:00:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-20T12:00:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-20T15:00:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-20T15:30:00+09:00", "intraday", "KRX.regular"),
        ("2026-11-20T22:00:00+09:00", "nightly", None),
    ]
    assert json.loads(result.out) == [
        *(
            {"slot": at, "schedule": name, "universe": "boards", "session": session}
            for at, name, session in slots
        ),
        {"date": "2026-11-21", "skipped": "Saturday"},
    ]
    assert (result.code, result.err) == (0, "")


async def test_the_table_shows_slots_and_reasons(path):
    result = await shown(path, "--from", "2026-09-23", "--to", "2026-09-25")
    assert result.out.splitlines()[-3:] == [
        "2026-09-23 Wed 22:00:00  nightly   boards    -",
        "2026-09-24 Thu           skipped: The day preceding Chuseok",
        "2026-09-25 Fri           skipped: Chuseok",
    ]


def test_the_next_slots_come_with_the_days_skipped_on_the_way(path):
    config = parse(CONFIG.encode(), "collector.yaml")
    entries = upcoming(config.schedules, read_calendar(path), datetime(2026, 11, 20, 15, 30, tzinfo=KST), 2)
    assert [str(entry[0])[:16] for entry in entries] == [
        "2026-11-20 22:00",
        "2026-11-21",
        "2026-11-22",
        "2026-11-23 09:00",
    ]


async def test_next_shows_as_many_slots_as_asked_for(path):
    entries = json.loads((await shown(path, "--next", "7", "--json")).out)
    assert sum("slot" in entry for entry in entries) == 7


async def test_days_past_the_calendars_knowledge_are_said_to_be_unsure(path):
    result = await shown(path, "--from", "2027-12-31", "--to", "2028-01-04", "--json")
    assert result.err == "collector: the calendar covers 2025-01-01 to 2027-12-31; 2028-01-01 is uncertain\n"
    assert result.code == 0


async def test_a_calendar_beside_the_config_wins_over_the_shipped_one(path):
    path.with_name("calendar.yaml").write_text(
        "known: {from: 2026-11-20, until: 2026-11-20}\n"
        "sessions: {KRX.regular: {2026-01-01: 09:00-15:30}}\n"
        "closed: {2026-11-20: National mourning}\n"
    )
    result = await shown(path, "--from", "2026-11-20", "--to", "2026-11-20", "--json")
    assert json.loads(result.out) == [{"date": "2026-11-20", "skipped": "National mourning"}]


async def test_no_schedules_show_an_empty_list(path):
    path.write_text(CONFIG.partition("schedules:")[0])
    assert (await shown(path, "--json")).out == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "2026-11-20"], "--from and --to go together"),
        (
            ["--from", "2026-11-20", "--to", "2026-11-20", "--next", "3"],
            "--next and --from/--to exclude each other",
        ),
        (["--from", "2026-11-20", "--to", "2026-11-19"], "--to lies before --from"),
        (
            ["--from", "2026-02-30", "--to", "2026-03-01"],
            "'2026-02-30' is not a date; use YYYY-MM-DD, YYYYMMDD, today, yesterday or -5d",
        ),
        (
            ["--from", "0001-01-01", "--to", "9999-12-31"],
            "0001-01-01 is out of range; use 2000-01-01 to",
        ),
        (["--next", "0"], "0 is not in the range"),
    ],
    ids=" ".join,
)
async def test_a_wrong_question_is_refused(path, arguments, says):
    result = await shown(path, *arguments)
    assert result.code == 2
    assert says in result.err


async def test_a_wrong_calendar_is_refused_with_file_and_line(path):
    beside = path.with_name("calendar.yaml")
    beside.write_text("known: {from: 2026-02-30, until: 2027-12-31}")
    result = await shown(path)
    assert result.code == 2
    assert result.err.startswith(f"collector: {beside}:1: '2026-02-30' is not a date; use YYYY-MM-DD")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(lambda path: path.symlink_to("nowhere"), "No such file"), (Path.mkdir, "Is a directory")],
    ids=["leads nowhere", "folder"],
)
def test_a_calendar_that_cannot_be_read_is_refused_and_not_replaced_by_the_shipped_one(path, spoil, why):
    spoil(path.with_name("calendar.yaml"))
    with pytest.raises(ConfigError, match=rf"calendar.yaml: cannot be read \({why}"):
        read_calendar(path)


async def test_a_wrong_schedule_is_refused_with_file_and_line(path):
    path.write_text(CONFIG.replace("22:00", "25:00"))
    result = await shown(path)
    assert result.code == 2
    assert f"{path}:6: schedules.nightly.at: '25:00' is not a time" in result.err
