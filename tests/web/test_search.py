"""The search: its results, their order and their number."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.web.search import SearchEntry, make_entry, normalize, search
from tests.support.harness import execute
from tests.support.web_harness import WICKED, Page, get, page

ENTRIES = [
    make_entry(name, code, name, *former)
    for code, name, *former in (
        ("005930", "삼성전자"),
        ("005935", "삼성전자우"),
        ("018260", "삼성에스디에스"),
        ("006400", "삼성SDI"),
        ("005380", "현대차"),
        ("000660", "SK하이닉스", "하이닉스반도체"),
        ("0001A0", "덕양에너젠"),
        ("013", "전기/전자", "Electrical & Electronic Equipment", "KOSPI/013/KRX"),
    )
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("삼성전자", ["삼성전자", "삼성전자우"]),
        ("005930", ["삼성전자"]),
        ("0059", ["삼성전자", "삼성전자우"]),
        ("ㅅㅅㅈㅈ", ["삼성전자", "삼성전자우"]),
        ("ㅎㄷㅊ", ["현대차"]),
        ("삼ㅅ전", ["삼성전자", "삼성전자우"]),
        ("삼서", ["삼성전자", "삼성전자우", "삼성SDI", "삼성에스디에스"]),
        ("삼 성 전 자 우", ["삼성전자우"]),
        ("sdi", ["삼성SDI"]),
        ("하이닉스반도체", ["SK하이닉스"]),
        ("0001a", ["덕양에너젠"]),
        ("electronic", ["전기/전자"]),
        ("KOSPI/013", ["전기/전자"]),
        ("ㄷㅇㅇㄴㅈ", ["덕양에너젠"]),
        ("\u1109\u1161\u11b7\u1109\u1165\u11bc\u110c\u1165\u11ab", ["삼성전자", "삼성전자우"]),
        *(
            (query, [])
            for query in ("없는이름", "'; DROP TABLE x --", '"', "\\", "%", "_", ".*", "[", WICKED)
        ),
    ],
)
def test_a_query_finds_by_name_code_and_initial_consonants(query: str, expected: list[str]) -> None:
    assert list(search(ENTRIES, query, 50).best) == expected


def test_consonants_that_an_input_method_joins_are_two() -> None:
    entries = [make_entry("값", "000001", "가수")]
    assert search(entries, "ㄳ", 5).count == search(entries, "ㄱㅅ", 5).count == 1


@given(st.text(max_size=60))
def test_no_query_fails_and_a_name_finds_itself(text: str) -> None:
    search(ENTRIES, text, 5)
    entries: list[SearchEntry[str]] = [make_entry(text, "999999", text)]
    assert search(entries, text, 5).count == bool(normalize(text))


async def test_the_data_of_a_search_is_what_it_shows(shown: Page) -> None:
    _, _, body = await get(shown.url, f"/search.json?q={quote('화학')}")
    assert json.loads(body)[0] == {"kind": "sector", "market": "KOSPI", "code": "008", "name": "화학"}


async def test_the_page_links_to_what_it_finds(shown: Page) -> None:
    for query, link in (
        ("ㅈㅁ2", "/listing/000003"),
        ("화학", "/sector/KOSPI/008/KRX"),
        ("013", "/sector/KOSPI/013/KRX"),
    ):
        status, _, body = await get(shown.url, f"/search?q={quote(query)}")
        assert (status, f'href="{link}"' in body.decode()) == (200, True)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "Find listings and sectors"),
        ("   ", "Find listings and sectors"),
        ("없는 이름", "Nothing matches"),
        ("가" * 51, "The query is too long"),
        ("'\"; --", "Nothing matches"),
        ("\x00\u202e", "Nothing matches"),
    ],
)
async def test_a_query_without_result_says_why(shown: Page, query: str, words: str) -> None:
    status, _, body = await get(shown.url, f"/search?lang=en&q={quote(query)}")
    assert (status, words in body.decode()) == (200, True)


async def test_markup_in_a_query_and_in_a_name_is_only_text(shown: Page) -> None:
    _, _, body = await get(shown.url, f"/search?q={quote(WICKED)}")
    assert WICKED not in body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</a>" in body.decode()


@pytest.mark.extended
async def test_ten_thousand_matches_are_counted_and_fifty_are_shown(server, template) -> None:
    async with server.database(template=template) as address:
        await execute(
            address,
            "INSERT INTO collector.listing (symbol, name, first_seen, last_seen)"
            " SELECT to_char(n, 'FM000000'), '종목 ' || n, now(), now() FROM generate_series(1, 10000) AS n",
        )
        async with page(address) as shown:
            _, _, body = await get(shown.url, f"/search?lang=en&q={quote('ㅈㅁ')}")
    assert ("10,000" in body.decode(), body.decode().count("/listing/")) == (True, 50)
