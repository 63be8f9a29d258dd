"""The queries of docs/how-to/archive-old-days.md, run as they stand there, on the engines that they are for."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from collector.base import resources
from tests.support.archive_harness import DAY, archived, fill
from tests.support.command_process import SECRET_KEY
from tests.support.harness import fetch
from tests.support.object_server import ACCESS_KEY, ObjectServer
from tests.support.postgres_server import Server

EVE = date(2026, 11, 18)
LISTING = """
SELECT slot, exchange, price, volume
FROM snapshot
WHERE symbol = '005930' AND slot >= '2026-11-19 00:00+09' AND slot < '2026-11-20 00:00+09'
ORDER BY slot, exchange
"""
BREADTH = """
SELECT slot, count(*) FILTER (WHERE change > 0), count(*) FILTER (WHERE change < 0), round(avg(change_percent), 2)
FROM snapshot
JOIN walk USING (slot, market, sector, exchange)
WHERE market = 'KOSPI' AND sector = '001' AND exchange = 'KRX' AND status = 'complete'
GROUP BY slot
ORDER BY slot
"""
Rows = list[tuple[Any, ...]]
CLUSTER = os.environ.get("SPARK_MASTER", "local-cluster[2,1,1024]")
"""Two workers, each a process of its own, or whatever cluster the environment names."""
SPARK = """
import json
from pyspark.sql import SparkSession
builder = SparkSession.builder.master({cluster!r}).config("spark.ui.enabled", "false")
for name, value in {{
    "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.network.timeout": "600s",
    "spark.sql.shuffle.partitions": "2", "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "300s",
}}.items():
    builder = builder.config(name, value)
builder.getOrCreate().sparkContext.setLogLevel("ERROR")
{query}
workers = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
tables = [[[row[0].timestamp(), *map(str, row[1:])] for row in table.collect()] for table in (day, breadth)]
print("FOUND", json.dumps([workers, *tables]))
"""


def queries(engine: str) -> list[str]:
    """The blocks of the document that open with the engine's name, and with `s3` if they are for an object store."""
    text = (resources.path("migrations").parent / "docs" / "how-to" / "archive-old-days.md").read_text()
    blocks = re.findall(r"```(?:sql|python)\n(?:--|#) ([\w ]+)\n(.*?)```", text, re.DOTALL)
    return [query for name, query in blocks if name == engine]


SHOW = """
import json
print("FOUND", json.dumps([[row[0].timestamp(), *map(str, row[1:])] for row in day.rows()]))
"""


@pytest.fixture(scope="session")
async def in_bucket(cold: tuple[Path, Rows, Rows], objects: ObjectServer) -> str:
    """A bucket with the same files."""
    bucket = objects.make_bucket()
    for path in cold[0].rglob("*.parquet"):
        objects.client.upload_file(str(path), bucket, f"cold/{path.relative_to(cold[0])}")
    return bucket


@pytest.fixture(scope="session")
async def cold(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Rows, Rows]:
    """Two archived days, and what the database said of them before."""
    folder = tmp_path_factory.mktemp("cold")
    async with server.database(template=template) as address:
        await fill(address, EVE, DAY)
        said = await fetch(address, LISTING), await fetch(address, BREADTH)
        for day in (EVE, DAY):
            await archived(address, folder, day)
    return folder, *said


def at_home(query: str, folder: Path) -> str:
    return query.replace("/mnt/cold", str(folder))


def rows_of(found: Any) -> Rows:
    """Rows with instants as UTC, whatever zone an engine shows them in."""
    return [tuple(v.astimezone(UTC) if hasattr(v, "astimezone") else v for v in row) for row in found]


def duck(connection: Any, query: str) -> Rows:
    """As Arrow has them: DuckDB's own way of handing out instants needs one more package."""
    return [tuple(row.values()) for row in connection.sql(query).to_arrow_table().to_pylist()]


def test_duckdb_reads_the_files_as_documented(cold: tuple[Path, Rows, Rows]) -> None:
    duckdb = pytest.importorskip("duckdb")
    folder, listing, breadth = cold
    with duckdb.connect() as connection:
        first, second, facts = (duck(connection, at_home(query, folder)) for query in queries("duckdb"))
    assert rows_of(first) == listing
    assert [row[:3] for row in rows_of(second)] == [row[:3] for row in breadth]
    assert [round(row[3], 2) for row in second] == [float(row[3]) for row in breadth]
    assert '"price": {"unit": "won"' in facts[0][1]


@pytest.mark.extended
def test_duckdb_opens_only_the_days_that_are_named(cold: tuple[Path, Rows, Rows]) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        query = at_home(queries("duckdb")[0], cold[0]).rstrip().rstrip(";")
        plan = connection.execute(f"EXPLAIN {query}").fetchall()[0][1]
    assert "2/4" in plan.replace(" ", "")


@pytest.mark.extended
def test_polars_reads_the_files_as_documented(cold: tuple[Path, Rows, Rows]) -> None:
    pytest.importorskip("polars")
    folder, listing, _ = cold
    names: dict[str, Any] = {}
    exec(at_home(queries("polars")[0], folder), names)
    assert rows_of(names["day"].rows()) == listing


@pytest.mark.extended
def test_polars_reads_a_bucket_as_documented(
    cold: tuple[Path, Rows, Rows], objects: ObjectServer, in_bucket: str
) -> None:
    pytest.importorskip("polars")
    query = queries("polars s3")[0].replace("s3://bucket", f"s3://{in_bucket}")
    env = {**os.environ, **objects.variables(), "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-c", query + SHOW]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout.partition("FOUND")[2])
    assert shown == [[row[0].timestamp(), *map(str, row[1:])] for row in cold[1]]


@pytest.mark.extended
def test_duckdb_reads_a_bucket_as_documented(
    cold: tuple[Path, Rows, Rows], objects: ObjectServer, in_bucket: str
) -> None:
    """Where the extension httpfs is there for this version: INSTALL would fetch it from the network."""
    duckdb = pytest.importorskip("duckdb")
    package = pytest.importorskip("duckdb_extension_httpfs")
    files = list(Path(package.__file__).parent.rglob(f"v{duckdb.__version__}/*.duckdb_extension"))
    if not files:
        pytest.skip(f"the package of httpfs is not for DuckDB {duckdb.__version__}")
    server = objects.url.removeprefix("http://")
    query = queries("duckdb s3")[0].replace("s3://bucket", f"s3://{in_bucket}")
    for shown, meant in (
        ("INSTALL httpfs", f"INSTALL '{files[0]}'"),
        ("KEY_ID '…'", f"KEY_ID '{ACCESS_KEY}'"),
        ("SECRET '…'", f"SECRET '{SECRET_KEY}', ENDPOINT '{server}', URL_STYLE 'path', USE_SSL false"),
    ):
        assert shown in query
        query = query.replace(shown, meant)
    *preparing, asking, _ = query.split(";")
    with duckdb.connect() as connection:
        connection.execute(";".join(preparing))
        assert rows_of(duck(connection, asking)) == cold[1]


def test_both_languages_show_the_same_queries() -> None:
    folder = resources.path("migrations").parent / "docs" / "how-to"
    pages = [(folder / f"archive-old-days{suffix}.md").read_text() for suffix in ("", ".ko")]
    english, korean = (
        re.findall(r"```(?:sql|python)\n(?:--|#) [\w ]+\n.*?```", page, re.DOTALL) for page in pages
    )
    assert english == korean


@pytest.mark.extended
def test_pandas_reads_the_files_as_documented(cold: tuple[Path, Rows, Rows]) -> None:
    pytest.importorskip("pandas")
    folder, listing, _ = cold
    names: dict[str, Any] = {}
    exec(at_home(queries("pandas")[0], folder), names)
    found = names["day"].itertuples(index=False, name=None)
    assert rows_of(found) == listing


def test_pandas_makes_numbers_of_the_decimal_percent_as_documented(cold: tuple[Path, Rows, Rows]) -> None:
    pandas = pytest.importorskip("pandas")
    exact = pandas.read_parquet(cold[0] / "snapshot", columns=["change_percent"])
    numbers = exact.astype({"change_percent": "float64"})
    assert str(numbers.change_percent.dtype) == "float64"
    assert [float(value) for value in exact.change_percent] == numbers.change_percent.tolist()


@pytest.mark.slow
@pytest.mark.skipif(which("java") is None, reason="Spark needs Java, and there is none")
@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
def test_two_workers_of_spark_read_the_files_as_documented(cold: tuple[Path, Rows, Rows]) -> None:
    folder, listing, breadth = cold
    script = SPARK.format(cluster=CLUSTER, query=at_home(queries("spark")[0], folder))
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=environment,
    )
    [line] = [each for each in ended.stdout.splitlines() if each.startswith("FOUND")] or [
        ended.stderr[-3000:]
    ]
    workers, first, second = json.loads(line.removeprefix("FOUND "))
    assert workers == (2 if "local-cluster" in CLUSTER else workers)
    assert first == [[row[0].timestamp(), *map(str, row[1:])] for row in listing]
    assert second == [[row[0].timestamp(), *map(str, row[1:])] for row in breadth]
