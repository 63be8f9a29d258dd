"""Faults of rows: numbers, symbols and names outside the documented form."""

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Row, row_fault

_PRICES = ("cur_prc", "sel_bid", "buy_bid", "open_pric", "high_pric", "low_pric")


def _digits(row: Row, field: str) -> str:
    return str(row.get(field, "")).lstrip("+-")


@row_fault("all fields of a row are empty texts")
def blank_rows(row: Row, case: FaultContext, args: Args) -> None:
    row.update(dict.fromkeys(row, ""))


@row_fault('a price with two signs: "--123"', field="cur_prc")
def double_minus(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = "--" + (_digits(row, args.text("field")) or "123")


@row_fault("a text in place of a number", field="cur_prc", text="abc")
def garbage_number(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = args.text("text")


@row_fault('a number with digit groups: "1,234"', field="now_trde_qty")
def comma_number(row: Row, case: FaultContext, args: Args) -> None:
    field = args.text("field")
    text = str(row[field])
    sign = text[: len(text) - len(_digits(row, field))]
    row[field] = f"{sign}{int(_digits(row, field)):,}"


@row_fault('a number padded with zeros: "00001234"', field="now_trde_qty", width=12)
def padded_number(row: Row, case: FaultContext, args: Args) -> None:
    field = args.text("field")
    row[field] = str(row[field]).zfill(args.number("width"))


@row_fault('a number between blanks: " 1234 "', field="cur_prc")
def blank_around_number(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = f"  {row[args.text('field')]} "


@row_fault("an empty text in place of a number", field="sel_bid")
def empty_number(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = ""


@row_fault('a signed zero: "-0"', field="pred_pre")
def minus_zero(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = "-0"


@row_fault("a number in full-width digits", field="cur_prc")
def full_width_number(row: Row, case: FaultContext, args: Args) -> None:
    digits = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
    row[args.text("field")] = str(row[args.text("field")]).translate(digits)


@row_fault("a number of this many digits", field="now_trde_qty", digits=25)
def huge_number(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = "9" * args.number("digits")


@row_fault("a volume of -1 as an unsigned number", field="now_trde_qty")
def unsigned_number(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = "4294967295"


@row_fault("a field is absent", field="cur_prc")
def missing_field(row: Row, case: FaultContext, args: Args) -> None:
    row.pop(args.text("field"), None)


@row_fault("an undocumented field", field="new_field", text="1")
def extra_field(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = args.text("text")


@row_fault("a field has another name", field="cur_prc", to="curPrc")
def renamed_field(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("to")] = row.pop(args.text("field"), "")


@row_fault("a field is null", field="cur_prc")
def null_field(row: Row, case: FaultContext, args: Args) -> None:
    row[args.text("field")] = None


@row_fault("a field is a number, a list or an object instead of a text", field="cur_prc", type="number")
def wrong_type(row: Row, case: FaultContext, args: Args) -> None:
    values: dict[str, object] = {"number": 123, "float": 1.5, "list": [], "object": {}, "bool": True}
    row[args.text("field")] = values[args.text("type")]


@row_fault("a symbol without the suffix of the exchange asked for, or with another one", suffix="_XX")
def wrong_suffix(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_cd"] = str(row["stk_cd"]).partition("_")[0] + args.text("suffix")


@row_fault("a symbol of an invalid form", text="12345é")
def bad_symbol(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_cd"] = args.text("text")


@row_fault("a listing of another market", text="999990")
def foreign_symbol(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_cd"] = args.text("text") + str(row["stk_cd"])[6:]


@row_fault("a name with a script in it, for pages without escaping")
def script_name(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_nm"] = "<script>alert('1')</script>\"&amp;"


@row_fault("a name with a NUL in it")
def nul_name(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_nm"] = f"{row['stk_nm']}\x00"


@row_fault("a name with control characters, an escape sequence and a line end in it")
def control_name(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_nm"] = f"{row['stk_nm']}\x1b[31m\r\nlevel=error"


@row_fault("a name with half a surrogate pair in it (escaped, as broken encoders write it)")
def surrogate_name(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_nm"] = f"{row['stk_nm']}\ud800"


@row_fault("a name of this many characters", length=5000)
def long_name(row: Row, case: FaultContext, args: Args) -> None:
    row["stk_nm"] = "긴" * args.number("length")


@row_fault("impossible prices: high below low, the price outside both, a zero price with a volume")
def price_absurd(row: Row, case: FaultContext, args: Args) -> None:
    row.update(cur_prc="0", high_pric="-10", low_pric="+99999999", now_trde_qty="7")
