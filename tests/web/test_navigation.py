"""The way around: days, exchanges, neighbouring slots, failures, and days without rows."""

import csv
import io
import re
from datetime import timedelta
from html import unescape

import pytest

from collector.db.database import Database
from collector.db.pool import connect, open_pool
from collector.web.queries import ledger
from tests.support import web_harness
from tests.support.harness import execute
from tests.support.postgres_server import Server
from tests.support.web_harness import CHEMICALS, KRX, NXT, Page, get, page

SECTOR = f"/sector/{KRX}"
_MARKS = re.compile(r'<tr><th scope="row">.*?<span class="mark (\w+)">')


async def text(shown: Page, path: str) -> str:
    status, _, body = await get(shown.url, path)
    assert status == 200, body
    return unescape(body.decode().partition("<main")[2])


def steps(found: str) -> dict[str, str]:
    """The links to neighbouring slots and days, by their direction."""
    return dict(re.findall(r'data-step="([a-z-]+)" href="([^"]+)"', found))


async def test_a_slot_leads_to_its_neighbours(shown: Page) -> None:
    assert steps(await text(shown, "/slot/20261120T090500")) == {
        "slot-back": "/slot/20261120T090000",
        "slot-on": "/slot/20261120T091000",
    }
    assert steps(await text(shown, "/slot/20261120T090000")) == {"slot-on": "/slot/20261120T090500"}


async def test_a_walk_leads_to_the_walks_of_its_target(shown: Page) -> None:
    assert steps(await text(shown, f"/walk/20261120T091500/{CHEMICALS}")) == {
        "slot-back": f"/walk/20261120T091000/{CHEMICALS}"
    }


async def test_a_sector_leads_to_its_complete_slots_and_other_exchanges(shown: Page) -> None:
    found = await text(shown, f"{SECTOR}?slot=20261120T090500")
    links = steps(found)
    assert links["slot-back"].startswith(f"{SECTOR}?slot=20261120T090000")
    assert links["slot-on"].startswith(f"{SECTOR}?slot=20261120T091000")
    assert f'href="/sector/{NXT}?day=2026-11-20"' in found


async def test_a_sector_at_a_slot_shows_the_rows_of_that_slot(shown: Page) -> None:
    for at in ("20261120T090000", "20261120T090500"):
        _, _, rows = await get(shown.url, f"{SECTOR}.csv?slot={at}")
        _, _, same = await get(shown.url, f"/walk/{at}/{KRX}.csv")
        assert sorted(rows.splitlines()) == sorted(same.splitlines())


async def test_a_day_without_walks_leads_to_the_days_with_some(shown: Page) -> None:
    found = await text(shown, f"{SECTOR}?day=2026-11-22&lang=en")
    assert ("Closed" in found, "Sunday" in found) == (True, True)
    assert steps(found) == {"day-back": f"{SECTOR}?lang=en&day=2026-11-20"}
    later = await text(shown, f"{SECTOR}?day=2026-11-19")
    assert steps(later) == {"day-on": f"{SECTOR}?day=2026-11-20"}


@pytest.mark.parametrize(
    ("day", "language", "reason"),
    [
        ("2026-11-21", "ko", "토요일"),
        ("2026-11-21", "en", "Saturday"),
        ("2026-12-25", "ko", "기독탄신일"),
        ("2026-12-25", "en", "Christmas Day"),
        ("2027-05-03", "ko", "근로자의 날 대체 휴일"),
        ("2027-05-03", "en", "Substitute for Labor Day"),
    ],
)
@pytest.mark.parametrize("path", ["/day", "/listing/000002", SECTOR])
async def test_a_closed_day_is_named(shown: Page, path: str, day: str, language: str, reason: str) -> None:
    assert reason in await text(shown, f"{path}?day={day}&lang={language}")


async def test_a_day_picker_keeps_the_choices_of_the_visitor(shown: Page) -> None:
    found = await text(shown, f"{SECTOR}?day=2026-11-20&lang=en&colours=western&order=code")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', found))
    assert fields == {"lang": "en", "colours": "western", "order": "code"}
    assert 'type="date" value="2026-11-20"' in found


async def test_the_failures_of_a_slot_come_first_and_are_counted(shown: Page) -> None:
    found = await text(shown, "/slot/20261120T091500?lang=en")
    assert _MARKS.findall(found) == ["failed", "missed", "suspect", "complete"]
    counts = re.findall(r'status=(\w+)"[^>]*><span.*?</span>\w+</span> <b>(\d+)</b>', found)
    assert counts == [("failed", "1"), ("missed", "1"), ("suspect", "1"), ("complete", "1")]
    assert f"collector once --target {CHEMICALS}" in found
    assert f"collector once --target {KRX}<" not in found


async def test_a_filter_shows_one_outcome_and_so_does_its_data(shown: Page) -> None:
    found = await text(shown, "/slot/20261120T091500?status=missed")
    assert _MARKS.findall(found) == ["missed"]
    [link] = re.findall(r'href="(/slot/[^"]*csv[^"]*)"', found)
    _, _, body = await get(shown.url, link)
    assert [row["status"] for row in csv.DictReader(io.StringIO(body.decode()))] == ["missed"]


@pytest.mark.parametrize("query", [ledger._FAILURES, ledger._FAILURE_COUNTS], ids=["lines", "counts"])
async def test_the_log_of_failures_reads_only_lines_that_are_not_complete(
    server: Server, template: str, query: str
) -> None:
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        async with connect(address) as connection:
            await connection.execute(
                "INSERT INTO collector.walk (slot, target, status)"
                " SELECT $1::timestamptz - n * interval '1 minute', (SELECT min(id) FROM collector.target), 'complete'"
                " FROM generate_series(1, 5000) AS n",
                web_harness.OPENING,
            )
            await connection.execute("ANALYZE collector.walk")
            day = web_harness.OPENING - timedelta(days=3), web_harness.OPENING + timedelta(days=1)
            more = (["failed", "missed"], 200) if "$4" in query else ()
            plan = await connection.fetch(f"EXPLAIN {query}", *day, *more)
    assert "walk_incomplete" in str(plan)


async def test_the_log_of_failures_has_every_line_that_is_not_complete(shown: Page) -> None:
    _, _, body = await get(shown.url, "/failures.csv")
    statuses = sorted(row["status"] for row in csv.DictReader(io.StringIO(body.decode())))
    assert statuses == ["failed", "missed", "suspect"]
    found = await text(shown, "/failures?lang=en")
    assert found.count("collector once --target") == 3
    assert "took too long" in found
    assert "Nothing failed" in await text(shown, "/failures?lang=en&day=2026-11-19")
    assert re.findall(r"<td><span class=\"mark (\w+)\">", await text(shown, "/failures?status=failed")) == [
        "failed"
    ]


async def test_an_unknown_listing_is_said_to_be_unknown(shown: Page) -> None:
    status, _, body = await get(shown.url, "/listing/999999?lang=en")
    assert (status, "No stored walk has this code" in body.decode()) == (404, True)


@pytest.mark.parametrize(
    ("kind", "korean", "english"),
    [("ours", "모의 데이터", "Simulated data"), ("mock", "모의투자 데이터", "Mock data"), ("real", "", "")],
)
async def test_a_banner_says_that_prices_are_not_real(
    server: Server, template: str, kind: str, korean: str, english: str
) -> None:
    async with server.database(template=template) as address:
        await execute(address, "INSERT INTO collector.origin (kind) VALUES ($1)", kind)
        async with page(address) as other:
            for language, words in (("ko", korean), ("en", english)):
                _, _, body = await get(other.url, f"/?lang={language}")
                banner = re.findall(r'<aside class="banner".*?</b>', body.decode())
                assert [words in each for each in banner] == ([True] if words else [])


@pytest.mark.extended
async def test_an_archived_day_is_named_with_the_command_that_restores_it(
    server: Server, template: str
) -> None:
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        await execute(address, "DELETE FROM collector.snapshot")
        await execute(
            address,
            "INSERT INTO collector.archive (day, exchange, file, rows, bytes, digest)"
            " VALUES ('2026-11-20', 'KRX', 'x.parquet', 1360, 1, '')",
        )
        async with page(address) as other:
            for path in ("/", "/day/2026-11-20", SECTOR, "/listing/000002", f"/walk/20261120T090000/{KRX}"):
                found = await text(other, f"{path}?lang=en")
                assert ("Archived" in found, "collector restore 2026-11-20" in found) == (True, True), path
            assert "Unchanged" not in await text(other, f"{SECTOR}?lang=en")
