"""Corroboration, index levels, reconstructed rows and the history of a ledger line, where they matter."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape

import pytest

from collector.db.database import Database
from collector.db.pool import open_pool
from tests.support import web_harness
from tests.support.harness import execute
from tests.support.postgres_server import Server
from tests.support.web_harness import CHEMICALS, ELECTRONICS, KRX, NXT, Page, get, page

_OF = "(SELECT id FROM collector.target WHERE market || '/' || sector || '/' || exchange = '{}')"
_FACTS = [
    f"UPDATE collector.walk SET corroboration = 'corroborated' WHERE target = {_OF.format(KRX)}",
    f"""UPDATE collector.walk SET corroboration = 'contradicted', status = 'suspect', remarks = '{{witness_count}}'
        WHERE slot = '2026-11-20 09:10+09' AND target = {_OF.format(CHEMICALS)}""",
    f"""INSERT INTO collector.witness (slot, target, source, members, traded, advancers, unchanged, decliners,
            volume, asked_at, verdict, detail)
        VALUES ('2026-11-20 09:10+09', {_OF.format(CHEMICALS)}, 'ka20003', 61, 60, 40, 0, 20, 123456,
            '2026-11-20 09:10:02+09', 'contradicted', 'members 60, ka20003 says 61'),
            ('2026-11-20 09:10+09', {_OF.format(CHEMICALS)}, 'ka20009', NULL, NULL, NULL, NULL, NULL, NULL,
            '2026-11-20 09:10:02+09', 'corroborated', '')""",
    f"""INSERT INTO collector.judgement (slot, target, judged_by, verdict, status, remarks)
        VALUES ('2026-11-20 09:10+09', {_OF.format(CHEMICALS)}, 'ka20003', 'witness_count', 'complete', '{{}}')""",
    f"""INSERT INTO collector.replay (slot, target, program, status, rows, remarks)
        VALUES ('2026-11-20 09:10+09', {_OF.format(CHEMICALS)}, '0.1.0', 'failed', 0, '{{}}')""",
    """INSERT INTO collector.index_level (slot, market, sector, level, change, change_bp, sign, volume, turnover,
            members, traded, advancers, unchanged, decliners, limit_up, limit_down, received_at)
        SELECT at, 'KOSPI', '013', 312345 + n, 100, 42 + n, 2, 1000000, 819000000000, 1234, 1200, 700, 100, 400, 3, 1,
            at + n * INTERVAL '1 second'
        FROM generate_series('2026-11-20 09:00+09'::timestamptz, '2026-11-20 09:10+09', '5 minutes') AS at,
            generate_series(1, 2) AS n""",
    """INSERT INTO collector.index_level (slot, market, sector, level, change_bp, volume, turnover, received_at, source)
        VALUES ('2026-11-20 09:05+09', 'KOSPI', '008', 99900, -12, 1, 2, '2026-11-21 09:00+09', 'ka20006')""",
    f"""UPDATE collector.walk SET repaired_at = '2026-11-20 20:00+09'
        WHERE slot = '2026-11-20 09:15+09' AND target = {_OF.format(ELECTRONICS)}""",
    f"""INSERT INTO collector.repaired_member (slot, target, symbol)
        SELECT '2026-11-20 09:15+09', {_OF.format(ELECTRONICS)}, to_char(n, 'FM000000')
        FROM generate_series(61, 70) AS n""",
    """INSERT INTO collector.reconstructed (slot, symbol, exchange, price, change, rate, volume, source)
        SELECT '2026-11-20 09:15+09', to_char(n, 'FM000000'), exchange, n, 5, (25 << 3) + 2, 100, 'ka10080'
        FROM generate_series(61, 70) AS n, unnest('{KRX, NXT}'::text[]) AS exchange""",
    """INSERT INTO collector.repair (trading_date, symbol, exchange, outcome, slots)
        SELECT '2026-11-20', '000061', exchange, 'repaired', '{2026-11-20 09:15+09}'
        FROM unnest('{KRX, NXT}'::text[]) AS exchange""",
]


@pytest.fixture(scope="module")
async def seen(server: Server, template: str) -> AsyncIterator[Page]:
    """The morning, with second sources and a repaired slot."""
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        for statement in _FACTS:
            await execute(address, statement)
        async with page(address) as shown:
            yield shown


async def text(seen: Page, path: str) -> str:
    status, _, body = await get(seen.url, path)
    assert status == 200, body
    return unescape(body.decode().partition("<main")[2])


async def rows(seen: Page, path: str) -> list[dict[str, str]]:
    status, _, body = await get(seen.url, path)
    assert status == 200, body
    return list(csv.DictReader(io.StringIO(body.decode())))


@pytest.mark.extended
async def test_a_square_shows_the_word_of_second_sources_and_a_repair(seen: Page) -> None:
    found = await text(seen, "/day/2026-11-20?lang=en")
    labels = dict(re.findall(r'class="sq ([\w ]+)"[^>]*aria-label="([^"]+)"', found)[::-1])
    assert labels["complete corroborated"] == f"09:00 {KRX}: complete, corroborated"
    assert labels["suspect contradicted"] == f"09:10 {CHEMICALS}: suspect, contradicted"
    assert labels["missed repaired"] == f"09:15 {ELECTRONICS}: missed, reconstructed later"
    assert labels["complete"] == f"09:00 {NXT}: complete"


@pytest.mark.extended
async def test_a_slot_has_a_column_for_second_sources_where_one_was_asked(seen: Page, shown: Page) -> None:
    assert "Second source" in await text(seen, "/slot/20261120T091000?lang=en")
    assert "Second source" not in await text(shown, "/slot/20261120T091000?lang=en")
    told = {row["sector"] + row["exchange"]: row for row in await rows(seen, "/slot/20261120T091000.csv")}
    assert told["001KRX"]["corroboration"] == "corroborated"
    assert told["008KRX"]["corroboration"] == "contradicted"


async def test_a_walk_shows_each_source_with_its_numbers(seen: Page) -> None:
    found = await text(seen, f"/walk/20261120T091000/{CHEMICALS}?lang=en")
    assert "members 60, ka20003 says 61" in found
    assert re.findall(r'<th scope="row">(ka\d+) .*?<span class="mark (\w+)">', found) == [
        ("ka20003", "contradicted"),
        ("ka20009", "corroborated"),
    ]


async def test_a_walk_shows_its_history(seen: Page, shown: Page) -> None:
    found = await text(seen, f"/walk/20261120T091000/{CHEMICALS}?lang=ko")
    history = found.partition("변경 이력")[2]
    assert re.findall(r'<span class="mark (\w+)">', history.partition("</table>")[0]) == [
        "failed",
        "complete",
    ]
    assert ("등락 종목 수와 다름" in history, "보관한 응답을 다시 읽음" in history) == (True, True)
    assert "변경 이력" not in await text(shown, f"/walk/20261120T091000/{CHEMICALS}?lang=ko")


@pytest.mark.extended
async def test_a_sector_shows_its_index_at_the_slot(seen: Page, shown: Page) -> None:
    found = await text(seen, f"/sector/{ELECTRONICS}?slot=20261120T090500&lang=ko")
    assert ("3,123.47" in found, "+0.44 %" in found, "8,190억" in found) == (True, True, True)
    assert 'class="line index' in found
    assert "ka20003" not in await text(shown, f"/sector/{ELECTRONICS}?lang=ko")


async def test_the_closing_level_of_a_past_day_has_no_counts(seen: Page) -> None:
    found = await text(seen, f"/sector/{CHEMICALS}?slot=20261120T090500&lang=en")
    index = found.partition("ka20006")[2].partition("</dl>")[0]
    assert ("999.00" in index, "−0.12 %" in index, "Members" in index) == (True, True, False)


async def test_reconstructed_rows_are_labelled_wherever_they_are(seen: Page, shown: Page) -> None:
    for path in (f"/sector/{ELECTRONICS}", "/listing/000061", f"/walk/20261120T091500/{ELECTRONICS}"):
        found = await text(seen, f"{path}?lang=en")
        assert "Not observed: values of missed slots" in found, path
        assert '<span class="tag">Reconstructed</span>' in found, path
        assert "Reconstructed" not in await text(shown, f"{path}?lang=en"), path


async def test_data_says_of_each_row_where_it_comes_from(seen: Page) -> None:
    course = {row["slot"][11:16]: row for row in await rows(seen, f"/sector/{ELECTRONICS}/course.csv")}
    assert {at: row["origin"] for at, row in course.items()} == {
        **dict.fromkeys(("09:00", "09:05", "09:10"), "observed"),
        "09:15": "reconstructed",
    }
    assert (course["09:15"]["members"], course["09:15"]["up"], course["09:15"]["mean_percent"]) == (
        "10",
        "10",
        "0.25",
    )
    listing = await rows(seen, "/listing/000061.csv")
    told = [(row["exchange"], row["origin"]) for row in listing if row["slot"][11:16] == "09:15"]
    assert told == [("KRX", "observed"), ("NXT", "reconstructed")]
    walk = await rows(seen, f"/walk/20261120T091500/{ELECTRONICS}.csv")
    assert {row["source"] for row in walk} == {"ka10080"}


@pytest.mark.extended
async def test_a_reconstructed_row_never_stands_for_an_observed_one(seen: Page) -> None:
    _, _, body = await get(seen.url, "/listing/000061.json")
    told = [row for row in json.loads(body) if row["slot"][11:16] == "09:15" and row["exchange"] == "KRX"]
    assert [(row["origin"], row["price"] > 1000) for row in told] == [("observed", True)]
