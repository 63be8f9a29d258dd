"""The imitated API: tokens, continuation, quota, the order of refusals, and the books that it keeps."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest

from collector.model import KST, Exchange, Market, Target
from tests.support.api_client import NUMBER, serving

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)


@pytest.mark.parametrize("exchange", Exchange)
async def test_a_walk_reads_exactly_the_rows_that_the_market_holds(exchange: Exchange) -> None:
    async with serving(freeze=OPEN) as client:
        walked = await client.walk("001", exchange)
        assert [row for got in walked for row in got.rows] == client.simulator.rows(
            Target(Market.KOSPI, "001", exchange)
        )
        assert [len(got.rows) for got in walked[:-1]] == [100] * (len(walked) - 1)
        assert walked[-1].headers["cont-yn"] == "N"
        assert walked[-1].headers["next-key"] == ""


async def test_an_answer_has_the_headers_of_the_real_one() -> None:
    async with serving(freeze=OPEN) as client:
        got = await client.page("402")
        assert list(got.headers) == [
            "api-id",
            "cont-yn",
            "next-key",
            "resp-cnt",
            "Content-Type",
            "Date",
            "Content-Length",
        ]
        assert got.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert (got.headers["api-id"], got.headers["resp-cnt"]) == ("ka20002", "50")
        assert list(got.body) == ["inds_stkpc", "return_code", "return_msg"]


async def test_a_next_key_is_short_visible_ascii_and_new_on_every_page() -> None:
    async with serving(freeze=OPEN) as client:
        keys = [got.headers["next-key"] for got in (await client.walk("001"))[:-1]]
        assert len(set(keys)) == len(keys) == 24
        assert all(0 < len(key) <= 50 and key.isascii() and key.isprintable() for key in keys)


async def test_a_next_key_continues_only_its_own_request() -> None:
    async with serving(freeze=OPEN) as client:
        key = (await client.page("001")).headers["next-key"]
        assert (await client.page("101", key=key)).code == "1517"
        assert (await client.page("001", Exchange.CONSOLIDATED, key=key)).code == "1517"
        assert (await client.page("001", key=key[:-1] + ("A" if key[-1] != "A" else "B"))).code == "1517"
        assert (await client.page("001", key=key)).body["return_code"] == 0


@pytest.mark.parametrize(("dies", "code"), [(True, "1517"), (False, "")], ids=["dies", "survives"])
async def test_whether_a_next_key_outlives_its_token_can_be_chosen(dies: bool, code: str) -> None:
    async with serving(freeze=OPEN, keys_die_with_token=dies) as client:
        key = (await client.page("001")).headers["next-key"]
        await client.issue()
        assert (await client.page("001", key=key)).code == code


async def test_the_sector_decides_and_the_market_is_ignored() -> None:
    async with serving(freeze=OPEN) as client:
        fields = {"mrkt_tp": "1", "inds_cd": "402", "stex_tp": "1"}
        wrong = await client.post("/api/dostk/sect", "ka20002", fields)
        assert wrong.rows == (await client.page("402")).rows


@pytest.mark.parametrize("sector", ["603", "770", "999", "abc"])
async def test_a_sector_without_members_is_an_empty_success(sector: str) -> None:
    async with serving(freeze=OPEN) as client:
        got = await client.page(sector)
        assert (got.body["return_code"], got.rows, got.headers["cont-yn"]) == (0, [], "N")


@pytest.mark.parametrize(
    ("fields", "named"),
    [({}, "mrkt_tp"), ({"mrkt_tp": "0"}, "inds_cd"), ({"mrkt_tp": "0", "inds_cd": "001"}, "stex_tp"),
     ({"inds_cd": "", "stex_tp": ""}, "mrkt_tp")],
)  # fmt: skip
async def test_the_first_missing_field_is_named(fields: dict[str, str], named: str) -> None:
    async with serving(freeze=OPEN) as client:
        got = await client.post("/api/dostk/sect", "ka20002", fields)
        assert (got.status, got.body["return_code"], got.code) == (200, 2, "1511")
        assert got.body["return_msg"].endswith(f"필수입력 파라미터={named}]")


async def test_a_call_at_the_wrong_address_is_refused() -> None:
    async with serving(freeze=OPEN) as client:
        got = await client.post("/api/dostk/chart", "ka20002", {})
        assert (got.body["return_code"], got.code) == (1, "1504")
        assert got.body["return_msg"].endswith("API ID=ka20002, URI=/api/dostk/chart]")


async def test_the_sectors_of_a_market_are_listed() -> None:
    async with serving(freeze=OPEN) as client:
        got = await client.post("/api/dostk/stkinfo", "ka10101", {"mrkt_tp": "0"})
        assert {"marketCode": "0", "code": "001", "name": "종합(KOSPI)", "group": "1"} in got.rows


async def test_all_indices_tell_the_size_of_each_sector() -> None:
    async with serving(freeze=OPEN) as client:
        got = await client.post("/api/dostk/sect", "ka20003", {"inds_cd": "001"})
        sizes = {row["stk_cd"]: int(row["flo_stk_num"]) for row in got.rows}
        assert (sizes["001"], sizes["008"], sizes["603"]) == (982, 123, 0)


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(days=400), timedelta(days=-8)])
async def test_a_token_says_when_it_ends_in_korean_time_by_the_clock_of_the_tokens(ahead: timedelta) -> None:
    async with serving(token_life=timedelta(hours=1), tokens_ahead=ahead, freeze=OPEN) as client:
        before = datetime.now(KST).replace(microsecond=0)
        got = await client.issue()
        ends = datetime.strptime(got.body["expires_dt"], "%Y%m%d%H%M%S").replace(tzinfo=KST)
        assert before <= ends - ahead - timedelta(hours=1) <= datetime.now(KST)
        assert got.body["token_type"] == "bearer"
        assert (await client.page("402")).body["return_code"] == 0


@pytest.mark.parametrize(("rule", "code"), [("replace", "8005"), ("reuse", "")])
async def test_a_second_issuance_kills_the_first_token_or_hands_it_out_again(rule: str, code: str) -> None:
    async with serving(token_rule=rule, freeze=OPEN) as client:
        first = client.token
        await client.issue()
        assert (client.token == first) == (rule == "reuse")
        client.token = first
        got = await client.page("402")
        assert (got.status, got.code) == (200, code)


async def test_a_revoked_token_is_dead() -> None:
    async with serving(freeze=OPEN) as client:
        fields = {"appkey": "key", "secretkey": "secret", "token": client.token}
        assert (await client.post("/oauth2/revoke", "au10002", fields)).body["return_code"] == 0
        assert (await client.page("402")).code == "8005"


async def test_a_token_at_its_end_is_dead() -> None:
    async with serving(token_life=timedelta()) as client:
        got = await client.page("402")
        assert (got.status, got.body["return_code"], got.code) == (200, 3, "8005")


async def test_wrong_keys_are_refused_and_repeats_are_a_flood() -> None:
    async with serving(keys={"key": "secret"}) as client:
        wrong = [await client.issue("key", "wrong") for _ in range(2)]
        assert [(got.status, got.code) for got in wrong] == [(200, "8001"), (429, "8001")]
        assert (await client.issue()).body["return_code"] == 0


@pytest.mark.parametrize(
    ("mock", "app_key", "code"),
    [(True, "realKey", "8030"), (True, "mockKey", ""), (False, "mockKey", "8030")],
)
async def test_a_key_of_the_other_host_is_refused(mock: bool, app_key: str, code: str) -> None:
    async with serving(mock=mock) as client:
        assert (await client.issue(app_key)).code == code


@pytest.mark.parametrize(("consolidated", "served"), [(False, [0, 2, 2]), (True, [0, 2, 0])])
async def test_the_mock_host_serves_krx_and_perhaps_consolidated(
    consolidated: bool, served: list[int]
) -> None:
    async with serving(mock=True, mock_consolidated=consolidated, freeze=OPEN) as client:
        got = [(await client.page("402", exchange)).body["return_code"] for exchange in NUMBER]
        assert got == served


@pytest.mark.parametrize("status", [429, 200])
async def test_more_than_the_quota_in_a_second_is_refused_in_kiwooms_words(status: int) -> None:
    async with serving(quota=3, throttle_status=status, freeze=OPEN) as client:
        got = await asyncio.gather(*(client.page("402") for _ in range(5)))
        refused = [page for page in got if page.body["return_code"]]
        text = "[1700:허용된 API 요청 개수를 초과하였습니다. 유량=3, API ID=ka20002]"
        body = {"return_code": 5, "return_msg": f"허용된 요청 개수를 초과하였습니다{text}"}
        assert [(page.status, page.body) for page in refused] == [(status, body)] * 2


async def test_api_ids_have_quotas_of_their_own_unless_there_is_a_total() -> None:
    for total, codes in ((0, ["", ""]), (1, ["", "1701"])):
        async with serving(quota=1, total=total, freeze=OPEN) as client:
            got = [await client.page("402"), await client.bars("005930", "20261120")]
            assert [page.code for page in got] == codes


async def test_the_book_tells_every_arrival_in_order() -> None:
    async with serving(freeze=OPEN) as client:
        await client.walk("101", pages=3)
        text = await (await client.session.get(f"{client.simulator.url}/_sim/log?since=1")).text()
        arrivals = [json.loads(line) for line in text.splitlines()]
        assert [(found["seq"], found["page"], found["rows"], found["answer"]) for found in arrivals] == [
            (2, 1, 100, "ok"), (3, 2, 100, "ok"), (4, 3, 100, "ok"),
        ]  # fmt: skip
        assert len({found["walk"] for found in arrivals}) == 1
        assert {(found["api_id"], found["sector"], found["exchange"]) for found in arrivals} == {
            ("ka20002", "101", "KRX")
        }
        assert "key" not in {found["key"] for found in arrivals}


async def test_counts_are_exact_although_the_book_is_bounded() -> None:
    async with serving(freeze=OPEN, log_size=2, quota=3) as client:
        await asyncio.gather(*(client.page("402") for _ in range(5)))
        stats = await client.control("GET", "stats")
        assert stats["answers"] == {"au10001": {"ok": 1}, "ka20002": {"ok": 3, "throttled": 2}}
        assert stats["tokens_issued"] == 1
        assert {(peak["api_id"], peak["arrivals"]) for peak in stats["peaks"]} == {("ka20002", 5), ("*", 3)}
        assert len(client.simulator.api.book.since(0)) == 2


async def test_tokens_can_be_killed_and_the_clock_turned_while_it_runs() -> None:
    async with serving(freeze=OPEN) as client:
        before = (await client.page("402")).rows
        turned = await client.control("POST", "clock", {"now": "2026-11-20T13:00:00+09:00"})
        assert turned["now"] == "2026-11-20T13:00:00+09:00"
        assert (await client.page("402")).rows != before
        assert await client.control("POST", "token/expire") == {"expired": 1}
        assert (await client.page("402")).code == "8005"


async def test_a_holiday_that_no_calendar_knows_shows_the_session_before() -> None:
    async with serving(freeze=OPEN) as client:
        await client.control("POST", "clock", {"closed": True})
        shown = (await client.page("402")).rows
        thursday = datetime(2026, 11, 19, 20, 0, tzinfo=KST)
        assert shown == client.simulator.rows(Target(Market.KOSPI100, "402", Exchange.KRX), thursday)


@pytest.mark.parametrize(("method", "path"), [("GET", "nothing"), ("POST", "log")])
async def test_an_unknown_control_endpoint_names_the_known_ones(method: str, path: str) -> None:
    async with serving() as client:
        assert "GET /_sim/stats" in (await client.control(method, path, {}))["known"]


async def test_latency_lies_on_both_sides_of_the_arrival() -> None:
    async with serving(latency=timedelta(milliseconds=100), freeze=OPEN) as client:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        await client.page("402")
        took = loop.time() - sent
        arrived = client.simulator.api.book.since(1)[0]["arrived"]
        assert isinstance(arrived, float)
        assert took >= 0.1
        assert arrived - sent >= 0.049
        assert sent + took - arrived >= 0.049


@pytest.mark.parametrize(("wanted", "encoding"), [(True, "gzip"), (False, None)])
async def test_answers_are_compressed_only_if_both_sides_want_it(wanted: bool, encoding: str | None) -> None:
    async with serving(gzip=wanted, freeze=OPEN) as client:
        got = await client.page("402")
        assert got.headers.get("Content-Encoding") == encoding
        assert len(got.rows) == 50
