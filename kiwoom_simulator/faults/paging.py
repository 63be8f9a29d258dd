"""Faults of continuation: repeated keys, walks that end too early or never, pages of the wrong size."""

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault, put_rows, rows_of
from kiwoom_simulator.market.market import PAGE
from kiwoom_simulator.market.sessions import Moments
from kiwoom_simulator.server.protocol import PagePosition


def _key(case: FaultContext, page: int) -> str:
    return case.key_of(PagePosition(case.place.walk, page))


def _show(case: FaultContext, start: int, *, sector: str = "", moments: Moments | None = None) -> None:
    """Put a page of rows in place, beginning at `start`; optionally of another sector or moment."""
    exchange = case.call.exchange
    if exchange is None:
        return
    listings = case.market.members(sector or case.call.sector, exchange)[start : start + PAGE]
    put_rows(
        case, [dict(case.market.row(listing, exchange, moments or case.moments)) for listing in listings]
    )


def _show_page(case: FaultContext, page: int) -> None:
    """Put a page of the same walk in place, as it is without a fault."""
    sector, exchange = case.call.sector, case.call.exchange
    if exchange is None:
        return
    case.reply.rows = case.market.page(sector, exchange, page, case.moments)
    case.reply.count = len(case.market.members(sector, exchange)[(page - 1) * PAGE : page * PAGE])


def _start(case: FaultContext) -> int:
    return (case.place.page - 1) * PAGE


def _show_nothing(case: FaultContext) -> None:
    case.reply.rows, case.reply.count = b"[]", 0


@fault(Stage.REPLY, "the same next key again and again, with the same page", apis="ka20002")
def repeated_key(case: FaultContext, args: Args) -> None:
    case.reply.next_key = _key(case, max(2, case.place.page))


@fault(
    Stage.REPLY,
    "next keys repeat: the walk is a cycle of this many pages",
    apis="ka20002",
    length=3,
)
def cycling_keys(case: FaultContext, args: Args) -> None:
    case.reply.next_key = _key(case, case.place.page % args.number("length") + 1)


@fault(Stage.REPLY, "always another page with a new key: the walk restarts behind its end", apis="ka20002")
def endless_new_keys(case: FaultContext, args: Args) -> None:
    _show_page(case, (case.place.page - 1) % case.pages + 1)
    case.reply.next_key = _key(case, case.place.page + 1)


@fault(Stage.REPLY, "cont-yn Y with resp-cnt 0 for ever, from page `since` on", apis="ka20002", since=2)
def endless_empty_pages(case: FaultContext, args: Args) -> None:
    if case.place.page >= args.number("since"):
        _show_nothing(case)
    case.reply.next_key = _key(case, case.place.page + 1)


@fault(Stage.REPLY, "cont-yn Y without a next key", apis="ka20002")
def yes_without_key(case: FaultContext, args: Args) -> None:
    case.reply.next_key = ""


@fault(Stage.REPLY, "a next key of excessive length", apis="ka20002", length=51)
def long_key(case: FaultContext, args: Args) -> None:
    case.reply.next_key = "N" * args.number("length")


@fault(Stage.REPLY, "a next key with Hangul in it (raw UTF-8 in the header)", apis="ka20002")
def non_ascii_key(case: FaultContext, args: Args) -> None:
    case.reply.next_key = "다음키123"


@fault(Stage.REPLY, "a next key with CR and LF in it: the header is cut in two", apis="ka20002")
def bad_key_crlf(case: FaultContext, args: Args) -> None:
    case.reply.next_key = "N123\r\nx-injected: 1"


@fault(Stage.REPLY, "a next key with a control character in it", apis="ka20002")
def control_key(case: FaultContext, args: Args) -> None:
    case.reply.next_key = "N12\x0b3"


@fault(Stage.REPLY, "the first page is empty and says it is the last", apis="ka20002")
def empty_first_page(case: FaultContext, args: Args) -> None:
    if case.place.page == 1:
        _show_nothing(case)
        case.reply.next_key = None


@fault(Stage.REPLY, "the last page is followed by an empty one", apis="ka20002")
def empty_last_page(case: FaultContext, args: Args) -> None:
    if case.place.page == case.pages:
        case.reply.next_key = _key(case, case.place.page + 1)


@fault(Stage.REPLY, "a page between first and last lacks its last rows", apis="ka20002", drop=37)
def short_middle_page(case: FaultContext, args: Args) -> None:
    if 1 < case.place.page < case.pages:
        put_rows(case, rows_of(case)[: -args.number("drop")])


@fault(Stage.REPLY, "the walk ends early, at page `at`", apis="ka20002", at=1)
def early_end(case: FaultContext, args: Args) -> None:
    if case.place.page >= args.number("at"):
        case.reply.next_key = None


@fault(
    Stage.REPLY, "the list moves during the walk: from page `since` on it starts `by` rows later (a row is missed), "
    "or with a negative `by` earlier (a row comes twice)", apis="ka20002", by=1, since=2,
)  # fmt: skip
def shifted_rows(case: FaultContext, args: Args) -> None:
    if case.place.page >= args.number("since"):
        _show(case, _start(case) + args.number("by"))


@fault(Stage.REPLY, "some rows of a page come twice", apis="ka20002", rows=1)
def duplicated_rows(case: FaultContext, args: Args) -> None:
    rows = rows_of(case)
    count = args.number("rows")
    put_rows(case, rows[:count] + rows)


@fault(Stage.REPLY, "some listings are absent", apis="ka20002", rows=1)
def dropped_rows(case: FaultContext, args: Args) -> None:
    put_rows(case, rows_of(case)[args.number("rows") :])


@fault(Stage.REPLY, "each page is in the order of names, not of codes", apis="ka20002")
def rows_by_name(case: FaultContext, args: Args) -> None:
    put_rows(case, sorted(rows_of(case), key=lambda row: str(row["stk_nm"])))


@fault(
    Stage.REPLY,
    "another market's listings, as for a sector outside the market",
    apis="ka20002",
)
def wrong_market(case: FaultContext, args: Args) -> None:
    _show(case, _start(case), sector="101" if case.call.sector.startswith("0") else "001")


@fault(
    Stage.REPLY,
    "the final state of the previous session, as on a holiday absent from the calendar",
    apis="ka20002",
)
def stale(case: FaultContext, args: Args) -> None:
    sessions = case.market.sessions
    _show(case, _start(case), moments=sessions.last(sessions.previous(case.moments.krx.day)))
