"""Faults of the calls that can vouch for a walk: lists and counts that mislead."""

from datetime import date, timedelta

from collector.market.sectors import bundled_sectors
from collector.model import Market
from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault, put_rows, rows_of
from kiwoom_simulator.market import board_list, indices
from kiwoom_simulator.market.sessions import Moments

_COUNTS = ("upl", "rising", "stdns", "fall", "lst", "flo_stk_num", "trde_qty", "trde_prica")


@fault(Stage.REPLY, "return code 0 beside an empty list, as ka20003 was seen to answer")
def empty_list(case: FaultContext, args: Args) -> None:
    case.reply.rows, case.reply.count = b"[]", 0


@fault(Stage.REPLY, "a list of listings without its last rows, the end said", apis="ka10099", rows=100)
def listings_truncated(case: FaultContext, args: Args) -> None:
    put_rows(case, rows_of(case)[: -args.number("rows")])


@fault(Stage.REPLY, "a list of listings with some of them twice", apis="ka10099", rows=3)
def listings_doubled(case: FaultContext, args: Args) -> None:
    rows = rows_of(case)
    put_rows(case, [*rows, *rows[: args.number("rows")]])


@fault(Stage.REPLY, "the listings of the other board", apis="ka10099")
def listings_of_other_board(case: FaultContext, args: Args) -> None:
    asked = case.call.fields.get("mrkt_tp")
    board = Market.KOSPI if asked == "10" else Market.KOSDAQ
    rows = board_list.board_rows(case.market, bundled_sectors(), board, case.moments)
    put_rows(case, [dict(row) for row in rows])


@fault(Stage.REPLY, "all counts zero", apis="ka20003")
def zero_counts(case: FaultContext, args: Args) -> None:
    put_rows(case, [row | dict.fromkeys(_COUNTS, "0") for row in rows_of(case)])


@fault(Stage.REPLY, "text in place of counts", apis="ka20003", text="-")
def text_counts(case: FaultContext, args: Args) -> None:
    put_rows(case, [row | dict.fromkeys(_COUNTS, args.text("text")) for row in rows_of(case)])


@fault(Stage.REPLY, "counts of some seconds ago", apis="ka20003", seconds=10)
def lagging_counts(case: FaultContext, args: Args) -> None:
    day, second = case.moments.krx
    opening = case.market.sessions.hours(day).krx_open
    earlier = Moments(
        case.moments.krx._replace(second=max(opening, second - args.number("seconds"))), case.moments.nxt
    )
    sectors = bundled_sectors()
    put_rows(
        case,
        [
            dict(indices.line(sectors[code], indices.state(case.market, code, earlier)))
            for code in (str(row["stk_cd"]) for row in rows_of(case))
        ],
    )


@fault(Stage.REPLY, "volumes that take in off-hours trades", apis="ka20003", percent=1)
def off_hours_volume(case: FaultContext, args: Args) -> None:
    rows = rows_of(case)
    for row in rows:
        row["trde_qty"] = str(int(str(row["trde_qty"])) * (100 + args.number("percent")) // 100)
    put_rows(case, rows)


@fault(Stage.REPLY, "the newest day is missing, so yesterday's date is shown", apis="ka20009", days=1)
def old_date(case: FaultContext, args: Args) -> None:
    put_rows(case, rows_of(case)[args.number("days") :])


@fault(Stage.REPLY, "the newest day lies in the future", apis="ka20009", days=1)
def future_date(case: FaultContext, args: Args) -> None:
    rows = rows_of(case)
    day = date.fromordinal(case.moments.krx.day) + timedelta(days=args.number("days"))
    put_rows(case, [rows[0] | {"dt_n": f"{day:%Y%m%d}"}, *rows])


@fault(
    Stage.REPLY,
    "a listing that no walk has, in the groups of the listing `like`",
    apis="ka10099",
    like="",
    code="999990",
)
def listings_stranger(case: FaultContext, args: Args) -> None:
    rows = rows_of(case)
    like = next((row for row in rows if row["code"] == args.text("like")), rows[0])
    put_rows(case, [*rows, like | {"code": args.text("code")}])
