"""Faults of minute bars: what ka10080 was seen, or must be feared, to do."""

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault, put_rows, rows_of


@fault(Stage.REPLY, "minute bars without the cumulative volume, which no document promises", apis="ka10080")
def absent_total_volume(case: FaultContext, args: Args) -> None:
    put_rows(
        case, [{key: value for key, value in row.items() if key != "acc_trde_qty"} for row in rows_of(case)]
    )


@fault(Stage.REPLY, "minute bars labelled on the half minute", apis="ka10080")
def half_minute_labels(case: FaultContext, args: Args) -> None:
    put_rows(case, [row | {"cntr_tm": f"{str(row['cntr_tm'])[:-2]}30"} for row in rows_of(case)])


@fault(
    Stage.REPLY,
    "a page of minute bars that lacks the first `bars` of its newest day",
    apis="ka10080",
    bars=30,
)
def cut_day(case: FaultContext, args: Args) -> None:
    rows = rows_of(case)
    day = [row for row in rows if str(row["cntr_tm"])[:8] == str(rows[0]["cntr_tm"])[:8]] if rows else []
    put_rows(case, day[: -args.number("bars")])


@fault(Stage.REPLY, "no minute bars at all, and no further page", apis="ka10080")
def empty_day(case: FaultContext, args: Args) -> None:
    put_rows(case, [])
    case.reply.next_key = None
