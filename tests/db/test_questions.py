"""The questions of docs/how-to/read-from-sql.md: right answers, one day read, memberships as last seen."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from collector.base import resources
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.db.snapshots import SnapshotStore
from collector.model import KST, Certificate, Quote, Remark, Status, Target
from tests.support.harness import execute, fetch, opened_store, reading
from tests.support.postgres_server import Server

KRX, NXT, BOTH = (Target.of("KOSPI", "001", exchange) for exchange in ("KRX", "NXT", "CONSOLIDATED"))
TARGETS = [KRX, NXT, BOTH]
DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 9, 0, tzinfo=KST)
WHOLE = Certificate(Status.COMPLETE)
STALE = Certificate(Status.SUSPECT, (Remark.ROW_COUNT,))


def slot(number: int) -> datetime:
    return OPEN + number * timedelta(minutes=5)


def row(number: int, price: int, change: int, volume: int, sign: int = 2, **more: Any) -> Quote:
    rate = round(10_000 * change / (price - change)) if price else 0
    quotes = {"ask": price + 5, "bid": price - 5, "open": price, "high": price, "low": price, **more}
    return Quote(f"{number:06}", f"종목 {number}", price or None, change, rate, sign, volume, **quotes)


def board(moved: int, *, volume: int = 1000) -> list[Quote]:
    """Six listings: two rise, one to its limit; one falls to its limit, one stands still, two were not traded."""
    return [
        row(1, 10_000 + moved, moved, volume),
        row(2, 13_000, 3_000, 2 * volume, sign=1),
        row(3, 7_000, -3_000, volume, sign=4),
        row(4, 5_000, 0, volume, sign=3),
        row(5, 5_000, 0, 0, sign=3),
        row(6, 0, 0, 0, sign=3, ask=None, bid=None, open=None, high=None, low=None),
    ]


@pytest.fixture
async def store(database: Dsn) -> AsyncIterator[SnapshotStore]:
    async with opened_store(database) as store:
        yield store


async def sweep(
    store: SnapshotStore, at: datetime, walks: dict[Target, list[Quote]], certificate: Certificate = WHOLE
) -> None:
    await store.begin_sweep(at, "boards", list(walks))
    for target, rows in walks.items():
        await store.save_walk(reading(target, at, rows), certificate)
    await store.end_sweep(at, "boards")


async def collect_morning(store: SnapshotStore) -> None:
    """Three whole slots of KRX, NXT and both, and then one that is suspect."""
    for number in range(3):
        krx, nxt = (
            board(100 * number, volume=1000 + number),
            [each._replace(volume=10) for each in board(100 * number + 50)[:3]],
        )
        both = [each._replace(volume=each.volume + 10 * (place < 3)) for place, each in enumerate(krx)]
        await sweep(store, slot(number), {KRX: krx, NXT: nxt, BOTH: both})
    await sweep(store, slot(3), dict.fromkeys(TARGETS, board(9_999)), STALE)


@pytest.fixture
async def morning(store: SnapshotStore, database: Dsn) -> Dsn:
    await collect_morning(store)
    return database


@pytest.fixture(scope="module")
async def kept_morning(server: Server, template: str) -> AsyncIterator[Dsn]:
    """The same for all tests that change nothing of it."""
    async with server.database(template=template) as address, opened_store(address) as store:
        await collect_morning(store)
        yield address


async def test_a_target_at_an_instant_is_its_newest_complete_walk_until_then(kept_morning: Dsn) -> None:
    query = (
        "SELECT slot, position, symbol, price, sign, received_at"
        " FROM as_of('KOSPI', '001', 'KRX', $1) ORDER BY position"
    )
    found = {
        at: await fetch(kept_morning, query, at) for at in (slot(1), slot(1) + timedelta(minutes=4), slot(9))
    }
    assert [{line[0] for line in lines} for lines in found.values()] == [{slot(1)}, {slot(1)}, {slot(2)}]
    assert found[slot(1)][0] == (slot(1), 1, "000001", 10_100, 2, slot(1) + timedelta(seconds=2))
    assert found[slot(1)][5][3] is None
    assert await fetch(kept_morning, query, slot(0) - timedelta(seconds=1)) == []


async def test_rows_that_are_gone_are_not_taken_for_none(morning: Dsn) -> None:
    async with connect(morning) as connection:
        said: list[str] = []
        connection.add_log_listener(lambda _, message: said.append(str(message)))
        query = "SELECT * FROM as_of('KOSPI', '001', 'KRX', $1)"
        assert await connection.fetch(query, slot(1))
        assert said == []
        await connection.execute("DROP TABLE collector.snapshot_20261120")
        assert await connection.fetch(query, slot(1)) == []
        assert "not in the database any more" in said[0]


async def test_a_target_at_an_instant_has_the_columns_of_the_view_snapshot(kept_morning: Dsn) -> None:
    columns = (
        "slot, position, symbol, name, price, change, change_percent, sign, volume, ask, bid, open, high, low,"
        " received_at"
    )
    [seen, asked] = [
        await fetch(kept_morning, f"SELECT {columns} FROM {source} ORDER BY position")
        for source in (
            f"snapshot WHERE slot = '{slot(1)}' AND (market, sector, exchange) = ('KOSPI', '001', 'NXT')",
            f"as_of('KOSPI', '001', 'NXT', '{slot(1)}')",
        )
    ]
    assert asked == seen
    assert len(asked) == 3


async def test_a_listings_day_has_a_row_a_slot_and_exchange(kept_morning: Dsn) -> None:
    found = await fetch(
        kept_morning, "SELECT slot, exchange, price, volume FROM listing_day('000001', $1) ORDER BY 1, 2", DAY
    )
    assert found[:3] == [
        (slot(0), "CONSOLIDATED", 10_000, 1_010),
        (slot(0), "KRX", 10_000, 1_000),
        (slot(0), "NXT", 10_050, 10),
    ]
    assert len(found) == 9
    assert await fetch(kept_morning, "SELECT * FROM listing_day('000001', $1)", DAY - timedelta(days=1)) == []


async def test_a_listing_in_several_sectors_is_shown_once(store: SnapshotStore, database: Dsn) -> None:
    chemicals = Target.of("KOSPI", "008", "KRX")
    await sweep(store, slot(0), {KRX: board(0), chemicals: board(0)[:2]})
    assert await fetch(database, "SELECT count(*) FROM listing_day('000001', $1)", DAY) == [(1,)]


async def test_a_sectors_breadth_counts_who_has_traded(kept_morning: Dsn) -> None:
    found = await fetch(kept_morning, "SELECT * FROM breadth('KOSPI', '001', 'KRX', $1)", DAY)
    assert [line[0] for line in found] == [slot(0), slot(1), slot(2)]
    rates = [100, 3_000, -3_000, 0]
    weighted = Decimal(1001 * (100 + 2 * 3_000 - 3_000)) / (5 * 1001) / 100
    assert found[1][1:] == (
        *(6, 4, 2, 1, 1, 1, 1, Decimal(sum(rates)) / 4 / 100, weighted, 5 * 1001),
        1001 * (10_100 + 2 * 13_000 + 7_000 + 5_000),
    )


async def test_the_breadth_of_walks_beyond_any_sense_does_not_overflow(
    store: SnapshotStore, database: Dsn
) -> None:
    wild = [row(1, 2**31 - 9, 2**30, 10**15)._replace(change_bp=2**28 - 1)]
    await sweep(store, slot(0), {KRX: wild})
    [[turnover]] = await fetch(database, "SELECT turnover FROM breadth('KOSPI', '001', 'KRX', $1)", DAY)
    assert float(turnover) == pytest.approx((2**31 - 9) * 10**15, rel=1e-12)


async def test_krx_and_nxt_stand_beside_each_other(kept_morning: Dsn) -> None:
    found = await fetch(
        kept_morning,
        "SELECT slot, symbol, krx_price, nxt_price, premium, premium_percent, krx_spread, nxt_spread, nxt_share"
        " FROM krx_nxt('KOSPI', '001', $1) ORDER BY symbol",
        slot(9),
    )
    share = round(Decimal(1000) / 1012, 2)
    assert found[0] == (slot(2), "000001", 10_200, 10_250, 50, Decimal("0.49"), 10, 10, share)
    assert [line[1] for line in found] == ["000001", "000002", "000003"]


async def test_consolidated_is_the_sum_of_both_or_the_check_says_by_how_much_not(
    store: SnapshotStore, morning: Dsn
) -> None:
    query = (
        "SELECT slot, symbol, krx_volume, nxt_volume, consolidated_volume, difference"
        " FROM consolidated_check('KOSPI', '001', $1) WHERE difference <> 0 ORDER BY symbol"
    )
    assert await fetch(morning, query, slot(9)) == []
    both = [*board(0)[:2], row(7, 100, 0, 5, sign=3)]
    await sweep(store, slot(4), {KRX: board(0)[:2], NXT: [], BOTH: both[1:]})
    assert await fetch(morning, query, slot(9)) == [
        (slot(4), "000001", 1000, None, None, -1000),
        (slot(4), "000007", None, None, 5, 5),
    ]


async def test_movers_are_ordered_by_what_they_moved_between_two_instants(kept_morning: Dsn) -> None:
    found = await fetch(
        kept_morning,
        "SELECT symbol, first_slot, last_slot, first_price, last_price, percent, volume"
        " FROM movers('KOSPI', '001', 'KRX', $1, $2)",
        *(slot(0) + timedelta(minutes=1), slot(9)),
    )
    assert found[0] == ("000001", slot(0), slot(2), 10_000, 10_200, Decimal("2.00"), 2)
    assert [line[0] for line in found] == ["000001", "000002", "000003", "000004", "000005"]


async def test_between_two_days_movers_have_no_volume(store: SnapshotStore, morning: Dsn) -> None:
    await sweep(store, slot(0) + timedelta(days=3), {KRX: board(500)})
    found = await fetch(
        morning, "SELECT percent, volume FROM movers('KOSPI', '001', 'KRX', $1, $2)", slot(0), slot(2000)
    )
    assert found[0] == (Decimal("5.00"), None)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5], ids=["as_of", "breadth", "krx_nxt", "check", "movers"])
async def test_a_target_of_which_nothing_is_known_gives_no_rows_and_a_warning(
    kept_morning: Dsn, number: int
) -> None:
    query = [
        "as_of('KOSPI', '999', 'KRX', now())",
        "breadth('KOSPI', '999')",
        "krx_nxt('kospi', '001')",
        "consolidated_check('KOSPI', '999')",
        "movers('KOSPI', '001', 'krx', now())",
    ][number - 1]
    async with connect(kept_morning) as connection:
        said: list[str] = []
        connection.add_log_listener(lambda _, message: said.append(str(message)))
        assert await connection.fetch(f"SELECT * FROM {query}") == []
    assert "nothing was ever collected of" in said[0]


async def test_a_question_over_many_targets_outlives_one_that_is_not_known(kept_morning: Dsn) -> None:
    found = await fetch(
        kept_morning,
        "SELECT t.sector, b.members FROM unnest('{999,001,998}'::text[]) AS t (sector)"
        " CROSS JOIN LATERAL breadth('KOSPI', t.sector, 'KRX', $1) AS b",
        DAY,
    )
    assert found == [("001", 6)] * 3


async def members(address: Dsn) -> list[tuple[Any, ...]]:
    return await fetch(
        address,
        "SELECT symbol, valid_from, valid_to FROM membership"
        " WHERE (market, sector, exchange) = ('KOSPI', '001', 'KRX') ORDER BY symbol, valid_from",
    )


async def test_every_sweep_keeps_who_its_complete_walks_show(store: SnapshotStore, database: Dsn) -> None:
    days = [DAY + timedelta(days=number) for number in range(4)]
    shown = [board(0)[:2], board(0)[1:3], board(0)[:3], board(0)[:3]]
    for number, rows in enumerate(shown):
        await sweep(store, slot(0) + timedelta(days=number), {KRX: rows})
    assert await members(database) == [
        ("000001", days[0], days[1]),
        ("000001", days[2], None),
        ("000002", days[0], None),
        ("000003", days[1], None),
    ]
    changes = "SELECT symbol, change FROM membership_changes($1, $2) ORDER BY 1"
    assert await fetch(database, changes, days[0], days[1]) == [("000001", "left"), ("000003", "joined")]
    assert await fetch(database, changes, days[0], days[3]) == [("000003", "joined")]
    assert await fetch(database, changes, days[2], days[3]) == []
    assert await fetch(database, changes, days[0] - timedelta(days=1), days[3]) == []


async def test_a_walk_that_is_not_complete_tells_of_no_membership(
    store: SnapshotStore, database: Dsn
) -> None:
    await sweep(store, slot(0), {KRX: board(0)[:2]})
    await sweep(store, slot(1), {KRX: board(0)[:1]}, STALE)
    assert [symbol for symbol, *_ in await members(database)] == ["000001", "000002"]


async def test_the_day_ends_with_the_members_of_its_last_complete_walk(
    store: SnapshotStore, database: Dsn
) -> None:
    await sweep(store, slot(0) - timedelta(days=1), {KRX: board(0)[:2]})
    await sweep(store, slot(0), {KRX: board(0)[:3]})
    await sweep(store, slot(1), {KRX: board(0)[:2]})
    assert await members(database) == [
        ("000001", DAY - timedelta(days=1), None),
        ("000002", DAY - timedelta(days=1), None),
    ]


async def test_a_membership_that_a_backfill_wrote_is_recognised(store: SnapshotStore, database: Dsn) -> None:
    await sweep(store, slot(0), {KRX: board(0)[:2]})
    await execute(database, "UPDATE collector.membership SET digest = NULL")
    await sweep(store, slot(0) + timedelta(days=1), {KRX: board(0)[:2]})
    assert await fetch(database, "SELECT as_of, digest IS NULL FROM collector.membership") == [(DAY, False)]


async def test_a_sweep_that_shows_the_same_members_reads_none_of_its_rows(
    store: SnapshotStore, database: Dsn
) -> None:
    await sweep(store, slot(0), {KRX: board(0)})
    await sweep(store, slot(1), {KRX: board(1)})
    async with connect(database) as connection:
        await connection.execute("DROP TABLE collector.snapshot CASCADE")
        assert await connection.fetchval("SELECT collector.keep_membership($1)", slot(1)) == 0


QUESTIONS = {
    "as_of": "SELECT * FROM as_of('KOSPI', '001', 'KRX', '2026-11-20 09:11+09')",
    "listing_day": "SELECT * FROM listing_day('000001', '2026-11-20')",
    "breadth": "SELECT * FROM breadth('KOSPI', '001', 'KRX', '2026-11-20')",
    "krx_nxt": "SELECT * FROM krx_nxt('KOSPI', '001', '2026-11-20 09:11+09')",
    "consolidated_check": "SELECT * FROM consolidated_check('KOSPI', '001', '2026-11-20 09:11+09')",
    "movers": ("SELECT * FROM movers('KOSPI', '001', 'KRX', '2026-11-20 09:01+09', '2026-11-20 09:11+09')"),
}


def document() -> str:
    return (resources.path("migrations").parent / "docs" / "how-to" / "read-from-sql.md").read_text()


INDEXES = {"listing_day": "snapshot_20261120_listing_idx"}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def plans(address: Dsn, query: str) -> list[dict[str, Any]]:
    """The plans of everything that a query runs, functions' inner ones included."""
    async with connect(address) as connection:
        found: list[dict[str, Any]] = []

        def heard(_: object, message: Any) -> None:
            if text := re.search(r"plan:\n(.*)", str(message.message), re.DOTALL):
                found.append(json.loads(text[1])["Plan"])

        connection.add_log_listener(heard)
        await connection.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_format = json;"
            " SET auto_explain.log_nested_statements = on; SET client_min_messages = log"
        )
        await connection.execute(query)
        await connection.execute("SET auto_explain.log_min_duration = -1")
        return found


@pytest.fixture
async def season(store: SnapshotStore, database: Dsn) -> Dsn:
    """A day of many slots, and many days around it."""
    await execute(database, "SELECT collector.make_days('2026-11-01', 40)")
    wide = [row(number, 1_000 + number, number % 7, number) for number in range(1, 301)]
    for number in range(20):
        await sweep(store, slot(number), {KRX: wide, NXT: wide[:100], BOTH: wide})
    await execute(database, "ANALYZE")
    return database


@pytest.mark.extended
async def test_a_question_reads_one_day_by_its_index(season: Dsn) -> None:
    for name, query in QUESTIONS.items():
        found = [node for plan in await plans(season, query) for node in nodes(plan)]
        read = {node["Relation Name"] for node in found if "snapshot" in node.get("Relation Name", "")}
        used = {node["Index Name"] for node in found if "snapshot" in node.get("Index Name", "")}
        assert (name, read) == (name, {"snapshot_20261120"})
        assert (name, used) == (name, {INDEXES.get(name, "snapshot_20261120_slot_target_idx")})


@pytest.fixture
async def analyst(database: Dsn) -> AsyncIterator[str]:
    """A role that may do nothing yet; roles are the server's, so it has a name of its own."""
    name = f"analyst_{uuid4().hex}"
    await execute(database, f"CREATE ROLE {name}")
    try:
        yield name
    finally:
        await execute(database, f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_who_may_read_the_views_need_not_see_beneath_them(morning: Dsn, analyst: str) -> None:
    await execute(morning, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {analyst}")
    async with connect(morning) as connection:
        await connection.execute(f"SET ROLE {analyst}")
        for view in ("latest", "snapshot", "daily", "membership", "walk"):
            await connection.fetch(f"SELECT * FROM {view}")
        assert await connection.fetchval("SELECT count(*) FROM latest") == 15
        with pytest.raises(Exception, match="permission denied for schema collector"):
            await connection.fetch(QUESTIONS["as_of"])


async def test_the_documented_grants_are_enough_for_every_question(morning: Dsn, analyst: str) -> None:
    [grants] = re.findall(r"`(GRANT .*?)`", document(), re.DOTALL)
    await execute(morning, grants.replace("analyst", analyst))
    async with connect(morning) as connection:
        await connection.execute(f"SET ROLE {analyst}")
        for query in QUESTIONS.values():
            assert await connection.fetch(query)


async def test_every_view_and_function_says_what_it_is(database: Dsn) -> None:
    mute = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'v' AND obj_description(oid, 'pg_class') IS NULL
    UNION ALL
    SELECT proname FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
    """
    assert {name for (name,) in await fetch(database, mute)} <= {"quarantine", "sector", "listing"}


def documented() -> Sequence[str]:
    blocks = re.findall(r"```sql\n(.*?)```", document(), re.DOTALL)
    return [part for block in blocks for part in block.split(";\n")]


@pytest.mark.parametrize("query", [query for query in documented() if query.strip()])
async def test_the_documented_questions_are_answered(kept_morning: Dsn, query: str) -> None:
    await fetch(kept_morning, query)


async def test_the_examples_of_the_comments_are_answered(kept_morning: Dsn) -> None:
    described = "SELECT obj_description(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    examples = [str(text).partition("Example: ")[2] for (text,) in await fetch(kept_morning, described)]
    for example in filter(None, examples):
        await fetch(kept_morning, example.replace("'013'", "'001'"))
    assert len(list(filter(None, examples))) == 10
