"""Answers kept as they came: as bytes, packed, and in the database."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from collector.base.answers import (
    MOST_BYTES,
    AnswerEntry,
    AnswerLog,
    DamagedAnswers,
    KeptAnswer,
    decode_answers,
    encode_answers,
    pack,
    unpack,
)
from collector.db.answers import AnswerStore, keep_answers
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.model import KST, Target
from kiwoom_simulator import Simulator
from tests.support.harness import APP_KEY, OPEN, SECRET_KEY, STILL, collecting, execute, fetch

AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
LAST = datetime.now(KST).replace(hour=11, minute=0, second=0, microsecond=0) - timedelta(days=10)
"""The newest of the days below; the database's clock decides which of them are old."""
TARGETS = [Target.of("KOSDAQ", "139", "KRX"), Target.of("KOSPI", "013", "KRX")]


def log_of(*bodies: bytes) -> AnswerLog:
    log = AnswerLog()
    for number, body in enumerate(bodies):
        head = (("cont-yn", "Y"), ("next-key", f"N{number}"))
        answer = KeptAnswer(
            "ka20002", "/api", "{}", None, 200, head, AT + timedelta(seconds=number), len(body)
        )
        log.add(answer, body, AT)
    return log


def entry_of(*bodies: bytes) -> AnswerEntry:
    return decode_answers(encode_answers(log_of(*bodies))) if bodies else AnswerEntry(AT, (), ())


def walk_of(pages: Sequence[bytes], *, refused: Sequence[int] = ()) -> AnswerLog:
    """The answers of a walk of these pages; before the pages of the indexes `refused` a request was refused."""
    log, instant = AnswerLog(), AT
    for index, page in enumerate(pages):
        for body in (*[b'{"return_code":5}'] * (index in refused), page):
            instant += timedelta(seconds=1)
            key = f"{random.Random(page).random()}" if index else None
            more = f"{random.Random(pages[index + 1]).random()}" if index + 1 < len(pages) else ""
            head = (("next-key", more if body is page else ""),)
            log.add(KeptAnswer("ka20002", "/api", "{}", key, 200, head, instant, len(body)), body, AT)
    return log


@pytest.mark.parametrize("bodies", [(b"",), (b"abc",), (b"abc", b"", b"\x00\xff" * 40_000), ()])
def test_an_entry_comes_back_as_it_was_packed_or_not(bodies):
    data = encode_answers(log_of(*bodies))
    if not bodies:
        assert data == b""
        return
    entry = decode_answers(data)
    assert entry.bodies == list(bodies)
    assert entry.requested_at == AT
    earlier = [body + b"x" for body in bodies[:-1]]
    assert unpack(pack(data, None), []) == data
    for others in (earlier, [*bodies, b"more"]):
        assert unpack(pack(data, entry_of(*others)), others) == data


def test_what_is_packed_against_another_entry_does_not_unpack_without_it():
    data = encode_answers(log_of(b"a page " * 500))
    packed = pack(data, entry_of(b"a page " * 499))
    with pytest.raises(DamagedAnswers):
        unpack(packed, [])


@pytest.mark.parametrize(("before", "now"), [((), (1,)), ((1,), ()), ((0, 2), (1,)), ((3,), (3,))])
def test_a_page_is_packed_against_the_same_page_wherever_it_lies(before: Sequence[int], now: Sequence[int]):
    """A refused request shifts the answers behind it."""
    chance = random.Random(7)
    pages = [chance.randbytes(5_000) for _ in range(6)]
    earlier = decode_answers(encode_answers(walk_of(pages, refused=before)))
    later = encode_answers(walk_of([page + b"!" for page in pages], refused=now))
    packed = pack(later, earlier)
    assert unpack(packed, earlier.bodies) == later
    assert len(packed) < 3_000


def test_damaged_bytes_are_named_and_nothing_else_is_raised():
    whole = encode_answers(log_of(b"a page " * 50, b"another"))
    packed = pack(whole, None)
    earlier = decode_answers(encode_answers(walk_of([b"a page " * 50, b"another"], refused=(0,))))
    paired = pack(encode_answers(walk_of([b"a page " * 50, b"another"], refused=(1,))), earlier)
    chance = random.Random(5)
    for read, data in (
        (decode_answers, whole),
        (lambda bytes_: unpack(bytes_, []), packed),
        (lambda bytes_: unpack(bytes_, earlier.bodies), paired),
    ):
        for _ in range(300):
            broken = bytearray(data)
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
            for candidate in (bytes(broken), data[: chance.randrange(len(data))]):
                try:
                    read(candidate)
                except DamagedAnswers:
                    continue


def test_an_endless_list_does_not_fill_memory():
    log = log_of(*[b"x" * (1 << 20)] * 20)
    assert log.size <= MOST_BYTES
    assert (len(log.answers), log.dropped) == (16, 4)


@pytest.mark.extended
async def test_each_walk_keeps_its_answers_with_it_and_no_secret(database: Dsn):
    async with Simulator(STILL) as simulator:
        async with collecting(database, simulator.url, *TARGETS) as collector:
            await collector.sweep(OPEN, "all", TARGETS)
            entries = [entry async for entry in AnswerStore(collector.store.database).entries(OPEN.date())]
        served = {target: simulator.market.rows(target.sector, target.exchange, OPEN) for target in TARGETS}
    assert {entry.target for entry in entries} == {*TARGETS}
    for entry in entries:
        pages = [json.loads(body)["inds_stkpc"] for body in entry.data.bodies]
        assert [row for page in pages for row in page] == served[entry.target]
        assert entry.data.answers[0].page_key is None
        assert {answer.api_id for answer in entry.data.answers} == {"ka20002"}
    [[text]] = await fetch(
        database, "SELECT string_agg(encode(answers, 'escape'), '') FROM collector.raw_walk"
    )
    tokens = [
        text for [text] in await fetch(database, "SELECT encode(sealed, 'escape') FROM collector.token")
    ]
    assert tokens
    for secret in (APP_KEY, SECRET_KEY, "Bearer", "authorization", "secretkey"):
        assert secret not in text


async def test_a_walk_that_fails_keeps_the_answers_that_came(database: Dsn):
    faults = ("rejected_15xx:page=2",)
    async with (
        Simulator(replace(STILL, faults=faults)) as simulator,
        collecting(database, simulator.url, TARGETS[0]) as collector,
    ):
        await collector.sweep(OPEN, "all", TARGETS[:1])
        [entry] = [entry async for entry in AnswerStore(collector.store.database).entries(OPEN.date())]
    assert [(status,) for (status,) in await fetch(database, "SELECT status FROM walk")] == [("failed",)]
    assert entry.data is not None
    assert b'"inds_stkpc":[{' in entry.data.bodies[0]


async def test_what_cannot_be_read_at_all_is_kept_apart(database: Dsn):
    faults = ("truncated_json",)
    async with (
        Simulator(replace(STILL, faults=faults)) as simulator,
        collecting(database, simulator.url, TARGETS[0]) as collector,
    ):
        await collector.sweep(OPEN, "all", TARGETS[:1])
        rows = await AnswerStore(collector.store.database).unreadable(OPEN.date(), OPEN.date())
    assert [row["error"].partition(":")[0] for row in rows] == ["Unreadable"]


@pytest.mark.extended
async def test_no_answer_is_kept_where_raw_days_is_0(database: Dsn):
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, *TARGETS) as collector:
        await replace(collector, keeps_answers=False).sweep(OPEN, "all", TARGETS)
    assert await fetch(database, "SELECT count(*) FROM collector.raw_walk") == [(0,)]


@pytest.fixture
async def answers(database: Dsn):
    """A store of kept answers with five slots of two targets on each of four days."""
    async with open_pool(database, size=2) as pool:
        held = Database(pool, database)
        async with held.transaction("registering") as connection:
            for target in TARGETS:
                await connection.execute(
                    "INSERT INTO collector.target (market, sector, exchange) VALUES ($1, $2, $3)", *target
                )
            ids = [row["id"] for row in await connection.fetch("SELECT id FROM collector.target ORDER BY id")]
            for offset in range(4):
                day = LAST.date() - timedelta(days=offset)
                await connection.fetchval("SELECT collector.make_raw_days($1, 1)", day)
                for slot in range(5):
                    at = LAST - timedelta(days=offset) + timedelta(minutes=5 * slot)
                    for target in ids:
                        page = f"page of {target} " * 2000 + f"at {at}"
                        await keep_answers(connection, at, target, log_of(page.encode(), b"second"))
        yield AnswerStore(held)


async def bodies(answers: AnswerStore, day: date) -> list[object]:
    return [
        (entry.target, entry.slot, entry.data and entry.data.bodies, entry.damage)
        async for entry in answers.entries(day)
    ]


async def test_packed_answers_read_as_before_and_take_less_room(database: Dsn, answers: AnswerStore):
    size = "SELECT sum(octet_length(answers)) FROM collector.raw_walk"
    before, [[large]] = await bodies(answers, LAST.date()), await fetch(database, size)
    assert [await answers.pack_day(day) for day in await answers.days()] == [10] * 4
    assert [await answers.pack_day(day) for day in await answers.days()] == [0] * 4
    assert await bodies(answers, LAST.date()) == before
    [[small]] = await fetch(database, size)
    assert small * 20 < large


async def test_a_day_is_packed_in_parts(answers: AnswerStore):
    before = await bodies(answers, LAST.date())
    assert [await answers.pack_day(LAST.date(), 4) for _ in range(4)] == [4, 4, 2, 0]
    assert await bodies(answers, LAST.date()) == before
    now = datetime.now(UTC)
    assert (await answers.tend(now, 400, 25))[0] == 25
    assert (await answers.tend(now, 400))[0] == 5


@pytest.mark.parametrize("is_packed", [False, True])
async def test_a_damaged_entry_is_named_and_others_are_read(
    database: Dsn, answers: AnswerStore, is_packed: bool
):
    if is_packed:
        await answers.pack_day(LAST.date())
    await execute(
        database,
        "UPDATE collector.raw_walk SET answers = set_byte(answers, 40, get_byte(answers, 40) # 1)"
        " WHERE slot = $1 AND target = (SELECT min(id) FROM collector.target)",
        LAST + timedelta(minutes=10),
    )
    read = await bodies(answers, LAST.date())
    assert len(read) == 10
    damaged = [damage for _, _, data, damage in read if data is None]
    assert all(damaged)
    assert len(damaged) == (3 if is_packed else 1)


@pytest.mark.extended
async def test_old_answers_go_two_a_night_and_only_if_the_clocks_agree(database: Dsn, answers: AnswerStore):
    now = datetime.now(UTC)
    await execute(
        database,
        "INSERT INTO collector.walk (slot, target, status, received_at)"
        " SELECT $1, min(id), 'complete', $1 FROM collector.target",
        now,
    )
    far = now + timedelta(days=400)
    assert (await answers.tend(far, 1))[1] == []
    first = await answers.days()
    assert len(first) == 4
    today = now.astimezone(KST).date()
    keep = (today - first[3]).days
    assert (await answers.tend(now, keep))[1] == first[:2]
    assert (await answers.tend(now, keep))[1] == []
    await execute(database, "UPDATE collector.dropped_raw_day SET dropped_at = dropped_at - INTERVAL '1 day'")
    assert (await answers.tend(now, keep))[1] == first[2:3]
    assert await answers.days() == first[3:]


async def test_the_database_refuses_to_drop_answers_on_the_word_of_one_clock(
    database: Dsn, answers: AnswerStore
):
    far = datetime.now(UTC) + timedelta(days=400)
    with pytest.raises(Exception, match="clocks do not agree"):
        await execute(database, "SELECT collector.drop_old_answers($1, 1, 60)", far)
