"""The calls that can vouch for a walk, as the simulator plays them: the facts of Kiwoom's own captures."""

from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from collector.market.sectors import bundled_sectors
from collector.model import KST, Exchange
from tests.support.api_client import Client, serving

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
COUNTS = ("upl", "rising", "stdns", "fall", "lst", "flo_stk_num")


async def indices(client: Client, sector: str = "001") -> dict[str, dict[str, str]]:
    got = await client.post("/api/dostk/sect", "ka20003", {"inds_cd": sector})
    return {row["stk_cd"]: row for row in got.rows}


async def listings(client: Client, board: str) -> list[dict[str, str]]:
    return (await client.post("/api/dostk/stkinfo", "ka10099", {"mrkt_tp": board})).rows


def traded(rows: list[dict[str, str]]) -> int:
    return sum(row["now_trde_qty"] != "0" for row in rows)


@pytest.mark.parametrize(
    ("board", "codes"), [("001", ["002", "008", "013", "027"]), ("101", ["106", "124", "139"])]
)
async def test_counts_bracket_the_members_that_have_traded(board: str, codes: list[str]) -> None:
    async with serving(freeze=OPEN) as client:
        levels = await indices(client, board)
        for code in codes:
            rows = client.simulator.market.rows(code, Exchange.KRX, OPEN)
            signs = Counter(row["pred_pre_sig"] for row in rows if row["now_trde_qty"] != "0")
            level = levels[code]
            assert int(level["flo_stk_num"]) == len(rows)
            assert int(level["rising"]) == signs["1"] + signs["2"]
            assert int(level["rising"]) + int(level["stdns"]) + int(level["fall"]) == traded(rows)
            volume = sum(int(row["now_trde_qty"]) for row in rows)
            assert int(level["trde_qty"]) == volume // 1_000


async def test_001_leaves_out_funds_traded_as_listings() -> None:
    async with serving(freeze=OPEN) as client:
        kinds = Counter(row["marketCode"] for row in await listings(client, "0"))
        level = (await indices(client))["001"]
        assert int(level["flo_stk_num"]) == sum(kinds.values()) - kinds["8"] - kinds["60"]
        assert kinds["8"] > 1_000
        assert kinds["60"] > 300


async def test_an_index_without_members_has_no_counts_but_a_level() -> None:
    async with serving(freeze=OPEN) as client:
        levels = await indices(client)
        for code in ("603", "604", "605"):
            assert [levels[code][name] for name in COUNTS] == ["0"] * 6
            assert float(levels[code]["cur_prc"]) != 0
        assert [int(levels[code]["trde_qty"]) > 0 for code in ("603", "604", "605")] == [False, True, True]


@pytest.mark.parametrize(("board", "sector"), [("0", "001"), ("10", "101")])
async def test_listings_are_those_of_the_whole_board(board: str, sector: str) -> None:
    async with serving(freeze=OPEN) as client:
        market, rows = client.simulator.market, await listings(client, board)
        assert [row["code"] for row in rows] == [
            member.symbol for member in market.members(sector, Exchange.KRX)
        ]
        on_nxt = [row["code"] for row in rows if row["nxtEnable"] == "Y"]
        assert on_nxt == [member.symbol for member in market.members(sector, Exchange.NXT)]


@pytest.mark.parametrize(
    ("board", "field", "sector"),
    [("0", "upName", "013"), ("10", "upName", "124"), ("0", "upSizeName", "003"), ("10", "upSizeName", "139"),
     ("10", "companyClassName", "143")],
)  # fmt: skip
async def test_listings_name_the_sectors_of_each(board: str, field: str, sector: str) -> None:
    async with serving(freeze=OPEN) as client:
        name = bundled_sectors()[sector].name_ko
        rows = [row["code"] for row in await listings(client, board) if row[field] == name]
        assert rows == [member.symbol for member in client.simulator.market.members(sector, Exchange.KRX)]


@pytest.mark.parametrize(
    ("at", "closed", "day"),
    [
        (OPEN, False, date(2026, 11, 20)),
        (OPEN, True, date(2026, 11, 19)),
        (OPEN + timedelta(days=1), False, date(2026, 11, 20)),
        (OPEN - timedelta(hours=3), False, date(2026, 11, 19)),
    ],
    ids=["open", "unknown closure", "Saturday", "before the opening"],
)
async def test_the_newest_day_is_the_session_shown(at: datetime, closed: bool, day: date) -> None:
    async with serving(freeze=at, closed=closed) as client:
        got = await client.post("/api/dostk/sect", "ka20009", {"mrkt_tp": "0", "inds_cd": "001"})
        days = [row["dt_n"] for row in got.rows]
        assert days[0] == f"{day:%Y%m%d}"
        assert len(days) == 20
        assert days == sorted(days, reverse=True)


async def test_flows_have_a_past_and_signed_zeros() -> None:
    async with serving(freeze=OPEN) as client:
        fields = {"mrkt_tp": "0", "amt_qty_tp": "0", "stex_tp": "1"}

        async def ask(day: str) -> list[dict[str, str]]:
            return (await client.post("/api/dostk/sect", "ka10051", {**fields, "base_dt": day})).rows

        newer, older, weekend = await ask("20261119"), await ask("20261118"), await ask("20261115")
        assert newer != older
        assert newer == await ask("20261119")
        assert weekend == []
        assert all(row["frgnr_netprps"][0] in "+-" for row in newer)


async def test_index_bars_go_back_page_by_page() -> None:
    async with serving(freeze=OPEN) as client:
        fields = {"inds_cd": "013", "base_dt": "20261119"}
        got = await client.post("/api/dostk/chart", "ka20006", fields)
        again = {"cont_yn": "Y", "next_key": got.headers["next-key"]}
        older = await client.post("/api/dostk/chart", "ka20006", fields, **again)
        assert got.rows[0]["dt"] == "20261119"
        assert older.rows[0]["dt"] < got.rows[-1]["dt"]
        assert older.headers["cont-yn"] == "N"


async def test_the_sectors_without_members_carry_another_market_code() -> None:
    async with serving(freeze=OPEN) as client:
        rows = {
            row["code"]: row
            for row in (await client.post("/api/dostk/stkinfo", "ka10101", {"mrkt_tp": "0"})).rows
        }
        assert len(rows) == 31
        assert {code for code, row in rows.items() if row["marketCode"] == "6"} == {"603", "604", "605"}
        assert [rows[code]["group"] for code in ("001", "030", "603", "605")] == ["1", "30", "3", "5"]


async def test_lagging_counts_are_those_of_an_earlier_moment() -> None:
    async with serving(freeze=OPEN) as client:
        await client.control("PUT", "faults", ["lagging_counts:seconds=600"])
        late = await indices(client)
        await client.control("PUT", "faults", [])
        client.simulator.clock.turn(at=OPEN - timedelta(seconds=600))
        assert await indices(client) == late
