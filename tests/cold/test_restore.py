"""Files back into the database: only whole ones, only where they belong, and never twice."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cold.export import exported
from collector.errors import ArchiveError
from collector.parquet.files import Facts, Opened
from collector.postgres import Address
from tests.cold.stand import DAY, archived, fill, opened, restored, rows_of
from tests.database import Server
from tests.stand import execute, fetch


async def test_a_day_that_is_there_is_left_as_it_is(database: Address, tmp_path: Path) -> None:
    await fill(database)
    paths = [file.path for file in await archived(database, tmp_path)]
    first = await restored(database, paths)
    before = await fetch(database, "SELECT xmin::text, ctid::text FROM collector.snapshot")
    again = await restored(database, paths)
    assert ([each.was_there for each in first], [each.was_there for each in again]) == (
        [False] * 2,
        [True] * 2,
    )
    assert await fetch(database, "SELECT xmin::text, ctid::text FROM collector.snapshot") == before


async def test_a_day_that_is_there_in_part_is_refused(database: Address, tmp_path: Path) -> None:
    await fill(database)
    paths = [file.path for file in await archived(database, tmp_path)]
    await restored(database, paths)
    await execute(database, "DELETE FROM collector.snapshot WHERE position = 1")
    with pytest.raises(
        ArchiveError, match=r"not restored: the database holds 678 rows of it, .* tells of 687"
    ):
        await restored(database, paths)


async def test_rows_lie_as_the_indexes_of_a_day_want_them(database: Address, tmp_path: Path) -> None:
    await fill(database)
    indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 'snapshot_20261119' ORDER BY 1"
    before = await fetch(database, indexes)
    paths = [file.path for file in await archived(database, tmp_path)]
    await restored(database, paths)
    assert await fetch(database, indexes) == before
    lying = await fetch(
        database,
        "SELECT s.slot FROM collector.snapshot AS s JOIN collector.target AS t ON t.id = s.target"
        " WHERE t.exchange = 'KRX' ORDER BY s.ctid",
    )
    assert lying == sorted(lying)


async def test_the_planner_knows_a_restored_day_at_once(database: Address, tmp_path: Path) -> None:
    """Or a question for one slot reads the whole day, until autovacuum comes by."""
    await fill(database)
    paths = [file.path for file in await archived(database, tmp_path)]
    await restored(database, paths)
    known = await fetch(
        database, "SELECT attname FROM pg_stats WHERE tablename = 'snapshot_20261119' ORDER BY 1"
    )
    assert [name for (name,) in known] == ["listing", "slot", "target"]


async def test_the_same_rows_from_two_files_are_refused(database: Address, tmp_path: Path) -> None:
    await fill(database)
    paths = [file.path for file in await archived(database, tmp_path)]
    copy = Path(shutil.copy(paths[0], tmp_path / "CONSOLIDATED.parquet"))
    with pytest.raises(ArchiveError, match=r"more than one file holds the day's rows on KRX"):
        await restored(database, [*paths, copy])
    assert await fetch(database, "SELECT count(*) FROM collector.snapshot") == [(0,)]


async def test_a_day_without_one_of_its_files_is_refused(database: Address, tmp_path: Path) -> None:
    await fill(database)
    [krx, _] = await archived(database, tmp_path)
    with pytest.raises(ArchiveError, match=r"the file NXT.parquet is missing"):
        await restored(database, [krx.path])
    assert await rows_of(database) == []


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    place = content.index(b"\x28\xb5\x2f\xfd") + 20  # within the first page, which zstd's magic opens
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def emptied(content: bytes) -> bytes:
    return b""


def renumbered(content: bytes) -> bytes:
    """Another number of rows than there are, in the file's own words."""
    return content.replace(b'"rows": 582', b'"rows": 583')


@pytest.mark.parametrize("damage", [cut, flipped, emptied, renumbered], ids=lambda damage: damage.__name__)
async def test_a_damaged_file_is_refused_by_its_name(
    database: Address, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    await fill(database)
    [krx, nxt] = await archived(database, tmp_path)
    krx.path.write_bytes(damage(krx.path.read_bytes()))
    with pytest.raises(ArchiveError) as caught:
        await restored(database, [krx.path, nxt.path])
    assert str(caught.value).startswith(f"{krx.path} is damaged")
    assert await rows_of(database) == []


async def test_rows_that_were_written_by_somebody_else_are_refused(database: Address, tmp_path: Path) -> None:
    """Whole pages, right checksums, the same metadata: only the digest of the rows tells."""
    await fill(database)
    [krx, nxt] = await archived(database, tmp_path)
    table = pq.read_table(krx.path)
    place = table.schema.get_field_index("volume")
    forged = table.set_column(place, table.schema.field(place), pa.array([1] * len(table), pa.int64()))
    metadata = pq.read_metadata(krx.path).metadata
    pq.write_table(forged.replace_schema_metadata({b"collector": metadata[b"collector"]}), krx.path)
    with pytest.raises(ArchiveError, match="its rows are not those that were written"):
        await restored(database, [krx.path, nxt.path])


FACTS = Facts(DAY, "KRX", "ours", 3, "00", [("KOSPI", "001")])


@pytest.mark.parametrize(
    ("said", "bent"),
    [
        pytest.param('"ours"', '"real"', id="whose"),
        pytest.param("2026-11-19", "2026-11-18", id="day"),
        pytest.param('"KRX"', '"NXT"', id="exchange"),
        pytest.param('"rows": 3', '"rows": 4', id="rows"),
        pytest.param('"001"', '"002"', id="target"),
    ],
)
def test_a_file_that_tells_something_else_of_itself_is_refused(said: str, bent: str) -> None:
    with pytest.raises(ValueError, match="not what was written"):
        Facts.parse(FACTS.text().replace(said, bent, 1).encode())


@pytest.mark.parametrize("number", [1, 3])
def test_a_file_of_another_format_is_refused(number: int) -> None:
    """Also of one that had no checksum of its facts: it would be the way around that of this one."""
    text = (
        FACTS.text()
        .replace('"format": 2', f'"format": {number}')
        .replace(f', "check": "{FACTS.check()}"', "")
    )
    with pytest.raises(ValueError, match=f"its format is {number}, this program knows 2"):
        Facts.parse(text.encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_flipped_byte_passes_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = WHOLE["path"]
    content = path.read_bytes()
    place = data.draw(st.integers(4, len(content) - 9), label="place")
    bent = tmp_path_factory.getbasetemp() / "bent.parquet"
    bent.write_bytes(
        content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    )
    try:
        opened = Opened(bent)
        opened.verified()
    except ArchiveError as error:
        assert str(bent) in str(error)  # noqa: PT017 - either it is refused, or nothing of it has changed
    else:
        assert opened.facts == Opened(path).facts


WHOLE: dict[str, Path] = {}


@pytest.fixture(autouse=True)
async def _whole(
    request: pytest.FixtureRequest, server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One archived file for all examples of the law."""
    if "flipped_byte" in request.node.name and not WHOLE:
        async with server.database(template=template) as address:
            await fill(address)
            WHOLE["path"] = (await archived(address, tmp_path_factory.mktemp("whole")))[0].path


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"PAR1", id="a few bytes"),
        pytest.param(b"slot,market\n1,2\n", id="a table of text"),
        pytest.param(bytes(10_000), id="zeros"),
    ],
)
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "KRX.parquet"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"KRX.parquet is damaged"):
        Opened(path)


def test_parquet_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "KRX.parquet"
    pq.write_table(pa.table({"slot": [1]}), path)
    with pytest.raises(ArchiveError, match=r"KRX.parquet is no file of `collector archive`"):
        Opened(path)


async def test_a_file_of_another_database_is_refused(
    database: Address, server: Server, template: str, tmp_path: Path
) -> None:
    await fill(database)
    paths = [file.path for file in await archived(database, tmp_path)]
    async with server.database(template=template) as other:
        await execute(other, "INSERT INTO collector.origin (kind) VALUES ('real')")
        with pytest.raises(ArchiveError, match=r"another source \(ours\) than the database \(real\)"):
            await restored(other, paths)
        await execute(other, "UPDATE collector.origin SET kind = 'ours'")
        with pytest.raises(ArchiveError, match=r"does not tell of these"):
            await restored(other, paths)


@asynccontextmanager
async def two_collectors(
    server: Server, template: str, folder: Path
) -> AsyncIterator[tuple[Address, list[Path]]]:
    """A database whose day is in files, and the files of another one: as many rows, and other prices."""
    async with server.database(template=template) as ours, server.database(template=template) as theirs:
        await fill(ours)
        await fill(theirs, price=2000)
        await archived(ours, folder / "ours")
        yield ours, [file.path for file in await archived(theirs, folder / "theirs")]


async def test_another_collectors_file_of_the_same_day_is_refused(
    server: Server, template: str, tmp_path: Path
) -> None:
    async with two_collectors(server, template, tmp_path) as (ours, theirs):
        with pytest.raises(
            ArchiveError, match=r"KRX.parquet holds other rows of 2026-11-19 than were archived"
        ):
            await restored(ours, theirs)
        assert await rows_of(ours) == []


async def test_another_collectors_file_is_not_exported(server: Server, template: str, tmp_path: Path) -> None:
    async with two_collectors(server, template, tmp_path) as (ours, [krx, _]):
        shutil.copy(krx, tmp_path / "ours" / "snapshot" / f"date={DAY}" / krx.name)
        async with opened(ours) as held:
            with pytest.raises(ArchiveError, match=r"ours/.*KRX.parquet holds other rows of 2026-11-19"):
                assert [len(table) async for table in exported(held, DAY, DAY)] == []


async def test_another_days_file_is_refused(database: Address, tmp_path: Path) -> None:
    before = DAY - timedelta(days=1)
    await fill(database, before, DAY)
    await archived(database, tmp_path)
    theirs = [file.path for file in await archived(database, tmp_path, before)]
    with pytest.raises(ArchiveError, match=r"KRX.parquet holds rows of 2026-11-18, not of 2026-11-19"):
        await restored(database, theirs)


async def test_a_restored_day_is_in_the_files_as_well(database: Address, tmp_path: Path) -> None:
    await fill(database)
    paths = [file.path for file in await archived(database, tmp_path)]
    await restored(database, paths)
    assert all(path.is_file() for path in paths)
    assert await fetch(database, "SELECT DISTINCT day FROM archive WHERE restored_at IS NOT NULL") == [(DAY,)]
