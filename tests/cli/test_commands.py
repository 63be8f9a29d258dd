"""The other commands as processes: what they answer, and with which exit status."""

import asyncio
import csv
import io
import json
import re
import shlex
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import click
import pytest

from collector.cli.main import VERBS, cli
from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import APP_KEY, Ended, config, environment, run, run_cold
from tests.support.harness import OPEN, STILL, collecting, execute, fetch
from tests.support.postgres_server import Server

BENT = Target.of("KOSDAQ", "139", "KRX")
SOUND = Target.of("KOSPI", "013", "KRX")


@dataclass
class Kept:
    """A database with two sweeps: the older one whole, the newer one with a target that failed."""

    address: Dsn
    folder: Path
    simulator: Simulator

    async def run(self, *arguments: str) -> Ended:
        return await run(*arguments, env=environment(self.simulator.url, self.address), cwd=self.folder)


@pytest.fixture(scope="module")
async def kept(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    config(folder, BENT, SOUND)
    faulty = replace(STILL, faults=("rejected_15xx:sector=139,after=3,times=1",))
    async with server.database(template=template) as address, Simulator(faulty) as simulator:
        async with collecting(address, simulator.url, BENT, SOUND) as collector:
            await collector.sweep(OPEN - timedelta(minutes=5), "all", [BENT, SOUND])
            await collector.sweep(OPEN, "all", [BENT, SOUND])
        yield Kept(address, folder, simulator)


@pytest.mark.extended
async def test_check_shows_what_is_in_force_and_no_secret(kept: Kept) -> None:
    found = await kept.run("check")
    assert (found.code, found.err) == (0, "")
    assert "KIWOOM_APP_KEY: ***" in found.out
    assert "# universe all: 2 targets" in found.out
    assert f"base_url: {kept.simulator.url}" in found.out


@pytest.mark.extended
async def test_check_refuses_a_schedule_that_the_daemon_would_not_start_with(tmp_path: Path) -> None:
    path = tmp_path / "fast.yaml"
    path.write_text(
        "universes: {b: [{market: KOSPI, sectors: [001]}]}\n"
        "schedules:\n"
        "  fast: {universe: b, every: 30s, during: KRX.regular}\n",
        encoding="utf-8",
    )
    found = await run("check", "--config", str(path), env=environment(), cwd=tmp_path)
    assert found.code == 2
    assert f"{path}:3: schedules.fast.every: 30s is below one minute" in found.err


async def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    example = await run("check", "--example", env=environment(), cwd=tmp_path)
    (tmp_path / "example.yaml").write_text(example.out)
    found = await run("check", "--config", "example.yaml", env=environment(), cwd=tmp_path)
    assert (example.code, found.code) == (0, 0)
    assert "# universe boards: " in found.out


async def test_the_example_of_a_calendar_lies_over_the_shipped_one(tmp_path: Path) -> None:
    for example, file in (("config", "collector.yaml"), ("calendar", "calendar.yaml")):
        printed = await run("check", "--example", example, env=environment(), cwd=tmp_path)
        (tmp_path / file).write_text(printed.out, encoding="utf-8")
    asked = ("schedule", "--config", "collector.yaml", "--from", "2028-11-03", "--to", "2028-11-03")
    found = await run(*asked, env=environment(), cwd=tmp_path)
    assert "2028-11-03 Fri           skipped: Announced by KRX after" in found.out


async def test_check_reads_the_calendar_beside_the_configuration(tmp_path: Path) -> None:
    """Also where no schedule asks it: `backfill` and the page do."""
    (tmp_path / "collector.yaml").write_text("universes: {b: [{market: KOSPI, sectors: [001]}]}\n")
    (tmp_path / "calendar.yaml").write_text("closed: {2026-02-28: A day off}\n", encoding="utf-8")
    found = await run("check", "--config", "collector.yaml", env=environment(), cwd=tmp_path)
    assert found.code == 2
    assert "calendar.yaml:1: 2026-02-28 is a Saturday and closed anyway" in found.err


@pytest.mark.extended
async def test_csv_quotes_texts_that_a_spreadsheet_would_run_and_leaves_numbers(kept: Kept) -> None:
    query = (
        "SELECT '=HYPERLINK(1)' AS name, -1.5 AS change, '-7' AS text, -3 AS sign, '-infinity'::date AS day"
    )
    found = await kept.run("sql", query, "--format", "csv")
    assert found.out == "name,change,text,sign,day\n'=HYPERLINK(1),-1.5,-7,-3,-infinity\n"
    assert '"=HYPERLINK(1)"' in (await kept.run("sql", query, "--format", "json")).out


async def test_check_online_tries_everything(kept: Kept) -> None:
    found = await kept.run("check", "--online")
    assert found.code == 0
    assert re.search(
        r"database +ok: .*\nclock +ok: it agrees with the database and the API's Date header\n"
        r"token +ok: .*\npage +ok: KOSDAQ/139/KRX answered with 100 rows",
        found.out,
    )


async def test_check_learn_needs_online(kept: Kept) -> None:
    found = await kept.run("check", "--learn")
    assert found.code == 2
    assert "use --online --learn" in found.err


async def test_check_provoke_needs_learn(kept: Kept) -> None:
    found = await kept.run("check", "--online", "--provoke")
    assert found.code == 2
    assert "use --online --learn --provoke" in found.err


async def test_check_provoke_asks_first_and_sends_nothing_without_a_yes(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, SOUND)
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        found = await run("check", "--online", "--learn", "--provoke", env=env, cwd=tmp_path)
        assert simulator.control.stats()["requests"] == 0
    assert found.code == 1
    assert "exceeds the quota of ka10101 on purpose" in found.err
    assert "Aborted" in found.err


async def test_check_online_says_what_does_not_work_and_tries_the_rest(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, SOUND)
    async with Simulator(replace(STILL, keys={APP_KEY: "other"})) as simulator:
        found = await run("check", "--online", env=environment(simulator.url, database), cwd=tmp_path)
    assert found.code == 2
    assert re.search(r"database +ok", found.out)
    assert re.search(r"token +does not work\ncollector: .*8001.*\n  check KIWOOM_APP_KEY", found.err)
    assert found.err.count("8001") == 1
    assert re.search(r"page +not tried: it needs the token", found.err)


async def test_check_online_says_once_and_in_plain_words_that_nobody_is_there(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, SOUND)
    found = await run("check", "--online", env=environment("http://127.0.0.1:9", database), cwd=tmp_path)
    assert found.code == 2
    assert found.err.count("cannot connect to 127.0.0.1:9: the connection was refused") == 1
    assert "Connect call failed" not in found.err
    assert "Errno" not in found.err


async def test_check_online_without_a_database_says_so_once(tmp_path: Path) -> None:
    config(tmp_path, SOUND)
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none?sslmode=disable"}
    found = await run("check", "--online", env=environment("http://127.0.0.1:9", **nowhere), cwd=tmp_path)
    assert found.code == 2
    assert found.err.count("127.0.0.1:9") == 1
    assert re.search(
        r"token +not tried: it needs the database\npage +not tried: it needs the database", found.err
    )


async def test_plan_tells_the_cost_from_what_was_there(kept: Kept) -> None:
    asked = kept.simulator.api.book.count
    found = await kept.run("plan")
    assert found.code == 0
    assert re.search(r"all .* 2 .* 380 .* 4 ", found.out)
    assert kept.simulator.api.book.count == asked


async def test_migrate_applies_once_and_says_so(blank: Dsn, tmp_path: Path) -> None:
    env = environment(None, blank)
    waiting = await run("migrate", "--dry-run", env=env, cwd=tmp_path)
    assert waiting.code == 1
    assert waiting.out.startswith("to apply: 0001, 0002")
    applied = await run("migrate", env=env, cwd=tmp_path)
    assert (applied.code, applied.out) == (0, waiting.out.replace("to apply", "applied"))
    assert await fetch(blank, "SELECT count(*) FROM snapshot") == [(0,)]
    for arguments in (("migrate",), ("migrate", "--dry-run")):
        again = await run(*arguments, env=env, cwd=tmp_path)
        assert (again.code, again.out) == (0, "up to date\n")


async def test_status_shows_the_newest_sweeps_and_that_one_is_not_whole(kept: Kept) -> None:
    shown = await kept.run("status")
    assert shown.code == 1
    assert "2026-11-20 11:00:00" in shown.out
    assert "source: a simulator" in shown.out
    found = json.loads((await kept.run("status", "--json")).out)
    assert [(sweep["complete"], sweep["failed"], sweep["rows"]) for sweep in found["sweeps"]] == [
        (1, 1, 81),
        (2, 0, 380),
    ]
    assert found["sweeps"][0]["slot"] == "2026-11-20T11:00:00+09:00"


@pytest.mark.extended
async def test_status_counts_a_slot_once_that_two_universes_share(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, BENT, SOUND)
    async with Simulator(STILL) as simulator:
        async with collecting(database, simulator.url, BENT, SOUND) as collector:
            await collector.sweep(OPEN, "one", [BENT])
            await collector.sweep(OPEN, "other", [SOUND])
        found = await run("status", "--json", env=environment(simulator.url, database), cwd=tmp_path)
    [sweep] = json.loads(found.out)["sweeps"]
    assert (sweep["universe"], sweep["complete"], sweep["rows"]) == ("one, other", 2, 380)


async def test_status_of_an_empty_database_says_how_to_begin(database: Dsn, tmp_path: Path) -> None:
    found = await run("status", env=environment(None, database), cwd=tmp_path)
    assert found.code == 0
    assert "nothing is stored yet" in found.out
    assert "source: none yet" in found.out


@pytest.mark.extended
async def test_sectors_are_listed_and_refreshed(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, SOUND)
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        shipped = await run("sectors", env=env, cwd=tmp_path)
        refreshed = await run("sectors", "--refresh", env=env, cwd=tmp_path)
        again = await run("sectors", "--refresh", env=env, cwd=tmp_path)
        assert simulator.api.book.answers()["ka10101"] == {"ok": 10}
    assert [shipped.code, refreshed.code, again.code] == [0, 0, 0]
    assert re.search(r"KOSPI .* 001 .* 2,477", shipped.out)
    assert re.search(r"(\d+) sectors, \1 of them new or renamed; 0 are gone", refreshed.err)
    assert re.search(r"\d+ sectors, 0 of them new or renamed; 0 are gone", again.err)
    assert refreshed.out == again.out


async def test_a_sector_listed_under_a_market_that_does_not_serve_it_is_left_out_with_a_word(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, SOUND)
    async with Simulator(
        replace(STILL, faults=("garbage_number:field=code,text=199,api=ka10101,first=1",))
    ) as simulator:
        refreshed = await run("sectors", "--refresh", env=environment(simulator.url, database), cwd=tmp_path)
    assert (refreshed.code, "199" in refreshed.out) == (0, False)
    assert "left out, because another market serves them: KOSPI/199" in refreshed.err


QUERY = """
SELECT slot, symbol, name, change_percent, remarks
FROM snapshot
JOIN walk USING (slot, sector)
WHERE sector = '013'
ORDER BY slot, position
LIMIT 2
"""


async def test_sql_answers_as_a_table_csv_or_json(kept: Kept) -> None:
    table = await kept.run("sql", QUERY)
    comma = list(csv.reader(io.StringIO((await kept.run("sql", QUERY, "--format", "csv")).out)))
    lines = [json.loads(line) for line in (await kept.run("sql", QUERY, "--format", "json")).out.splitlines()]
    symbol, name, percent = lines[0]["symbol"], lines[0]["name"], lines[0]["change_percent"]
    assert lines[0] == {
        "slot": "2026-11-20T10:55:00+09:00",
        "symbol": symbol,
        "name": name,
        "change_percent": percent,
        "remarks": [],
    }
    assert isinstance(percent, int | float)
    assert comma[0] == list(lines[0])
    assert comma[1] == ["2026-11-20T10:55:00+09:00", symbol, name, str(percent), "[]"]
    assert len(comma) == 3
    assert symbol in table.out
    assert name in table.out


async def test_sql_shows_what_is_there_and_takes_none_of_it_for_markup(kept: Kept) -> None:
    found = await kept.run("sql", "SELECT '[abc] x' AS a, '[/x]' AS b, ':smile:' AS \"[bold]c\"")
    assert found.code == 0
    assert all(text in found.out for text in ("[abc] x", "[/x]", ":smile:", "[bold]c"))


ENDLESS = """
SELECT 'Infinity'::numeric AS a, '-Infinity'::numeric AS b, 'NaN'::numeric AS c, 'Infinity'::float8 AS d,
       'NaN'::float8 AS e, 'infinity'::timestamptz AS f, '-infinity'::timestamptz AS g, 'infinity'::timestamp AS h,
       '-infinity'::date AS i, '9999-12-31 20:00+00'::timestamptz AS j, ARRAY['infinity'::date] AS k
"""
AS_TEXT = {
    "a": "Infinity", "b": "-Infinity", "c": "NaN", "d": "Infinity", "e": "NaN", "f": "infinity", "g": "-infinity",
    "h": "infinity", "i": "-infinity", "j": "9999-12-31T20:00:00+00:00", "k": ["infinity"],
}  # fmt: skip


async def test_sql_shows_what_has_no_end_as_postgresql_does(kept: Kept) -> None:
    lines = await kept.run("sql", ENDLESS, "--format", "json")
    table = await kept.run("sql", ENDLESS)
    assert (lines.code, table.code) == (0, 0)
    assert json.loads(lines.out, parse_constant=lambda name: f"no JSON: {name}") == AS_TEXT
    assert "-infinity" in table.out


async def test_sql_says_in_words_what_it_cannot_show(kept: Kept) -> None:
    found = await kept.run("sql", "SELECT '0044-03-15 BC'::date")
    assert found.code == 2
    assert "cast it to text" in found.err


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT * FROM snapshots", "did you mean snapshot? the tables and views are"),
        ("SELECT * FROM lates", "did you mean latest?"),
        ("SELECT * FROM collector.walks", "did you mean walk?"),
        ("SELECT * FROM nowhere_near", "the tables and views are"),
        ("SELECT symbl FROM latest", "did you mean symbol? the columns are"),
        ("SELECT l.prices FROM latest AS l", "did you mean price?"),
        ('SELECT price FROM latest WHERE sector = "001"', "use single quotes for a text: '001'"),
        ("SELECT * FROM mover(1)", "did you mean movers? the functions of collector are"),
    ],
)
async def test_sql_names_what_was_probably_meant(kept: Kept, query: str, hint: str) -> None:
    found = await kept.run("sql", query)
    assert found.code == 2
    assert hint in found.err
    assert "migrate" not in found.err


@pytest.mark.extended
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        pytest.param("| head -1", 0, "", id="whoever reads has seen enough"),
        pytest.param(
            "> /dev/full",
            2,
            "collector: the output cannot be written: No space left on device\n",
            id="the disk is full",
        ),
    ],
)
async def test_an_answer_that_goes_nowhere_is_no_trouble_of_the_database(
    kept: Kept, where: str, code: int, said: str
) -> None:
    query = "SELECT repeat('x', 100) FROM generate_series(1, 20000)"
    command = f"{shlex.quote(sys.executable)} -m collector sql {shlex.quote(query)} --format csv {where}"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, env=environment(None, kept.address), stdout=PIPE, stderr=PIPE
    )
    _, err = await process.communicate()
    complaints = "".join(line for line in err.decode().splitlines(keepends=True) if not line.startswith("{"))
    assert (process.returncode, complaints) == (code, said)


async def test_sql_sees_a_table_that_is_wider_than_any_screen(kept: Kept) -> None:
    found = await kept.run("sql", "SELECT * FROM latest LIMIT 40")
    assert found.code == 0
    assert len(found.out.splitlines()) > 40
    assert "…" not in found.out


async def test_sql_changes_nothing_even_through_a_function(kept: Kept) -> None:
    await execute(kept.address, "CREATE SEQUENCE public.counted")
    found = await kept.run("sql", "SELECT nextval('public.counted')")
    assert found.code == 2
    assert "read-only" in found.err


@pytest.mark.extended
async def test_without_a_database_url_the_private_one_is_used_and_stopped(tmp_path: Path) -> None:
    config(tmp_path, SOUND)
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, COLLECTOR_HOME=str(tmp_path / "home"))
        swept = await run("once", env=env, cwd=tmp_path)
        asked = await run("sql", "SELECT count(*) FROM snapshot", "--format", "csv", env=env, cwd=tmp_path)
    assert (swept.code, asked.code) == (0, 0)
    assert asked.out == "count\n81\n"
    assert not (tmp_path / "home" / "postgres" / "data" / "postmaster.pid").exists()


async def test_help_has_examples_and_every_command_a_line(tmp_path: Path) -> None:
    found = await run_cold("-m", "collector", "--help", env=environment(), cwd=tmp_path)
    once = await run("once", "--help", env=environment(), cwd=tmp_path)
    assert (found.code, once.code) == (0, 0)
    for verb in (
        "demo",
        "once",
        "plan",
        "status",
        "check",
        "migrate",
        "sectors",
        "simulate",
        "sql",
        "schedule",
    ):
        assert re.search(rf"^  {verb} +\S", found.out, re.MULTILINE)
    assert "collector once --universe boards" in once.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_takes_a_configuration(verb: str) -> None:
    command = cli.get_command(click.Context(cli), verb)
    assert command
    assert "--config" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.extended
async def test_the_demo_shows_a_whole_sweep_and_leaves_nothing_running(tmp_path: Path) -> None:
    env = environment(COLLECTOR_HOME=str(tmp_path / "home"), COLUMNS="200")
    found = await run_cold("-m", "collector", "demo", env=env, cwd=tmp_path)
    assert found.code == 0
    assert re.search(r"KOSPI200 .* CONSOLIDATED ", found.out)
    assert "best sectors of the day" in found.out
    assert "Next:" in found.out
    counted = await run("sql", "SELECT count(*) FROM snapshot", "--format", "csv", env=env, cwd=tmp_path)
    assert int(counted.out.splitlines()[1]) > 25_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["staus"], "No such command 'staus' (did you mean status?)", id="staus"),
        pytest.param(["shedule"], "No such command 'shedule' (did you mean schedule?)", id="shedule"),
        pytest.param(["ONCE"], "No such command 'ONCE' (did you mean once?)", id="ONCE"),
        pytest.param(["qqq"], "No such command 'qqq'", id="nothing near"),
        pytest.param(
            ["once", "--unverse", "x"], "No such option '--unverse'. Did you mean '--universe'?", id="option"
        ),
        pytest.param(["sql"], "Missing argument 'QUERY'.", id="argument"),
    ],
)
async def test_a_wrong_command_line_gets_one_line_and_where_help_is(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    found = await run(*arguments, env=environment(), cwd=tmp_path)
    command = (
        "collector" if len(arguments) == 1 and arguments[0] not in VERBS else f"collector {arguments[0]}"
    )
    assert (found.code, found.out) == (2, "")
    assert found.err.splitlines() == [f"collector: {says}", f"  see `{command} --help`"]


@pytest.mark.extended
@pytest.mark.parametrize("encoding", ["ascii", "cp949", "utf-8"])
async def test_every_encoding_of_the_terminal_shows_the_sectors(tmp_path, database, encoding):
    env = environment(None, database, PYTHONIOENCODING=encoding)
    found = await run_cold("-m", "collector", "sectors", env=env, cwd=tmp_path)
    assert (found.code, "Traceback" in found.err) == (0, False)
    assert ("\\uc804\\uae30" in found.out) == (encoding == "ascii")


def test_the_next_steps_of_a_demo_leave_out_the_page_that_it_serves():
    from collector.cli.demo import next_steps

    assert "./dev run web " in next_steps("./dev run", with_page=False)
    assert "web" not in next_steps("./dev run", with_page=True)
    assert "./dev run status" in next_steps("./dev run", with_page=True)


@pytest.mark.parametrize("verb", ["demo", "simulate"])
def test_a_command_without_a_configuration_accepts_the_option_and_does_not_offer_it(verb):
    command = cli.get_command(click.Context(cli), verb)
    [option] = [parameter for parameter in command.params if parameter.name == "config_path"]
    assert option.hidden
    assert "--config" not in command.get_help(click.Context(command))


def test_importing_the_command_line_changes_no_signal_handler():
    """The handler before may be any: a process under nohup ignores SIGHUP."""
    code = (
        "import sys; sys.argv = ['collector', 'daemon']; import signal; before = signal.getsignal(signal.SIGHUP);"
        " import collector.cli; print(signal.getsignal(signal.SIGHUP) == before)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "True\n"


async def test_the_queries_that_a_demo_suggests_work_and_an_empty_answer_says_so(tmp_path, database):
    from collector.cli.demo import next_steps

    queries = re.findall(r'sql "([^"]+)"', next_steps("collector", with_page=False))
    assert len(queries) == 2
    for query in queries:
        found = await run("sql", query, env=environment(None, database, COLUMNS="100"), cwd=tmp_path)
        assert (found.code, found.err.splitlines()[-1]) == (0, "0 rows")
        assert "┃" in found.out
