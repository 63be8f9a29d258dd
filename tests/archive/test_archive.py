"""Days into files and back: nothing changes on the way, and nothing leaves before it has arrived."""

import asyncio
import io
import os
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from collector.archive import file as files
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.errors import ArchiveError
from tests.support.archive_harness import (
    DAY,
    EVERY_ROW,
    PARTITIONS,
    archived,
    files_in,
    fill,
    restored,
    rows_of,
)
from tests.support.harness import execute, fetch


async def test_a_day_comes_back_equal_row_by_row(filled: Dsn, tmp_path: Path) -> None:
    before = await rows_of(filled)
    files = await archived(filled, tmp_path)
    assert await rows_of(filled) == []
    await restored(filled, [file.path for file in files])
    assert await rows_of(filled) == before
    assert len(before) == 2 * 3 * (153 + 41 + 35)


async def test_a_file_shows_what_the_view_showed(filled: Dsn, tmp_path: Path) -> None:
    shown = await fetch(filled, EVERY_ROW)
    files = await archived(filled, tmp_path)
    names = [name for name in pq.read_schema(files[0].path).names if name != "status"]
    rows = [
        tuple(row[name] for name in names) for file in files for row in pq.read_table(file.path).to_pylist()
    ]
    order = [names.index(name) for name in ("slot", "market", "sector", "exchange", "position")]
    assert sorted(rows, key=lambda row: [row[place] for place in order]) == shown


async def test_there_is_one_file_a_day_and_exchange_sorted_by_listing(filled: Dsn, tmp_path: Path) -> None:
    await archived(filled, tmp_path)
    paths = files_in(tmp_path)
    assert paths == [f"snapshot/date=2026-11-19/{exchange}.parquet" for exchange in ("KRX", "NXT")]
    table = pq.read_table(tmp_path / paths[0], columns=["symbol", "name", "slot", "market"])
    keys = [tuple(row.values()) for row in table.to_pylist()]
    assert keys == sorted(keys, key=lambda key: (key[0].encode(), key[1].encode(), *key[2:]))


async def test_a_file_tells_units_meanings_and_who_made_it(filled: Dsn, tmp_path: Path) -> None:
    [krx, _] = await archived(filled, tmp_path)
    schema = pq.read_schema(krx.path)
    assert schema.field("price").metadata == {
        b"unit": b"won",
        b"comment": b"cur_prc, without direction; null: no trade",
    }
    text = pq.read_metadata(krx.path).metadata[b"collector"].decode()
    assert '"day": "2026-11-19"' in text
    assert '"source": "ours"' in text
    group = pq.read_metadata(krx.path).row_group(0)
    assert {group.column(place).compression for place in range(group.num_columns)} == {"ZSTD"}


async def test_the_ledger_stays_and_says_where_the_rows_are(filled: Dsn, tmp_path: Path) -> None:
    walks = await fetch(filled, "SELECT * FROM walk ORDER BY slot, market, sector, exchange")
    [krx, nxt] = await archived(filled, tmp_path)
    assert await fetch(filled, "SELECT * FROM walk ORDER BY slot, market, sector, exchange") == walks
    noted = "SELECT day, exchange, file, rows, bytes, restored_at IS NULL FROM archive ORDER BY exchange"
    assert await fetch(filled, noted) == [
        (DAY, file.exchange, str(file.path), file.rows, file.path.stat().st_size, True) for file in (krx, nxt)
    ]


@pytest.mark.extended
async def test_many_rows_are_copied_in_stretches(filled: Dsn, tmp_path: Path) -> None:
    whole = await archived(filled, tmp_path / "whole")
    await restored(filled, [file.path for file in whole])
    before = await rows_of(filled)
    parts = await archived(filled, tmp_path / "parts", most=250)
    await restored(filled, [file.path for file in parts], most=200)
    assert await rows_of(filled) == before
    for one, other in zip(whole, parts, strict=True):
        assert pq.read_table(one.path) == pq.read_table(other.path)


async def test_a_file_is_on_the_disk_and_so_are_the_folders_that_were_made_for_it(
    filled: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: forced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    [krx, _] = await archived(filled, tmp_path / "new" / "cold")
    part = krx.path.with_name(".KRX.parquet.part")
    folders = [str(folder) for folder in krx.path.parents if folder.is_relative_to(tmp_path)]
    assert len(folders) == 5
    assert [each for each in forced if each in {str(part), *folders}][: 1 + len(folders)] == [
        str(part),
        *folders,
    ]


@pytest.mark.extended
async def test_other_days_are_left_alone(two_days: Dsn, tmp_path: Path) -> None:
    other = date(2026, 11, 18)
    await archived(two_days, tmp_path, other)
    found = await fetch(two_days, "SELECT DISTINCT (slot AT TIME ZONE 'Asia/Seoul')::date FROM snapshot")
    assert found == [(DAY,)]


async def test_a_day_without_rows_is_dropped_without_a_file(database: Dsn, tmp_path: Path) -> None:
    await execute(database, "SELECT collector.make_days($1, 1)", DAY)
    assert await archived(database, tmp_path) == []
    assert await fetch(database, PARTITIONS) == []
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("DELETE FROM collector.snapshot WHERE position = 3", id="rows are gone"),
        pytest.param(
            "INSERT INTO collector.snapshot SELECT * FROM collector.snapshot WHERE position = 3",
            id="rows twice",
        ),
        pytest.param("UPDATE collector.snapshot SET position = 999 WHERE position = 3", id="no such place"),
        pytest.param("UPDATE collector.snapshot SET target = 32000 WHERE position = 3", id="no such target"),
        pytest.param("UPDATE collector.walk SET rows = rows + 1 WHERE rows = 153", id="the ledger"),
    ],
)
async def test_a_day_that_is_not_as_its_ledger_says_stays(filled: Dsn, tmp_path: Path, change: str) -> None:
    await execute(filled, change)
    before = await rows_of(filled)
    with pytest.raises(ArchiveError, match=r"2026-11-19.* differs from its ledger"):
        await archived(filled, tmp_path)
    assert await rows_of(filled) == before
    assert files_in(tmp_path) == []


async def test_a_file_that_is_there_with_other_rows_is_not_written_over(filled: Dsn, tmp_path: Path) -> None:
    [krx, _] = await archived(filled, tmp_path)
    theirs = krx.path.read_bytes()
    await fill(filled, date(2026, 11, 18))
    other = tmp_path / "snapshot" / "date=2026-11-18" / "KRX.parquet"
    other.parent.mkdir()
    other.write_bytes(theirs)
    with pytest.raises(
        ArchiveError, match=r"date=2026-11-18/KRX.parquet exists already and holds other rows"
    ):
        await archived(filled, tmp_path, date(2026, 11, 18))
    assert other.read_bytes() == theirs
    assert len(await rows_of(filled)) > 0


async def test_a_restored_day_can_be_archived_again(filled: Dsn, tmp_path: Path) -> None:
    files = await archived(filled, tmp_path)
    await restored(filled, [file.path for file in files])
    assert await fetch(filled, "SELECT count(*) FROM archive WHERE restored_at IS NULL") == [(0,)]
    assert [file.path for file in await archived(filled, tmp_path)] == [file.path for file in files]
    assert await fetch(filled, "SELECT count(*) FROM archive WHERE restored_at IS NULL") == [(2,)]


async def test_two_archivers_take_turns(filled: Dsn, tmp_path: Path) -> None:
    found = await asyncio.gather(archived(filled, tmp_path), archived(filled, tmp_path))
    assert sorted(map(len, found)) == [0, 2]


async def test_a_reader_is_waited_for(filled: Dsn, tmp_path: Path) -> None:
    async with connect(filled) as reader:
        async with reader.transaction():
            assert await reader.fetchval("SELECT count(*) FROM snapshot") > 0
            archiving = asyncio.ensure_future(archived(filled, tmp_path))
            while not await fetch(
                filled,
                "SELECT FROM pg_stat_activity WHERE query LIKE '%drop_day%' AND wait_event_type = 'Lock'",
            ):
                assert not archiving.done()
                await asyncio.sleep(0.02)  # looks again
            assert await reader.fetchval("SELECT count(*) FROM snapshot") > 0
        assert len(await archiving) == 2


@pytest.mark.extended
async def test_files_and_new_folders_are_their_owners_alone(filled: Dsn, tmp_path: Path) -> None:
    """Whatever the umask says, and whatever a killed archiver left behind; a folder that was there stays."""
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    left = files.place(there / "cold", DAY, "KRX").with_name(".KRX.parquet.part")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    left.chmod(0o644)
    umask = os.umask(0)
    try:
        stored = await archived(filled, there / "cold")
        elsewhere = there / "new" / "cold"
        await restored(filled, [each.path for each in stored])
        await archived(filled, elsewhere)
    finally:
        os.umask(umask)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in there.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {modes[path] for path in (there / "new", elsewhere, elsewhere / "snapshot")} == {0o700}
    assert stat.S_IMODE(there.stat().st_mode) == 0o755


def _other_times(content: bytes) -> bytes:
    """The same rows under the same digest, shown as if they had come a minute later."""
    table = pq.read_table(io.BytesIO(content))
    place = table.schema.get_field_index("received_at")
    later = pc.add(table["received_at"], pa.scalar(60_000_000, pa.duration("us")))
    return _written(table.set_column(place, table.schema.field(place), later), content)


def _other_status(content: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    place = table.schema.get_field_index("status")
    other = pa.array(["suspect"] * len(table), pa.string())
    return _written(table.set_column(place, table.schema.field(place), other), content)


def _other_rows(content: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    return _written(table.slice(1), content)


def _written(table: pa.Table, original: bytes) -> bytes:
    """A whole file with the metadata of another."""
    metadata = pq.read_metadata(io.BytesIO(original)).metadata
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({b"collector": metadata[b"collector"]}), out)
    return out.getvalue()


@pytest.mark.extended
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: content[:-100], id="cut"),
        pytest.param(_other_rows, id="a row less"),
        pytest.param(_other_times, id="other times"),
        pytest.param(_other_status, id="another status"),
    ],
)
async def test_a_day_stays_when_what_is_read_back_is_not_what_was_written(
    filled: Dsn, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """A disk that loses what it was given: while the archiver waits, another file takes the place of its part."""
    sound = {each.exchange: each.path.read_bytes() for each in await archived(filled, tmp_path / "sound")}
    await restored(filled, [files.place(tmp_path / "sound", DAY, exchange) for exchange in sound])
    before = await rows_of(filled)
    part = files.place(tmp_path / "cold", DAY, "KRX").with_name(".KRX.parquet.part")
    async with connect(filled) as other:
        async with other.transaction():
            await other.execute("LOCK TABLE collector.listing IN ACCESS EXCLUSIVE MODE")
            archiving = asyncio.ensure_future(archived(filled, tmp_path / "cold"))
            while not part.exists():  # noqa: ASYNC110 - the archiver makes it and then waits for the lock
                await asyncio.sleep(0.01)  # looks again
            part.unlink()
            part.write_bytes(change(sound["KRX"]))
        with pytest.raises(ArchiveError, match="is damaged"):
            await archiving
    assert await rows_of(filled) == before
    assert files_in(tmp_path / "cold") == []


async def test_rows_of_which_the_ledger_tells_nothing_keep_their_day(filled: Dsn, tmp_path: Path) -> None:
    """Rows of an exchange without any walk would be copied into no file, and dropped with the day."""
    await execute(
        filled,
        "INSERT INTO collector.target (id, market, sector, exchange) OVERRIDING SYSTEM VALUE"
        " VALUES (999, 'KOSPI', '001', 'CONSOLIDATED')",
    )
    await execute(
        filled,
        "WITH strange AS (SELECT * FROM collector.snapshot WHERE position = 3)"
        " INSERT INTO collector.snapshot (slot, target, volume, listing, price, change, rate, ask, bid, open, high,"
        " low, position) SELECT slot, 999, volume, listing, price, change, rate, ask, bid, open, high, low,"
        " position FROM strange",
    )
    before = await rows_of(filled)
    with pytest.raises(ArchiveError, match=r"2026-11-19 differs from its ledger: it holds"):
        await archived(filled, tmp_path)
    assert await rows_of(filled) == before


async def test_a_row_that_is_missing_here_and_too_many_there_keeps_its_day(
    filled: Dsn, tmp_path: Path
) -> None:
    """The day as a whole has as many rows as its ledger tells of, and each exchange has not."""
    one = "(SELECT min(target) FROM collector.snapshot)"
    await execute(
        filled,
        f"DELETE FROM collector.snapshot WHERE position = 3 AND target = {one}"
        " AND slot = (SELECT min(slot) FROM collector.snapshot)",
    )
    await execute(
        filled,
        "INSERT INTO collector.snapshot SELECT s.* FROM collector.snapshot AS s"
        " JOIN collector.target AS t ON t.id = s.target AND t.exchange = 'NXT'"
        " WHERE s.position = 3 ORDER BY s.slot LIMIT 1",
    )
    before = await rows_of(filled)
    with pytest.raises(ArchiveError, match=r"2026-11-19 on (KRX|NXT) differs from its ledger"):
        await archived(filled, tmp_path)
    assert await rows_of(filled) == before
