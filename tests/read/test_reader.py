"""Reading from Python: the same rows from the database and from files, with types that need no care."""

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("adbc_driver_postgresql", reason="the extra `read` is not installed")
pa = pytest.importorskip("pyarrow")

import collector  # noqa: E402
from collector.db.dsn import Dsn  # noqa: E402
from collector.errors import ArchiveError, ConfigError, StoreError  # noqa: E402
from collector.read import NothingStored, Reader, Result  # noqa: E402
from tests.support.archive_harness import DAY, archived, fill  # noqa: E402
from tests.support.harness import execute, fetch, url  # noqa: E402
from tests.support.prepared_databases import PreparedDatabases  # noqa: E402

NEXT = DAY + timedelta(days=1)
COLUMNS = (
    "slot, market, sector, exchange, position, symbol, name, price, change, change_percent::float8, sign, volume, ask,"
    " bid, open, high, low, received_at"
)


async def fill_two_days(address: Dsn) -> None:
    await fill(address, DAY, NEXT)


@pytest.fixture
async def filled(prepared: PreparedDatabases) -> AsyncIterator[Dsn]:
    async with prepared.copy(__name__, fill_two_days) as (address, _):
        yield address


@pytest.fixture(scope="module")
async def kept(prepared: PreparedDatabases) -> AsyncIterator[Dsn]:
    """The same for all tests that change nothing of it."""
    async with prepared.copy(__name__, fill_two_days) as (address, _):
        yield address


@contextmanager
def reader(address: Dsn, **options: Any) -> Iterator[Reader]:
    with collector.open(url(address), **options) as opened:
        yield opened


def lines(result: Result) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in result.to_arrow().to_pylist()]


@pytest.mark.extended
async def test_the_rows_of_a_day_are_those_of_the_view(kept: Dsn) -> None:
    condition = "w.status = 'complete' AND s.exchange = 'KRX' AND s.slot >= '2026-11-19 00:00+09'"
    expected = await fetch(
        kept,
        f"SELECT {', '.join('s.' + name.strip() for name in COLUMNS.split(','))} FROM snapshot AS s"
        f" JOIN walk AS w USING (slot, market, sector, exchange) WHERE {condition}",
    )
    with reader(kept) as db:
        assert Counter(lines(db.snapshots(DAY, NEXT))) == Counter(expected)
        one = [line for line in expected if line[5] == "005930"]
        assert Counter(lines(db.snapshots(DAY, NEXT, symbol="005930"))) == Counter(one)


async def test_rows_that_are_not_certified_come_only_when_asked_for(kept: Dsn) -> None:
    with reader(kept) as db:
        with pytest.warns(NothingStored):
            assert not len(db.snapshots(DAY, market="KOSDAQ"))
        doubtful = db.snapshots(DAY, market="KOSDAQ", certified=False).to_pandas()
        assert set(doubtful.status) == {"suspect"}


QUESTIONS = {
    "snapshots": lambda db: db.snapshots(DAY, NEXT, exchange=None, certified=False),
    "a symbol": lambda db: db.snapshots(DAY, symbol="0126Z0"),
    "breadth": lambda db: db.breadth("KOSPI", "001", day=DAY, to=NEXT),
    "breadth of NXT": lambda db: db.breadth("KOSDAQ", "101", "NXT", day=DAY),
    "sector_days": lambda db: db.sector_days(from_day=DAY, to_day=NEXT),
    "as_of": lambda db: db.as_of("KOSPI", "001", at="2026-11-19T09:07"),
    "listing_day": lambda db: db.listing_day("33626K", DAY),
    "members": lambda db: db.members("KOSPI", "001"),
    "walks": lambda db: db.walks(DAY, NEXT),
}


@pytest.mark.extended
@pytest.mark.parametrize("name", QUESTIONS)
async def test_an_archived_day_is_read_from_its_files_as_from_the_database(
    filled: Dsn, tmp_path: Path, name: str
) -> None:
    await execute(filled, "UPDATE collector.snapshot SET price = 1000 + position, volume = position")
    await execute(filled, "UPDATE collector.walk SET digest = NULL")
    with reader(filled) as db:
        before = QUESTIONS[name](db)
        assert len(before)
    await archived(filled, tmp_path)
    with reader(filled) as db:
        after = QUESTIONS[name](db)
    assert after.columns == before.columns
    assert sorted(lines(after), key=str) == sorted(lines(before), key=str)
    assert after.to_arrow().schema.types == before.to_arrow().schema.types


@pytest.mark.extended
async def test_files_that_were_moved_are_named_where_they_are_now(filled: Dsn, tmp_path: Path) -> None:
    await archived(filled, tmp_path / "old")
    with reader(filled) as db:
        rows = len(db.snapshots(DAY))
    (tmp_path / "old").rename(tmp_path / "new")
    with reader(filled) as db, pytest.raises(ArchiveError, match=r"old.*2026-11-19 cannot be read"):
        db.snapshots(DAY)
    for files in (tmp_path / "new", (tmp_path / "new").as_uri()):
        with reader(filled, files=files) as db:
            assert len(db.snapshots(DAY)) == rows > 0


@pytest.mark.extended
async def test_a_foreign_file_in_the_folder_is_not_taken_for_ours(filled: Dsn, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    await archived(filled, tmp_path)
    file = tmp_path / "snapshot" / f"date={DAY}" / "KRX.parquet"
    with reader(filled) as db:
        table = pq.read_table(file, partitioning=None)
        pq.write_table(table.replace_schema_metadata(None), file)
        with pytest.raises(ArchiveError, match="is no file of `collector archive`"):
            db.snapshots(DAY)
        file.write_bytes(b"PAR1, or so it says")
        with pytest.raises(ArchiveError, match="cannot be read"):
            db.breadth("KOSPI", "001", day=DAY)
        (file.parent / "notes.txt").write_text("not ours")
        assert len(db.snapshots(DAY, exchange="NXT"))


@pytest.mark.extended
async def test_pandas_has_integers_seoul_and_no_decimals(kept: Dsn) -> None:
    pandas = pytest.importorskip("pandas")
    with reader(kept) as db:
        frames = [
            db.snapshots(DAY).to_pandas(),
            db.latest().to_pandas(),
            db.breadth("KOSPI", "001").to_pandas(),
            db.sector_days().to_pandas(),
            db.sql("SELECT 1.5::numeric AS a, now() AS b, '2026-11-20'::date AS c").to_pandas(),
        ]
    snapshots = frames[0]
    assert str(snapshots.slot.dtype) == "datetime64[us, Asia/Seoul]"
    assert str(snapshots.change_percent.dtype) == "float64"
    assert [str(snapshots[name].dtype) for name in ("price", "bid", "volume")] == ["Int32", "Int32", "Int64"]
    assert snapshots.price.isna().any()
    assert snapshots.symbol[0] == "005930"
    assert not any(
        pandas.api.types.is_object_dtype(kind)
        for frame in frames[1:]
        for kind in frame.dtypes
        if kind != "str"
    )


@pytest.mark.extended
async def test_polars_has_the_same_rows(kept: Dsn) -> None:
    pytest.importorskip("polars", reason="polars is in the lock of readers")
    with reader(kept) as db:
        result = db.breadth("KOSPI", "001", day=DAY)
        assert result.to_polars().rows() == lines(result)


@pytest.mark.extended
async def test_a_target_that_was_never_collected_gives_no_rows_and_a_warning(kept: Dsn) -> None:
    with reader(kept) as db:
        for ask in (
            lambda: db.breadth("KOSPI", "999"),
            lambda: db.sector_days("KRX100"),
            lambda: db.as_of("KOSPI", "999"),
            lambda: db.snapshots(sector="999"),
            lambda: db.latest("KOSPI", "999"),
            lambda: db.members("KOSPI", "999"),
        ):
            with pytest.warns(NothingStored, match="nothing complete was ever stored of"):
                assert len(ask()) == 0


@pytest.mark.extended
async def test_a_day_without_rows_has_the_columns_all_the_same(kept: Dsn) -> None:
    with reader(kept) as db:
        for ask in (
            lambda day: db.breadth("KOSPI", "001", day=day),
            db.snapshots,
            lambda day: db.sector_days(from_day=day),
        ):
            assert (len(ask("2020-01-01")), ask("20200101").columns) == (0, ask(DAY).columns)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda db: db.breadth("kospi", "001"), ConfigError, "'kospi' is not a market; use one of KOSPI"),
        (lambda db: db.latest(exchange="NYSE"), ConfigError, "'NYSE' is not an exchange"),
        (lambda db: db.snapshots("tomorrow"), ConfigError, "'tomorrow' is not a date; use YYYY-MM-DD"),
        (lambda db: db.snapshots("20261120", "20261119"), ConfigError, "2026-11-19 lies before 2026-11-20"),
        (lambda db: db.as_of("KOSPI", "001", at="noon"), ConfigError, "'noon' is not an instant"),
        (lambda db: db.sql("DELETE FROM collector.walk"), StoreError, "read-only transaction"),
        (lambda db: db.sql("COMMIT; DROP TABLE collector.walk"), StoreError, "multiple commands"),
        (lambda db: db.sql("SELECT * FROM nonsense"), StoreError, '"nonsense" does not exist'),
    ],
)
async def test_what_is_asked_wrongly_is_said_in_one_line(kept: Dsn, ask: Any, error: Any, says: str) -> None:
    with reader(kept) as db:
        with pytest.raises(error, match=says) as raised:
            ask(db)
        assert "\n" not in str(raised.value)
        assert db.sql("SELECT count(*) AS n FROM walk").to_arrow()["n"][0].as_py() == 24


@pytest.mark.extended
def test_three_lines_read_a_private_database_that_was_empty(tmp_path: Path) -> None:
    program = (
        "import collector\n"
        "with collector.open() as db:\n"
        "    print(len(db.sql('SELECT * FROM sector')), len(db.latest()))\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={"COLLECTOR_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout.split(), found.stderr) == (["116", "0"], "")


@pytest.mark.parametrize("missing", ["adbc_driver_postgresql", "pyarrow"])
def test_a_package_that_is_missing_is_named_with_the_extra(missing: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; import collector\n"
        "try:\n    collector.open()\nexcept Exception as error:\n    print(error, '|', error.hint)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert f"needs the package {missing.replace('_', '-')}" in found.stdout
    assert "pip install adbc-driver-postgresql pyarrow" in found.stdout


def test_importing_collector_imports_next_to_nothing() -> None:
    program = "import sys; before = set(sys.modules); import collector; print(*(set(sys.modules) - before))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {name.partition(".")[0] for name in found.stdout.split()} <= {
        "collector",
        "typing",
        "_typing",
        "collections",
        "re",
    } | set(sys.stdlib_module_names)


@pytest.mark.extended
async def test_reconstructed_rows_fill_missed_slots_and_say_so(filled: Dsn) -> None:
    missed = f"{DAY} 10:00+09"
    observed = f"{DAY} 09:05+09"
    await execute(
        filled,
        f"INSERT INTO collector.walk (slot, target, status) SELECT '{missed}', id, 'missed'"
        " FROM collector.target WHERE market = 'KOSPI' AND sector = '001'",
    )
    for slot in (missed, observed):
        await execute(
            filled,
            f"INSERT INTO collector.repaired_member SELECT '{slot}', id, '005930' FROM collector.target"
            " WHERE market = 'KOSPI' AND sector = '001'",
        )
        await execute(
            filled,
            "INSERT INTO collector.reconstructed (slot, symbol, exchange, price, change, rate, volume, source)"
            f" VALUES ('{slot}', '005930', 'KRX', 71000, 100, 114, 5, 'ka10080')",
        )
    wanted: dict[str, Any] = {"market": "KOSPI", "sector": "001", "symbol": "005930"}
    with reader(filled) as db:
        without = db.snapshots(DAY, **wanted)
        rows = db.snapshots(DAY, **wanted, reconstructed=True).to_arrow()
    expected = await fetch(
        filled,
        f"SELECT slot, price, origin FROM filled('KOSPI', '001', 'KRX', '{DAY}') WHERE symbol = '005930'",
    )
    got = [(row["slot"], row["price"], row["source"]) for row in rows.to_pylist()]
    assert [line[:2] for line in got] == [line[:2] for line in expected]
    assert [line[2] for line in got] == ["ka20002"] * 3 + ["ka10080"]
    assert "source" not in without.columns
    assert len(without) == 3
    assert rows["bid"].to_pylist()[-1] is None
