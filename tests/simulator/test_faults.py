"""The switches: how they are written, when they strike, and what each does to the bytes."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import pytest

from collector.model import KST, Exchange, Market, Target
from kiwoom_simulator.faults import FAULTS, KINDS, parse, specs_of
from tests.support import raw_http_client
from tests.support.api_client import Client, serving
from tests.support.raw_http_client import End, Seen

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)

QUICK = {
    "token_slow": "seconds=0.1",
    "latency_spike": "seconds=0.1",
    "slow_drip": "bytes=20000,pause=0.05",
    "gzip_bomb": "bytes=3000000",
    "gzip_many_members": "members=100",
    "huge_body": "bytes=1000000",
    "deep_json": "depth=1000",
    "many_headers": "count=200",
}
"""Settings with which a fault takes no time."""
WITNESSES = {
    "ka10099": ("stkinfo", {"mrkt_tp": "0"}),
    "ka20003": ("sect", {"inds_cd": "001"}),
    "ka20009": ("sect", {"mrkt_tp": "0", "inds_cd": "001"}),
}
"""Calls that some faults are alone for."""


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_strikes_and_is_written_into_the_book(name: str) -> None:
    settings = QUICK.get(name)
    async with serving(freeze=OPEN) as client:
        await client.control("PUT", "faults", [f"{name}:{settings}" if settings else name])
        if FAULTS[name].apis == "au10001":
            await raw_http_client.token(client.simulator)
        elif FAULTS[name].apis == "ka10080":
            await raw_http_client.minutes(client.simulator, client.token)
        elif FAULTS[name].apis in WITNESSES:
            path, fields = WITNESSES[FAULTS[name].apis]
            await client.post(f"/api/dostk/{path}", FAULTS[name].apis, fields)
        else:
            await raw_http_client.page(client.simulator, client.token)
        assert client.simulator.api.book.since(0)[-1]["answer"] == name


REFUSED: list[tuple[str, int, int, str]] = [
    ("throttle_429", 429, 5, "1700"),
    ("throttle_200", 200, 5, "1700"),
    ("throttle_1701", 429, 5, "1701"),
    ("throttle_1702", 429, 5, "1702"),
    ("too_many_codes_1634", 200, 5, "1634"),
    ("token_8005", 200, 3, "8005"),
    ("http_401", 401, 3, "8005"),
    ("wrong_host_8030", 200, 2, "8030"),
    ("ip_8050", 200, 3, "8050"),
    ("ip_8010", 200, 3, "8010"),
    ("error_1999", 200, 1, "1999"),
    ("rejected_15xx:code=1513", 200, 2, "1513"),
    ("unknown_code", 200, 9, "7777"),
    ("no_data_20", 200, 20, "2000]"),
]


@pytest.mark.parametrize(
    ("spec", "status", "return_code", "code"), REFUSED, ids=[line[0] for line in REFUSED]
)
async def test_refusals_have_the_class_and_the_code_of_the_real_ones(
    spec: str, status: int, return_code: int, code: str
) -> None:
    async with serving(freeze=OPEN) as client:
        await client.control("PUT", "faults", [spec])
        got = await client.page("402")
        assert (got.status, got.body["return_code"]) == (status, return_code)
        assert f"[{code.rstrip(']')}" in got.body["return_msg"]
        assert got.rows == []


SHAPES: list[tuple[str, Callable[[Seen], bool]]] = [
    ("reset_before", lambda got: got.end is End.RESET and got.head == b""),
    ("reset_headers:at=25", lambda got: got.end is End.RESET and len(got.head) == 25),
    ("reset_body:at=10", lambda got: got.end is End.RESET and len(got.body) == 10),
    ("close_after", lambda got: json.loads(got.body)["return_code"] == 0),
    ("truncated_json:at=7", lambda got: got.end is End.OPEN and len(got.body) == 7),
    ("short_content_length", lambda got: got.end is End.CLOSED and _announced(got) == len(got.body) + 10),
    ("close_delimited", lambda got: got.end is End.CLOSED and not got.header("content-length")),
    ("chunked", lambda got: got.end is End.OPEN and got.body.endswith(b"\r\n0\r\n\r\n")),
    ("cut_chunk:at=100", lambda got: got.end is End.CLOSED and len(got.body) == 100),
    ("stall_headers:at=30", lambda got: got.end is End.SILENT and len(got.head) == 30),
    ("stall_body:at=0", lambda got: got.end is End.SILENT and got.body == b""),
    ("huge_body:bytes=500000", lambda got: len(got.body) == _announced(got) > 500_000),
    ("gzip", lambda got: json.loads(gzip.decompress(got.body))["return_code"] == 0),
    ("gzip_bomb:bytes=5000000", lambda got: len(got.body) < 50_000 < len(gzip.decompress(got.body))),
    ("gzip_many_members:members=30", lambda got: json.loads(gzip.decompress(got.body))["return_code"] == 0),
    ("bom", lambda got: got.body[:3] == b"\xef\xbb\xbf"),
    ("encoding_euckr", lambda got: "정상적으로" in got.body.decode("euc-kr")),
    ("encoding_utf16", lambda got: "정상적으로" in got.body.decode("utf-16")),
    ("duplicate_json_key", lambda got: got.body.count(b'"return_code"') == 2),
    ("string_return_code:value=0", lambda got: '"return_code":"0"' in got.text),
    ("missing_return_code", lambda got: '"return_code"' not in got.text),
    ("duplicate_cont_header", lambda got: len(got.header("cont-yn")) == 2),
    ("contradictory_cont_headers", lambda got: sorted(got.header("cont-yn")) == ["N", "Y"]),
    ("upper_case_headers", lambda got: b"\r\nCONT-YN: " in got.head),
    ("no_content_type", lambda got: not got.header("content-type")),
    ("text_plain", lambda got: got.header("content-type") == ["text/plain"]),
    ("maintenance_html_200", lambda got: got.status == 200 and "점검" in got.text),
    ("firewall_html_400", lambda got: got.status == 400 and got.text.startswith("<html>")),
    ("http_5xx:status=502", lambda got: got.status == 502),
    ("redirect_307", lambda got: got.status == 307 and got.header("location") == ["http://127.0.0.1:9/"]),
    ("throttle_429:retry_after=10", lambda got: got.header("retry-after") == ["10"]),
    ("yes_without_key", lambda got: got.header("cont-yn") == ["Y"] and got.header("next-key") == [""]),
    ("long_key", lambda got: len(got.header("next-key")[0]) == 51),
    ("bad_key_crlf", lambda got: got.header("x-injected") == ["1"]),
    ("list_null", lambda got: '"inds_stkpc":null' in got.text),
    ("list_object", lambda got: '"inds_stkpc":{' in got.text),
    ("surrogate_name", lambda got: "\\ud800" in got.text),
    ("nul_name", lambda got: "\\u0000" in got.text),
]  # fmt: skip


def _announced(got: Seen) -> int:
    return int(got.header("content-length")[0])


@pytest.mark.parametrize(("spec", "holds"), SHAPES, ids=[spec for spec, _ in SHAPES])
async def test_a_fault_does_to_the_bytes_what_its_name_says(spec: str, holds: Callable[[Seen], bool]) -> None:
    async with serving(freeze=OPEN) as client:
        await client.control("PUT", "faults", [spec])
        assert holds(await raw_http_client.page(client.simulator, client.token))


ROWS: list[tuple[str, Callable[[dict[str, object]], bool]]] = [
    ("double_minus", lambda row: str(row["cur_prc"]).startswith("--")),
    ("garbage_number:text=1e9", lambda row: row["cur_prc"] == "1e9"),
    ("blank_rows", lambda row: set(row.values()) == {""}),
    ("missing_field:field=low_pric", lambda row: "low_pric" not in row),
    ("null_field", lambda row: row["cur_prc"] is None),
    ("wrong_type:type=object", lambda row: row["cur_prc"] == {}),
    ("extra_field", lambda row: "new_field" in row),
    ("wrong_suffix", lambda row: str(row["stk_cd"]).endswith("_XX")),
    ("huge_number", lambda row: len(str(row["now_trde_qty"])) == 25),
    ("comma_number", lambda row: "," in str(row["now_trde_qty"])),
]


@pytest.mark.parametrize(("spec", "holds"), ROWS, ids=[spec for spec, _ in ROWS])
@pytest.mark.parametrize("count", [1, 3])
async def test_a_row_fault_strikes_as_many_rows_as_it_is_told(
    spec: str, holds: Callable[[dict[str, object]], bool], count: int
) -> None:
    more = "," if ":" in spec else ":"
    async with serving(freeze=OPEN, faults=(f"{spec}{more}rows={count}",)) as client:
        assert sum(holds(row) for row in (await client.page("402")).rows) == count


async def symbols(client: Client, pages: int = 60) -> list[str]:
    return [row["stk_cd"] for got in await client.walk("001", pages=pages) for row in got.rows]


@pytest.mark.parametrize(
    ("spec", "missing", "doubled"),
    [("shifted_rows", 1, 0), ("shifted_rows:by=-1", 0, 1), ("shifted_rows:by=2,since=9", 2, 0),
     ("dropped_rows:page=3", 1, 0), ("duplicated_rows:page=3,rows=2", 0, 2),
     ("short_middle_page:page=4", 37, 0), ("early_end:at=24", 77, 0)],
)  # fmt: skip
async def test_rows_go_missing_and_come_twice_as_told(spec: str, missing: int, doubled: int) -> None:
    async with serving(freeze=OPEN, faults=(spec,)) as client:
        got = Counter(await symbols(client))
        expected = {row["stk_cd"] for row in client.simulator.rows(Target(Market.KOSPI, "001", Exchange.KRX))}
        assert len(expected - got.keys()) == missing
        # What lies beyond the end of a list that moved is not there to be shown.
        assert sum(count - 1 for count in got.values()) == doubled


@pytest.mark.parametrize(
    ("spec", "keys"),
    [("repeated_key", 1), ("cycling_keys", 3), ("endless_new_keys", 29), ("endless_empty_pages", 29)],
)
async def test_endless_walks_never_end(spec: str, keys: int) -> None:
    async with serving(freeze=OPEN, faults=(spec,)) as client:
        walked = await client.walk("001", pages=30)
        assert len(walked) == 30
        assert len({got.headers["next-key"] for got in walked[1:]}) == keys


async def test_a_token_dies_in_the_middle_of_a_walk_and_stays_dead() -> None:
    async with serving(freeze=OPEN, faults=("token_8005:page=3,times=1",)) as client:
        walked = await client.walk("001")
        assert [got.code for got in walked] == ["", "", "8005"]
        assert (await client.page("402")).code == "8005"
        await client.issue()
        assert len(await client.walk("001")) == 25


async def test_stale_shows_the_final_state_of_the_session_before() -> None:
    async with serving(freeze=OPEN, faults=("stale",)) as client:
        thursday = datetime(2026, 11, 19, 20, 0, tzinfo=KST)
        shown = client.simulator.rows(Target(Market.KOSPI100, "402", Exchange.KRX), thursday)
        assert (await client.page("402")).rows == shown


async def test_wrong_market_shows_the_other_board() -> None:
    async with serving(freeze=OPEN, faults=("wrong_market:sector=001",)) as client:
        expected = client.simulator.rows(Target(Market.KOSDAQ, "101", Exchange.KRX))[:100]
        assert (await client.page("001")).rows == expected


@pytest.mark.parametrize(
    ("conditions", "struck"),
    [("", "1111111111"), ("first=2", "1100000000"), ("after=3", "0001111111"), ("every=3", "0010010010"),
     ("times=4", "1111000000"), ("after=2,first=3", "0011100000"), ("after=1,every=4,times=1", "0000100000"),
     ("p=0", "0000000000"), ("sector=001", "0000000000"), ("sector=402,exchange=KRX", "1111111111"),
     ("exchange=NXT", "0000000000"), ("page=2", "0000000000"), ("page=last", "1111111111"),
     ("api=ka10081", "0000000000")],
)  # fmt: skip
async def test_conditions_choose_the_requests_that_are_struck(conditions: str, struck: str) -> None:
    async with serving(freeze=OPEN, faults=(f"error_1999:{conditions}",)) as client:
        got = [(await client.page("402")).code for _ in range(10)]
        assert "".join("1" if code else "0" for code in got) == struck


@pytest.mark.parametrize(
    ("agent", "status"),
    [(None, 400), ("collector/1.0", 200), ("", 200)],
    ids=["aiohttp's own", "ours", "none"],
)
async def test_the_firewall_can_be_told_whom_to_refuse(agent: str | None, status: int) -> None:
    """As aiohttp's default was seen to be: the client of these tests is aiohttp."""
    headers = {} if agent is None else {"User_Agent": agent}
    async with serving(freeze=OPEN) as client:
        await client.control("PUT", "faults", ["firewall_html_400:agent=aiohttp"])
        assert (await client.status(**headers)) == status


async def test_probability_is_seeded() -> None:
    runs = []
    for seed in (1, 1, 2):
        async with serving(freeze=OPEN, seed=seed, faults=("error_1999:p=0.3",)) as client:
            runs.append([(await client.page("402")).code for _ in range(40)])
    assert runs[0] == runs[1] != runs[2]
    assert 3 < sum(bool(code) for code in runs[0]) < 25


async def test_faults_are_switched_while_it_runs_and_count_what_they_struck() -> None:
    async with serving(freeze=OPEN) as client:
        await client.control(
            "PUT", "faults", {"faults": [{"error_1999": {"first": 1}}, "latency_spike:seconds=0"]}
        )
        await client.page("402")
        await client.page("402")
        assert await client.control("GET", "faults") == {
            "faults": [
                {"fault": "error_1999:first=1", "seen": 2, "struck": 1},
                {"fault": "latency_spike:seconds=0", "seen": 2, "struck": 2},
            ]
        }
        assert await client.control("DELETE", "faults") == {"faults": []}


async def test_a_set_of_faults_that_is_not_understood_changes_nothing() -> None:
    async with serving(faults=("error_1999",)) as client:
        assert "did you mean" in (await client.control("PUT", "faults", ["bom", "throtle_429"]))["error"]
        assert len((await client.control("GET", "faults"))["faults"]) == 1


@pytest.mark.parametrize(
    ("spec", "says"),
    [("throtle_200", "did you mean 'throttle_200'"), ("bom:pagee=3", "did you mean 'page'"),
     ("bom:page=x", "whole number"), ("bom:p=2", "from 0 to 1"), ("bom:p=x", "from 0 to 1"),
     ("bom:first", "not key=value"), ("reset_body:at=x", "not of type int")],
)  # fmt: skip
def test_a_switch_that_is_not_understood_is_refused_with_what_is_allowed(spec: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(spec)


@pytest.mark.parametrize("document", [{"other": []}, "bom", [{"a": 1, "b": 2}], [3]])
def test_a_file_of_faults_is_a_list(document: object) -> None:
    with pytest.raises(ValueError, match=r"must be a list|is not a fault"):
        specs_of(document)


def test_every_fault_says_what_it_does_and_belongs_to_a_kind() -> None:
    assert all(fault.about for fault in FAULTS.values())
    assert {fault.home for fault in FAULTS.values()} == {module.__name__ for module in KINDS.values()}
