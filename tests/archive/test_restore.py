"""Files back into the database: only whole ones, only where they belong, and never twice."""

import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.archive.columns import refuse_invalid
from collector.archive.export import export_rows
from collector.archive.file import ArchiveFile, FileMetadata
from collector.db.dsn import Dsn
from collector.errors import ArchiveError
from tests.support.archive_harness import DAY, archived, fill, opened, restored, rows_of
from tests.support.harness import execute, fetch
from tests.support.postgres_server import Server


async def test_a_day_that_is_there_is_left_as_it_is(filled: Dsn, tmp_path: Path) -> None:
    paths = [file.path for file in await archived(filled, tmp_path)]
    first = await restored(filled, paths)
    before = await fetch(filled, "SELECT xmin::text, ctid::text FROM collector.snapshot")
    again = await restored(filled, paths)
    assert ([each.was_there for each in first], [each.was_there for each in again]) == (
        [False] * 2,
        [True] * 2,
    )
    assert await fetch(filled, "SELECT xmin::text, ctid::text FROM collector.snapshot") == before


async def test_a_day_that_is_there_in_part_is_refused(filled: Dsn, tmp_path: Path) -> None:
    paths = [file.path for file in await archived(filled, tmp_path)]
    await restored(filled, paths)
    await execute(filled, "DELETE FROM collector.snapshot WHERE position = 1")
    with pytest.raises(
        ArchiveError, match=r"not restored: the database holds 678 rows of it, and its ledger 687"
    ):
        await restored(filled, paths)


async def test_rows_lie_as_the_indexes_of_a_day_want_them(filled: Dsn, tmp_path: Path) -> None:
    indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 'snapshot_20261119' ORDER BY 1"
    before = await fetch(filled, indexes)
    paths = [file.path for file in await archived(filled, tmp_path)]
    await restored(filled, paths)
    assert await fetch(filled, indexes) == before
    lying = await fetch(
        filled,
        "SELECT s.slot FROM collector.snapshot AS s JOIN collector.target AS t ON t.id = s.target"
        " WHERE t.exchange = 'KRX' ORDER BY s.ctid",
    )
    assert lying == sorted(lying)


async def test_the_planner_knows_a_restored_day_at_once(filled: Dsn, tmp_path: Path) -> None:
    """Or a question for one slot reads the whole day, until autovacuum comes by."""
    paths = [file.path for file in await archived(filled, tmp_path)]
    await restored(filled, paths)
    known = await fetch(
        filled, "SELECT attname FROM pg_stats WHERE tablename = 'snapshot_20261119' ORDER BY 1"
    )
    assert [name for (name,) in known] == ["listing", "slot", "target"]


async def test_the_same_rows_from_two_files_are_refused(filled: Dsn, tmp_path: Path) -> None:
    paths = [file.path for file in await archived(filled, tmp_path)]
    copy = Path(shutil.copy(paths[0], tmp_path / "CONSOLIDATED.parquet"))
    with pytest.raises(ArchiveError, match=r"more than one file holds the day's rows on KRX"):
        await restored(filled, [*paths, copy])
    assert await fetch(filled, "SELECT count(*) FROM collector.snapshot") == [(0,)]


async def test_a_day_without_one_of_its_files_is_refused(filled: Dsn, tmp_path: Path) -> None:
    [krx, _] = await archived(filled, tmp_path)
    with pytest.raises(ArchiveError, match=r"the file NXT.parquet is missing"):
        await restored(filled, [krx.path])
    assert await rows_of(filled) == []


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
    filled: Dsn, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    [krx, nxt] = await archived(filled, tmp_path)
    krx.path.write_bytes(damage(krx.path.read_bytes()))
    with pytest.raises(ArchiveError) as caught:
        await restored(filled, [krx.path, nxt.path])
    assert str(caught.value).startswith(f"{krx.path} is damaged")
    assert await rows_of(filled) == []


async def test_rows_that_were_written_by_somebody_else_are_refused(filled: Dsn, tmp_path: Path) -> None:
    """Whole pages, right checksums, the same metadata: only the digest of the rows tells."""
    [krx, nxt] = await archived(filled, tmp_path)
    table = pq.read_table(krx.path)
    place = table.schema.get_field_index("volume")
    forged = table.set_column(place, table.schema.field(place), pa.array([1] * len(table), pa.int64()))
    metadata = pq.read_metadata(krx.path).metadata
    pq.write_table(forged.replace_schema_metadata({b"collector": metadata[b"collector"]}), krx.path)
    with pytest.raises(ArchiveError, match="its rows differ from the rows written"):
        await restored(filled, [krx.path, nxt.path])


FACTS = FileMetadata(DAY, "KRX", "ours", 3, "00", [("KOSPI", "001")])


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
    with pytest.raises(ValueError, match="its metadata was changed"):
        FileMetadata.parse(FACTS.text().replace(said, bent, 1).encode())


@pytest.mark.parametrize("number", [1, 3])
def test_a_file_of_another_format_is_refused(number: int) -> None:
    """Also of one that had no checksum of its facts: it would be the way around that of this one."""
    text = (
        FACTS.text()
        .replace('"format": 2', f'"format": {number}')
        .replace(f', "check": "{FACTS.check()}"', "")
    )
    with pytest.raises(ValueError, match=f"its format is {number}, this program reads 2"):
        FileMetadata.parse(text.encode())


def judge(path: Path, content: bytes) -> FileMetadata | None:
    """What a file with this content says of itself, all of it read; None: refused, under its name."""
    path.write_bytes(content)
    try:
        opened = ArchiveFile(path)
        opened.verify()
    except ArchiveError as error:
        assert str(path) in str(error)  # noqa: PT017 - the error is the value
        return None
    return opened.facts


def footer(content: bytes) -> int:
    """Where the footer begins: its length stands in front of the last four bytes."""
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


@pytest.mark.extended
@pytest.mark.parametrize("mask", [0x01, 0x10, 0x80, 0xFF])
@pytest.mark.parametrize("region", ["pages", "footer", "end"])
def test_no_flipped_byte_passes_unseen(whole: Path, tmp_path: Path, region: str, mask: int) -> None:
    """Every region of a file, byte for byte in steps that the masks share among them; the first takes longer ones."""
    content = whole.read_bytes()
    start, stride = footer(content), 31 if mask == 0x01 else 9
    first, last, step = {
        "pages": (0, start, stride),
        "footer": (start, len(content) - 8, stride),
        "end": (len(content) - 8, len(content), 1),
    }[region]
    facts = ArchiveFile(whole).facts
    for place in range(first + mask % step, last, step):
        bent = content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
        assert judge(tmp_path / "bent.parquet", bent) in (None, facts), place


def test_a_file_that_was_cut_is_refused_wherever_it_was(whole: Path, tmp_path: Path) -> None:
    """At every border of its structure, and beside it: the pages, the column chunks, the footer, the end."""
    content = whole.read_bytes()
    start, size = footer(content), len(content)
    group = pq.read_metadata(whole).row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    borders = {0, 4, start, size - 8, size - 4, size - 1}
    borders |= {chunk.data_page_offset for chunk in chunks}
    borders |= {chunk.dictionary_page_offset for chunk in chunks if chunk.has_dictionary_page}
    cuts = {border + step for border in borders for step in (-1, 0, 1)}
    for cut_at in sorted(cuts & set(range(size))):
        assert judge(tmp_path / "bent.parquet", content[:cut_at]) is None, cut_at
        gap = content[:cut_at] + content[cut_at + 40 :]
        assert judge(tmp_path / "bent.parquet", gap) is None, cut_at


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.extended) for seed in (2, 3, 4))]
)
def test_several_bent_bytes_are_refused_or_change_nothing(whole: Path, tmp_path: Path, seed: int) -> None:
    content, chance = whole.read_bytes(), random.Random(seed)
    facts = ArchiveFile(whole).facts
    for _ in range(60):
        bent = bytearray(content)
        place = chance.randrange(footer(content), len(content) - 24)
        for _ in range(chance.choice([2, 4, 8])):
            bent[place + chance.randrange(16)] = chance.randrange(256)
        assert judge(tmp_path / "bent.parquet", bytes(bent)) in (None, facts)


def _with(
    name: str, type_: pa.DataType, change: Callable[[list[Any]], list[Any]]
) -> Callable[[pa.Table], pa.Table]:
    """The file's table with one column of another type or other values."""
    return lambda table: table.set_column(
        table.schema.get_field_index(name), name, pa.array(change(table[name].to_pylist()), type_)
    )


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(
            _with("name", pa.binary(), lambda texts: [text.encode() for text in texts]), id="bytes, not text"
        ),
        pytest.param(
            _with("sector", pa.binary(), lambda texts: [text.encode() for text in texts]),
            id="a sector of bytes",
        ),
        pytest.param(_with("volume", pa.int32(), lambda counts: [1 for _ in counts]), id="narrower numbers"),
        pytest.param(_with("symbol", pa.string(), lambda texts: [None, *texts[1:]]), id="no symbol"),
        pytest.param(
            _with("slot", pa.timestamp("us", "Asia/Seoul"), lambda times: [None, *times[1:]]), id="no slot"
        ),
        pytest.param(
            _with("position", pa.int16(), lambda places: [-32768 for _ in places]), id="positions below zero"
        ),
        pytest.param(
            _with("sector", pa.string(), lambda texts: ["\x00" for _ in texts]), id="unknown sectors"
        ),
        pytest.param(lambda table: table.drop_columns(["bid"]), id="a column less"),
        pytest.param(lambda table: table.append_column("more", table["bid"]), id="a column more"),
        pytest.param(
            lambda table: table.rename_columns([*table.column_names[:-1], "slot"]), id="a name twice"
        ),
        pytest.param(lambda table: table.slice(0, 0), id="no rows"),
    ],
)
def test_a_file_of_another_form_is_refused(
    whole: Path, tmp_path: Path, forge: Callable[[pa.Table], pa.Table]
) -> None:
    table = forge(pq.read_table(whole))
    metadata = pq.read_metadata(whole).metadata
    forged = tmp_path / "forged.parquet"
    pq.write_table(table.replace_schema_metadata({b"collector": metadata[b"collector"]}), forged)
    with pytest.raises(ArchiveError, match=f"{forged} is damaged"):
        ArchiveFile(forged).verify()


@pytest.mark.parametrize(
    ("indices", "texts"),
    [
        pytest.param([0, 7], ["a", "b"], id="beyond the dictionary"),
        pytest.param([0, -1], ["a", "b"], id="below zero"),
        pytest.param([0, 1], ["a", None], id="a null in the dictionary"),
        pytest.param([0, None], ["a", "b"], id="a null"),
    ],
)
def test_a_batch_with_a_bent_dictionary_is_refused(
    indices: list[int | None], texts: list[str | None]
) -> None:
    """pyarrow reads such a batch without a word, and what works on it raises IndexError or worse."""
    bent = pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int32()), pa.array(texts, pa.string()), safe=False
    )
    with pytest.raises((ValueError, IndexError)):
        refuse_invalid(pa.record_batch({"symbol": bent}))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        "null",
        '"format"',
        "{}",
        "[" * 100_000,
        FACTS.text().replace('[["KOSPI", "001"]]', "[1]"),
        FACTS.text().replace('[["KOSPI", "001"]]', "null"),
        FACTS.text().replace('"2026-11-19"', "20261119"),
        FACTS.text().replace('"2026-11-19"', '"2026-11-32"'),
        FACTS.text()[:-1],
        "\xff",
    ],
    ids=range(12),
)
def test_facts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        FileMetadata.parse(text.encode("latin-1", "ignore"))


@pytest.fixture(scope="session")
async def whole(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small archived file for all examples of damage."""
    async with server.database(template=template) as address:
        await fill(address, rows=6)
        return (await archived(address, tmp_path_factory.mktemp("whole")))[0].path


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
        ArchiveFile(path)


def test_parquet_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "KRX.parquet"
    pq.write_table(pa.table({"slot": [1]}), path)
    with pytest.raises(ArchiveError, match=r"KRX.parquet is not a file of `collector archive`"):
        ArchiveFile(path)


@pytest.mark.extended
async def test_a_file_of_another_database_is_refused(
    filled: Dsn, server: Server, template: str, tmp_path: Path
) -> None:
    paths = [file.path for file in await archived(filled, tmp_path)]
    async with server.database(template=template) as other:
        await execute(other, "INSERT INTO collector.origin (kind) VALUES ('real')")
        with pytest.raises(ArchiveError, match=r"another source \(ours\) than the database \(real\)"):
            await restored(other, paths)
        await execute(other, "UPDATE collector.origin SET kind = 'ours'")
        with pytest.raises(ArchiveError, match=r"does not have these"):
            await restored(other, paths)


@asynccontextmanager
async def two_collectors(server: Server, template: str, ours: Dsn, folder: Path) -> AsyncIterator[list[Path]]:
    """The files of another database than ours, whose day is in files: as many rows, and other prices."""
    async with server.database(template=template) as theirs:
        await fill(theirs, price=2000)
        await archived(ours, folder / "ours")
        yield [file.path for file in await archived(theirs, folder / "theirs")]


@pytest.mark.extended
async def test_another_collectors_file_of_the_same_day_is_refused(
    server: Server, template: str, filled: Dsn, tmp_path: Path
) -> None:
    async with two_collectors(server, template, filled, tmp_path) as theirs:
        with pytest.raises(
            ArchiveError, match=r"KRX.parquet holds other rows of 2026-11-19 than the rows archived"
        ):
            await restored(filled, theirs)
        assert await rows_of(filled) == []


@pytest.mark.extended
async def test_another_collectors_file_is_not_exported(
    server: Server, template: str, filled: Dsn, tmp_path: Path
) -> None:
    async with two_collectors(server, template, filled, tmp_path) as [krx, _]:
        shutil.copy(krx, tmp_path / "ours" / "snapshot" / f"date={DAY}" / krx.name)
        async with opened(filled) as held:
            with pytest.raises(ArchiveError, match=r"ours/.*KRX.parquet holds other rows of 2026-11-19"):
                assert [len(table) async for table in export_rows(held, DAY, DAY)] == []


async def test_another_days_file_is_refused(two_days: Dsn, tmp_path: Path) -> None:
    before = DAY - timedelta(days=1)
    await archived(two_days, tmp_path)
    theirs = [file.path for file in await archived(two_days, tmp_path, before)]
    with pytest.raises(ArchiveError, match=r"KRX.parquet holds rows of 2026-11-18, not of 2026-11-19"):
        await restored(two_days, theirs)


async def test_a_restored_day_is_in_the_files_as_well(filled: Dsn, tmp_path: Path) -> None:
    paths = [file.path for file in await archived(filled, tmp_path)]
    await restored(filled, paths)
    assert all(path.is_file() for path in paths)
    assert await fetch(filled, "SELECT DISTINCT day FROM archive WHERE restored_at IS NOT NULL") == [(DAY,)]
