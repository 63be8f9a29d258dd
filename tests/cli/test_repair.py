"""`collector repair` as a process: missed slots out of minute bars, labelled, and nothing observed touched."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from collector import config as configuration
from collector.cli.context import CliContext
from collector.cli.repair_job import make_repair_job
from collector.config import Environment
from collector.daemon import Upkeep
from collector.db.dsn import Dsn
from collector.errors import ConfigError
from collector.model import KST, Target
from collector.secret import Secret
from kiwoom_simulator import Options, Simulator
from tests.support.bar_histories import CALENDAR
from tests.support.command_process import Ended, environment, run, started
from tests.support.harness import APP_KEY, OPEN, SECRET_KEY, STILL, collecting, execute, fetch, url, yaml
from tests.support.prepared_databases import PreparedDatabases
from tests.support.table_watch import watched

TARGET = Target.of("KOSPI", "020", "KRX")
"""Five listings."""
DAY = ("repair", "--from", "2026-11-20", "--to", "2026-11-20")
SUNDAY = Options(quota=0, freeze=datetime(2026, 11, 22, 12, 0, tzinfo=KST))
SCHEDULES = "schedules:\n  intraday: {universe: all, every: 5m, during: KRX.regular}\n"
OBSERVED = [OPEN, OPEN + timedelta(minutes=5)]
ROWS = """
SELECT slot, symbol, price, change, (change_percent * 100)::integer, sign, volume, open, high, low
FROM reconstructed ORDER BY slot, symbol
"""


@pytest.fixture
async def observed(prepared: PreparedDatabases, tmp_path: Path) -> AsyncIterator[Dsn]:
    """Two observed slots of the day, one line that says missed and one that says failed; the rest is absent."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "collector.yaml").write_text(yaml([TARGET]) + SCHEDULES, encoding="utf-8")
    async with prepared.copy(__name__, observe) as (database, _):
        yield database


async def observe(database: Dsn) -> None:
    for slot in OBSERVED:
        async with (
            Simulator(replace(STILL, freeze=slot)) as simulator,
            collecting(database, simulator.url, TARGET) as collector,
        ):
            await collector.sweep(slot, "all", [TARGET])
    line = "INSERT INTO collector.walk (slot, target, status) SELECT $1, id, $2 FROM collector.target"
    await execute(database, line, OPEN + timedelta(minutes=10), "missed")
    await execute(database, line, OPEN + timedelta(minutes=15), "failed")


async def repair(database: Dsn, cwd: Path, *faults: str, options: tuple[str, ...] = ()) -> Ended:
    async with Simulator(replace(SUNDAY, faults=faults)) as simulator:
        return await run(*DAY, *options, env=environment(simulator.url, database), cwd=cwd)


async def test_a_day_is_repaired_and_what_was_observed_stays(observed: Dsn, tmp_path: Path) -> None:
    before = await fetch(observed, "SELECT * FROM snapshot ORDER BY slot, position")
    latest = await fetch(observed, "SELECT * FROM latest ORDER BY position")
    planned = await repair(observed, tmp_path, options=("--dry-run",))
    assert (planned.code, "77 walks are missing: 5 requests, no quota, 385 rows" in planned.out) == (0, True)
    assert await fetch(observed, "SELECT count(*) FROM reconstructed") == [(0,)]
    done = await repair(observed, tmp_path)
    assert done.code == 0, done.err
    assert "repaired 5 listings with 385 rows" in done.out
    assert re.search(r"KRX: 100.00 % of prices, 100.00 % of volumes of 10 observed rows agree", done.out)
    rows = await fetch(observed, ROWS)
    async with Simulator(SUNDAY) as simulator:
        market = simulator.market
        for slot, symbol, price, change, percent, sign, volume, opened, high, low in rows:
            if slot == OPEN.replace(hour=9):
                continue  # the opening instant itself: no bar is labelled before it
            row = market.row(market.listings[symbol], TARGET.exchange, market.sessions.moments(slot))
            shown = [
                abs(int(row[name]))
                for name in ("cur_prc", "now_trde_qty", "open_pric", "high_pric", "low_pric")
            ]
            assert [price, volume, opened or 0, high or 0, low or 0] == shown
            assert (change, sign) == (int(row["pred_pre"]), int(row["pred_pre_sig"]))
            assert percent == round(float(row["flu_rt"]) * 100)
    states = "SELECT status, repaired_at IS NOT NULL FROM walk ORDER BY slot"
    assert await fetch(observed, states) == [
        ("complete", False), ("complete", False), ("missed", True), ("failed", True),
    ]  # fmt: skip
    assert await fetch(observed, "SELECT * FROM snapshot ORDER BY slot, position") == before
    assert await fetch(observed, "SELECT * FROM latest ORDER BY position") == latest
    origins = "SELECT origin, count(*) FROM filled('KOSPI', '020', 'KRX', '2026-11-20') GROUP BY 1 ORDER BY 1"
    assert await fetch(observed, origins) == [("ka10080", 385), ("observed", 10)]


@pytest.mark.extended
async def test_twice_is_nothing_and_asks_nobody(observed: Dsn, tmp_path: Path) -> None:
    assert (await repair(observed, tmp_path)).code == 0
    before = await fetch(observed, "SELECT * FROM reconstructed ORDER BY slot, symbol")
    async with Simulator(SUNDAY) as simulator:
        again = await run(*DAY, env=environment(simulator.url, observed), cwd=tmp_path)
        asked = [line for line in simulator.api.book.since(0) if line["api_id"] == "ka10080"]
    assert (again.code, asked) == (0, [])
    assert "0 requests" in again.out
    assert await fetch(observed, "SELECT * FROM reconstructed ORDER BY slot, symbol") == before


@pytest.mark.extended
@pytest.mark.parametrize(
    ("fault", "code", "rows", "text"),
    [
        pytest.param("absent_total_volume", 0, 385, "100.00 % of volumes"),
        pytest.param("half_minute_labels", 0, 385, "observed rows agree"),
        ("cut_day", 1, 0, "the first bars of the day are missing"),
        ("empty_day", 0, 0, "5 without minute bars"),
        pytest.param("rejected_15xx:api=ka10080", 1, 0, "Rejected"),
        ("garbage_number:api=ka10080,field=high_pric,rows=600", 1, 0, "a minute bar does not decode"),
    ],
)
async def test_bad_bars_have_a_clear_outcome(
    observed: Dsn, tmp_path: Path, fault: str, code: int, rows: int, text: str
) -> None:
    done = await repair(observed, tmp_path, fault)
    assert done.code == code, done.err
    assert text in done.out + done.err
    assert await fetch(observed, "SELECT count(*) FROM reconstructed") == [(rows,)]
    assert await fetch(observed, "SELECT count(*) FROM snapshot") == [(10,)]
    if code:
        assert (await repair(observed, tmp_path)).code == 0
        assert await fetch(observed, "SELECT count(*) FROM reconstructed") == [(385,)]


@pytest.mark.extended
async def test_a_listing_delisted_since_is_named_and_the_others_are_repaired(
    observed: Dsn, tmp_path: Path
) -> None:
    await execute(observed, "UPDATE collector.membership SET symbols = array_append(symbols, '999999')")
    done = await repair(observed, tmp_path)
    assert done.code == 1
    assert "2026-11-20 999999 KRX: Rejected" in done.err
    assert await fetch(observed, "SELECT count(*) FROM reconstructed") == [(385,)]
    outcomes = "SELECT repaired, failed FROM repair"
    assert await fetch(observed, outcomes) == [(5, 1)]
    again = await repair(observed, tmp_path)
    assert (again.code, "1 requests" in again.out) == (1, True)
    assert await fetch(observed, outcomes) == [(5, 1)]


@pytest.mark.extended
async def test_a_day_that_disagrees_with_what_was_observed_is_doubtful(observed: Dsn, tmp_path: Path) -> None:
    await execute(observed, "UPDATE collector.snapshot SET price = price * 2, volume = volume * 3")
    done = await repair(observed, tmp_path)
    assert done.code == 1
    assert "doubtful" in done.err
    assert await fetch(observed, "SELECT doubtful, compared FROM repair") == [(True, 10)]


@pytest.mark.extended
async def test_a_repair_that_is_killed_is_taken_up(observed: Dsn, tmp_path: Path) -> None:
    """Killed after the first listing and after another one; a listing has all its rows, or none."""
    torn = "SELECT symbol FROM collector.reconstructed GROUP BY symbol HAVING count(*) <> 77"
    line = "SELECT count(*) FROM collector.repair"
    async with Simulator(replace(SUNDAY, latency=timedelta(milliseconds=40))) as simulator:
        env = environment(simulator.url, observed)
        for stop in range(1, 3):
            async with (
                watched(observed, "collector.repair") as repaired,
                started(*DAY, env=env, cwd=tmp_path) as process,
            ):
                await repaired.next_commit(process)
            assert await fetch(observed, torn) == []
            assert await fetch(observed, line) >= [(stop,)]
        done = await run(*DAY, env=env, cwd=tmp_path)
    assert done.code == 0
    assert await fetch(observed, "SELECT count(*), count(DISTINCT (slot, symbol)) FROM reconstructed") == [
        (385, 385)
    ]


async def test_a_target_without_known_members_is_named(database: Dsn, tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "collector.yaml").write_text(yaml([TARGET]) + SCHEDULES, encoding="utf-8")
    done = await repair(database, tmp_path)
    assert done.code == 1
    assert "KOSPI/020/KRX: no complete walk tells its members" in done.err


async def _unused(_day: date) -> None:
    """Stands for a repair in a timetable."""


@pytest.mark.parametrize(
    ("now", "repair", "day"),
    [
        (datetime(2026, 11, 20, 0, 5, tzinfo=KST), _unused, date(2026, 11, 19)),
        (datetime(2026, 11, 23, 5, 59, tzinfo=KST), _unused, date(2026, 11, 20)),
        (datetime(2026, 11, 20, 6, 0, tzinfo=KST), _unused, None),
        (datetime(2026, 11, 20, 0, 5, tzinfo=KST), None, None),
    ],
)
def test_the_day_before_is_repaired_at_night_and_only_if_that_is_wanted(now, repair, day):
    assert Upkeep(repair=repair).repairable(CALENDAR, now) == day


@pytest.mark.extended
async def test_the_daemon_repairs_a_day_in_a_process_of_its_own(
    observed: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config" / "collector.yaml"
    async with Simulator(SUNDAY) as simulator:
        monkeypatch.setenv("KIWOOM_BASE_URL", simulator.url)
        secrets = {
            "app_key": Secret(APP_KEY),
            "secret_key": Secret(SECRET_KEY),
            "database_url": Secret(url(observed)),
        }
        context = CliContext(Environment(**secrets), configuration.load(path, base_url=simulator.url))
        await make_repair_job(context)(date(2026, 11, 20))
    assert await fetch(observed, "SELECT count(*) FROM reconstructed") == [(385,)]


def test_repair_is_off_unless_it_is_asked_for():
    plain = configuration.parse(yaml([TARGET], requests_per_second=5).encode(), "c.yaml")
    nightly = configuration.parse(
        (yaml([TARGET], requests_per_second=5) + "repair: nightly\n").encode(), "c.yaml"
    )
    assert (plain.repair, nightly.repair) == ("off", "nightly")
    with pytest.raises(ConfigError, match="use one of off, nightly"):
        configuration.parse((yaml([TARGET], requests_per_second=5) + "repair: hourly\n").encode(), "c.yaml")
