"""Every page, and its data, against what the database holds."""

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from collector.cli import bootstrap  # noqa: F401 - the page is wired as the program wires it
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.model import Certificate, Status
from collector.secret import Secret
from collector.web import addresses, make_access_policy
from tests.support import web_harness
from tests.support.harness import execute, fetch, reading
from tests.support.postgres_server import Server
from tests.support.web_harness import CHEMICALS, ELECTRONICS, ERROR, KRX, WICKED, YAML, Page, Stand, get, page

DAY = "/day/2026-11-20"
WALK = "/walk/20261120T091500/KOSPI"
PAGES = [
    "/",
    DAY,
    "/heat/KOSPI/KRX",
    "/slot/20261120T091500",
    f"{WALK}/008/KRX",
    "/sector/KOSPI/013/KRX",
    "/sector/KOSPI/001/KRX?order=turnover",
    "/listing/000002",
    "/listing/000002?day=2026-11-22",
    "/sector/KOSPI/013/KRX?day=2026-11-22",
    "/sector/KOSPI/013/KRX?slot=20261120T090500",
    "/slot/20261120T091500?status=failed",
    "/day",
    "/day?day=2026-11-22",
    "/failures",
    "/failures?status=missed&day=2026-11-20",
    "/search",
    "/search?q=%EC%A2%85%EB%AA%A9",
    "/sectors",
    "/sectors?market=KOSDAQ",
]


async def text(shown: Page, path: str) -> str:
    status, _, body = await get(shown.url, path)
    assert status == 200, body
    return body.decode()


async def rows(shown: Page, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(await text(shown, path))))


def test_the_docs_name_addresses_that_there_are():
    told = (Path(__file__).parents[2] / "docs" / "how-to" / "use-the-status-page.md").read_text()
    named = re.findall(r"^\| `(/[^`]*)`", told, re.MULTILINE)
    patterns = [pattern for pattern, _ in addresses.ADDRESSES]
    unknown = [path for path in named if not any(each.fullmatch(path.partition("?")[0]) for each in patterns)]
    assert (unknown, len(named)) == (["/metrics"], 13)


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_there_in_both_languages(shown, path, language):
    found = await text(shown, f"{path}{'&' if '?' in path else '?'}lang={language}")
    assert f'<html lang="{language}"' in found


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/day/2026-13-40",
        "/day/0001-01-01",
        "/slot/20261120T999999",
        "/slot/00010101T000000",
        "/slot/99991231T235959",
        "/walk/00010101T000000/KOSPI/001/KRX",
        "/slot/20261120T100001",
        "/walk/20261120T090000/KOSPI/999/KRX",
        "/walk/20261120T090000/NASDAQ/001/KRX",
        "/sector/KOSPI/013/NXT",
        "/sector/KOSPI/013/KRX?day=2025-13-01",
        "/sector/KOSPI/013/KRX?slot=20261120T100000",
        "/failures?day=yesterday",
        "/listing/999999",
        "/heat/KRX100/KRX",
        "/static/../pages.py",
        "/static/pages.py",
    ],
)
async def test_what_is_not_there_is_said_so(shown, path):
    status, _, _ = await get(shown.url, path)
    assert status == 404


async def test_a_day_without_records_says_so_and_draws_no_squares(shown):
    found = await text(shown, "/day/2026-11-22?lang=ko")
    assert "수집 기록도, 예정된 수집도 없습니다" in found
    assert "칸을 누르면" not in found


@pytest.mark.extended
async def test_the_overview_names_the_cause_of_missed_slots(server: Server, template: str) -> None:
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        await execute(address, "UPDATE collector.walk SET status = 'missed', error = 'denied'")
        async with page(address) as denied:
            assert "앱키나 접속 주소가 거절되었습니다" in await text(denied, "/?lang=ko")


async def test_members_at_their_limit_are_marked_and_have_their_prices(server: Server, template: str) -> None:
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        await execute(
            address,
            "UPDATE collector.snapshot SET rate = (2989 << 3) | 1, change = 7100, open = 25300, high = 30851,"
            " low = 25301 WHERE position = 2",
        )
        async with page(address) as limited:
            found = await text(limited, "/sector/KOSPI/008/KRX?lang=ko")
    row = next(line for line in found.splitlines() if "상한가" in line)
    assert re.findall(r">([^<>]+)</td>", row)[2:7] == [
        "+7,100",
        " +29.89 %",
        "25,300",
        "30,851",
        "25,301",
    ]


async def test_the_grid_says_what_the_ledger_holds(shown):
    told = {
        (row["slot"], row["sector"], row["exchange"]): row["status"]
        for row in await rows(shown, f"{DAY}.csv")
    }
    held = await fetch(
        shown.address,
        "SELECT to_char(slot AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '+09:00', sector, exchange,"
        " status FROM walk",
    )
    assert {key: told[key] for key in ((slot, sector, exchange) for slot, sector, exchange, _ in held)} == {
        (slot, sector, exchange): status for slot, sector, exchange, status in held
    }


async def test_a_slot_that_nobody_wrote_down_is_a_gap(shown):
    told = await rows(shown, f"{DAY}.csv")
    ended = [row["status"] for row in told if row["slot"].startswith("2026-11-20T09:20")]
    assert ended == ["due"] * 4
    coming = [row["status"] for row in told if row["slot"].startswith("2026-11-20T15:30")]
    assert coming == ["due"] * 4


MANY = YAML.replace(
    b"schedules:",
    b"""  all:
    - {market: KOSPI, sectors: all, exchanges: [KRX]}
schedules:
  rest: {universe: all, every: 30m, during: KRX.regular}
  close: {universe: all, at: KRX.regular.close + 10m}""",
)
FEW = YAML.replace(
    b"schedules:",
    b"""  all:
    - {market: KOSPI, sectors: all, exchanges: [KRX]}
schedules:
  open: {universe: all, at: KRX.regular.open + 20m}
  close: {universe: all, at: KRX.regular.close + 10m}""",
)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("yaml", "minutes"),
    [
        pytest.param(YAML, 22, id="few targets-amid the morning"),
        pytest.param(YAML, 40, id="few targets-after gaps"),
        pytest.param(MANY, 22, id="many-amid the morning"),
        pytest.param(MANY, 40, id="many-after gaps"),
        pytest.param(FEW, 22, id="many at few times-amid the morning"),
        pytest.param(FEW, 40, id="many at few times-after gaps"),
    ],
)
async def test_every_link_leads_somewhere(shown, yaml, minutes):
    stand = Stand(yaml=yaml, now=lambda: web_harness.slot(0) + timedelta(minutes=minutes))
    async with page(shown.address, stand) as other:
        links: set[str] = set()
        for path in ("/", DAY, "/day/2026-11-19", "/slot/20261120T092000"):
            main = (await text(other, path)).partition("<main")[2]
            inner = {unescape(part.partition('"')[0]) for part in main.split('href="')[1:]}
            assert len({link for link in inner if not link.startswith("#")}) > 2, path
            links |= inner
        dead = [link for link in links if not link.startswith("#") and (await get(other.url, link))[0] != 200]
    assert dead == []


async def test_a_gap_leads_to_its_slot_which_says_what_is_not_there(shown):
    async with page(shown.address, Stand(now=lambda: web_harness.slot(6))) as later:
        grid = await text(later, f"{DAY}?lang=en")
        slot = await rows(later, "/slot/20261120T092000.csv?market=KOSPI&exchange=KRX")
        coming = await rows(later, "/slot/20261120T153000.csv")
    assert 'class="sq absent" href="/slot/20261120T092000?lang=en&amp;market=KOSPI&amp;exchange=KRX"' in grid
    assert [(row["sector"], row["status"]) for row in slot] == [
        (sector, "absent") for sector in ("001", "008", "013")
    ]
    assert {row["status"] for row in coming} == {"due"}


async def test_the_data_of_a_slots_part_is_that_part(shown):
    found = await text(shown, "/slot/20261120T091500?market=KOSPI&exchange=NXT")
    link = unescape(found.partition('class="data"')[2].partition('href="')[2].partition('"')[0])
    assert [row["exchange"] for row in await rows(shown, link)] == ["NXT"]


async def test_tiles_have_a_table_that_says_the_same(shown):
    async with page(shown.address, Stand(yaml=FEW, now=lambda: web_harness.slot(7))) as later:
        found = await text(later, f"{DAY}?lang=en")
    tiles = re.findall(r'class="sq \w+".*? aria-label="(\S+) (KOSPI/\d{3}/KRX): (\w+)"', found)
    lines = re.findall(r'<tr><th scope="row">(KOSPI/\d{3}/KRX)</th><td>(\w+)</td><td>(\w+)</td></tr>', found)
    told = {
        (at, name): status
        for name, *both in lines
        for at, status in zip(("09:20", "15:40"), both, strict=True)
    }
    assert len(told) > 2 * 24
    assert told == {(at, name): status for at, name, status in tiles if (at, name) in told}


async def test_a_slot_of_which_a_part_was_written_down_shows_the_rest_as_well(shown):
    async with page(shown.address, Stand(yaml=FEW, now=lambda: web_harness.slot(7))) as later:
        told = await rows(later, "/slot/20261120T091500.csv")
        added = await rows(later, "/slot/20261120T092000.csv?exchange=KRX")
    assert sorted(row["status"] for row in told) == ["complete", "failed", "missed", "suspect"]
    assert len(added) > 24
    assert {row["status"] for row in added} == {"absent"}


async def test_the_map_says_what_the_rows_say(shown):
    told = {row["sector"]: row for row in await rows(shown, "/heat/KOSPI/KRX.csv")}
    held = await fetch(
        shown.address,
        "SELECT sector, count(*), count(*) FILTER (WHERE change > 0), count(*) FILTER (WHERE change < 0),"
        " avg(change_percent)::float8, sum(price * volume)::float8 FROM latest WHERE exchange = 'KRX' GROUP BY sector",
    )
    found = {
        sector: (
            *(int(row[name]) for name in ("members", "up", "down")),
            *(float(row[name]) for name in ("mean_percent", "turnover")),
        )
        for sector, row in told.items()
    }
    assert found == {sector: pytest.approx(tuple(rest)) for sector, *rest in held}


async def test_a_walks_rows_are_those_that_were_stored(shown):
    told = await rows(shown, f"/walk/20261120T090000/{KRX}.csv")
    held = await fetch(
        shown.address,
        "SELECT symbol, price, volume FROM snapshot WHERE slot = $1 AND sector = '001' AND exchange = 'KRX'"
        " ORDER BY position",
        web_harness.slot(0),
    )
    assert [(row["symbol"], int(row["price"]), int(row["volume"])) for row in told] == held


async def test_a_listings_day_has_both_exchanges_beside_each_other(shown):
    told = json.loads(await text(shown, "/listing/000002.json"))
    assert [(row["slot"][11:16], row["exchange"]) for row in told] == [
        (at, exchange) for at in ("09:00", "09:05", "09:10") for exchange in ("KRX", "NXT")
    ] + [("09:15", "KRX")]


async def test_a_listing_that_several_sectors_show_is_told_as_the_newest_page_has_it(
    server: Server, template: str
):
    at = web_harness.slot(5)
    async with server.database(template=template) as address, open_pool(address, size=3) as pool:
        database = Database(pool, address)
        await web_harness.fill(database)
        store = SnapshotStore(database, Registry(database))
        await store.registry.open()
        for target, moved, seconds in ((KRX, 1, 2), (CHEMICALS, 2, 9), (ELECTRONICS, 3, 5)):
            walked = reading(
                target, at, web_harness.listed(10, moved), page_times=[at + timedelta(seconds=seconds)]
            )
            await store.save_walk(walked, Certificate(Status.COMPLETE))
        async with page(address) as shown:
            told = [
                (row["slot"], row["price"]) for row in json.loads(await text(shown, "/listing/000002.json"))
            ]
        held = await fetch(
            address, "SELECT price FROM listing_day('000002', '2026-11-20') ORDER BY slot, exchange"
        )
    assert told[-1] == (at.isoformat(), web_harness.listed(10, 2)[1].price)
    assert [(price,) for _, price in told] == held


async def test_a_suspect_walk_is_on_no_map_and_in_no_course(shown):
    told = await rows(shown, "/sector/KOSPI/001/NXT/course.csv?day=2026-11-20")
    assert [row["slot"][11:16] for row in told] == ["09:00", "09:05", "09:10"]


async def test_an_error_stands_there_as_it_came_and_as_it_is_meant(shown):
    english, korean = [await text(shown, f"{WALK}/008/KRX?lang={language}") for language in ("en", "ko")]
    assert (ERROR in english, ERROR in korean) == (True, True)
    assert "1504: This address does not serve this API ID." in english
    assert "a retry does not help" in english
    assert "1504: 이 주소에서는" in korean


async def test_a_miss_says_why(shown):
    assert "took too long" in await text(shown, f"/walk/20261120T091500/{ELECTRONICS}?lang=en")


async def test_a_wicked_name_is_only_a_name(shown):
    found = await text(shown, f"/sector/{CHEMICALS}?order=down")
    assert WICKED not in found
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found


async def test_choices_are_carried_by_every_link(shown):
    found = await text(shown, "/?lang=ko&colours=western")
    links = [part.partition('"')[0] for part in found.split('href="')[1:]]
    inner = [link for link in links if not link.startswith(("/static/", "#"))]
    assert all("lang=" in link and "colours=" in link for link in inner)


def switches(found: str) -> list[str]:
    """The links in a page's head that change how it is shown."""
    header = found.partition("<header>")[2].partition("</header>")[0]
    return [unescape(part.partition('"')[0]) for part in header.split('href="')[2:]]


@pytest.mark.parametrize(
    "query", ["day=2026-11-20&order=down", "day=2026-11-20&order=down&lang=en&colours=western"]
)
async def test_another_language_or_other_colours_show_the_same(shown, query):
    links = switches(await text(shown, f"/sector/KOSPI/001/KRX?{query}"))
    assert len(links) == 4
    for link in links:
        path, _, asked = link.partition("?")
        assert path == "/sector/KOSPI/001/KRX"
        assert {"day": "2026-11-20", "order": "down"}.items() <= dict(parse_qsl(asked)).items()


@pytest.mark.parametrize("path", ["//evil.example/", "/?path=/day&self=1", "/%22%3E?a=%00"])
async def test_no_switch_leads_away_whatever_was_asked_for(shown, path):
    _, _, body = await get(shown.url, path)
    links = switches(body.decode())
    assert len(links) == 4
    assert all(link.startswith("/") and not link.startswith("//") for link in links)


async def test_it_does_not_claim_to_be_ready_when_no_daemon_is_at_work(shown):
    status, _, body = await get(shown.url, "/readyz")
    assert (status, "no daemon holds it" in body.decode()) == (503, True)


async def test_the_loop_turns(shown):
    assert (await get(shown.url, "/healthz"))[0] == 200


async def test_an_empty_database_has_a_page_that_says_so(server: Server, template: str):
    async with (
        server.database(template=template) as address,
        page(address, Stand(yaml=b"universes: {a: [{market: KOSPI, sectors: ['001']}]}")) as empty,
    ):
        assert "Nothing is stored yet" in await text(empty, "/?lang=en")


@pytest.mark.parametrize(("granted", "is_shown"), [(1, True), (4, True), (5, False), (100, False)])
async def test_a_rate_below_the_configured_one_is_shown_with_the_way_back(
    server: Server, template: str, granted: int, is_shown: bool
):
    async with server.database(template=template) as address:
        await execute(
            address,
            "INSERT INTO collector.quota (key, api_id, granted, granted_at)"
            " VALUES ('any', 'ka20002', $1, clock_timestamp())",
            granted,
        )
        async with page(address) as served:
            for language, words in (
                ("en", f"ka20002 {granted}/s (configured 5/s)"),
                ("ko", "서버가 허용한 요청 속도"),
            ):
                shown = await text(served, f"/?lang={language}")
                assert (words in shown, "collector quota --forget" in shown) == (is_shown, is_shown)


async def test_a_database_that_is_gone_is_said_and_does_not_end_the_page(server: Server, template: str):
    async with server.database(template=template) as address, page(address) as left:
        await server.connection.execute(f"ALTER DATABASE {address.database} ALLOW_CONNECTIONS false")
        await server.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", address.database
        )
        statuses = [(await get(left.url, path))[0] for path in ("/", "/readyz", "/healthz")]
    assert statuses == [503, 503, 200]


async def test_without_the_token_readiness_is_good_or_not_and_nothing_else(shown):
    """The reasons, which the token shows, may name the database's host, port and name, and the daemon's."""
    stand = Stand(guard=make_access_policy("0.0.0.0", Secret("t0ken"), []))
    async with page(shown.address, stand) as guarded:
        host = f"Host: {guarded.url.removeprefix('http://')}"
        strangers = [
            await get(guarded.url, "/readyz", headers=[host, *more])
            for more in ([], ["Authorization: Bearer other"])
        ]
        known = await get(guarded.url, "/readyz", headers=[host, "Authorization: Bearer t0ken"])
        loop = await get(guarded.url, "/healthz", headers=[host])
    for status, _, body in strangers:
        assert (status, json.loads(body)) == (503, {"ready": False})
    assert "no daemon holds it" in json.loads(known[2])["checks"]["lease"]
    assert (loop[0], loop[2]) == (200, b"the event loop is running\n")


async def test_a_token_is_asked_for_where_one_is_set(shown):
    stand = Stand(guard=make_access_policy("0.0.0.0", Secret("t0ken"), []))
    async with page(shown.address, stand) as guarded:
        host = f"Host: {guarded.url.removeprefix('http://')}"
        without = await get(guarded.url, "/", headers=[host])
        with_it = await get(guarded.url, "/", headers=[host, "Authorization: Bearer t0ken"])
        health = await get(guarded.url, "/healthz", headers=[host])
    assert (without[0], with_it[0], health[0]) == (401, 200, 200)
