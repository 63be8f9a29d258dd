"""A walk is complete only if nothing speaks against it, and what does is named."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.certify import PAGE_ROWS, certify, members_digest
from collector.model import (
    BadRow,
    Exchange,
    Known,
    Market,
    Page,
    Reading,
    Remark,
    Sector,
    Snapshot,
    Snapshots,
    Status,
    Target,
)
from tests.stand import columns

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law

KOSPI = Target(Market.KOSPI, "001", Exchange.KRX)
NXT = KOSPI._replace(exchange=Exchange.NXT)
SLOT = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
NOTHING = Known()
BAD = BadRow("{}", "does not decode")
COMPOSITE = Sector("001", Market.KOSPI, "종합(KOSPI)", members=2477)
VOLATILITY = Sector("603", Market.KOSPI, "변동성지수", index_only=True)


def listed(count: int, start: int = 1) -> list[str]:
    return [f"{number * 10:06d}" for number in range(start, start + count)]


def listings(symbols: Sequence[str]) -> Snapshots:
    return columns(
        Snapshot(symbol, symbol, 1, 0, 0, 3, 0, None, None, None, None, None) for symbol in symbols
    )


def pages(symbols: Sequence[str], size: int = PAGE_ROWS) -> list[Page]:
    """The pages of a server that does as documented."""
    cut = [symbols[start : start + size] for start in range(0, len(symbols), size)] or [[]]
    keys = [f"k{number}" for number in range(1, len(cut))] + [None]
    return [Page(listings(part), key, announced=len(part)) for part, key in zip(cut, keys, strict=True)]


def reading(walked: Sequence[Page], target: Target = KOSPI, stopped: Remark | None = None) -> Reading:
    return Reading(target, SLOT, walked, SLOT, [SLOT] * len(walked), len(walked), stopped)


def remarks(
    walked: Sequence[Page],
    known: Known = NOTHING,
    *,
    target: Target = KOSPI,
    sector: Sector | None = None,
    boards: dict[str, Market] | None = None,
    stopped: Remark | None = None,
) -> tuple[Remark, ...]:
    certificate = certify(reading(walked, target, stopped), known, sector=sector, boards=boards or {})
    assert certificate.status is (Status.SUSPECT if certificate.remarks else Status.COMPLETE)
    return certificate.remarks


def known(symbols: Sequence[str], day: date = TODAY) -> Known:
    digest = members_digest(reading(pages(symbols)))
    return Known(rows=len(symbols), day=day, members=digest, last_members=digest)


@pytest.mark.parametrize("count", [1, 62, 99, 100, 101, 200, 2477])
@pytest.mark.parametrize("before", [None, TODAY, YESTERDAY])
def test_a_walk_as_documented_is_complete(count, before):
    symbols = listed(count)
    assert remarks(pages(symbols), known(symbols, before) if before else Known()) == ()


def test_a_server_may_have_larger_pages():
    assert remarks(pages(listed(450), size=200)) == ()


@pytest.mark.parametrize("stopped", [Remark.REPEATED_KEY, Remark.PAGE_CAP, Remark.EMPTY_PAGE])
def test_a_walk_that_was_broken_off_says_why(stopped):
    assert remarks(pages(listed(300))[:2], stopped=stopped) == (stopped,)


def test_a_remark_stands_once():
    empty = Page(columns([]), "k", announced=0)
    assert remarks([*pages(listed(100)), empty, empty, empty], stopped=Remark.EMPTY_PAGE) == (
        Remark.EMPTY_PAGE,
    )


FULL, SECOND, LAST = pages(listed(250))
BETWEEN = replace(LAST, rows=listings(["000505", "000995"]), announced=2)

SHAPES = [
    pytest.param([FULL, SECOND], Remark.NO_END, id="another page was announced"),
    pytest.param(
        [FULL, replace(SECOND, rows=listings(SECOND.rows.symbol[:63]), announced=63), LAST],
        Remark.SHORT_PAGE,
        id="short page",
    ),
    pytest.param(
        [replace(FULL, rows=listings(FULL.rows.symbol[:1]), announced=1), LAST],
        Remark.SHORT_PAGE,
        id="short first page",
    ),
    pytest.param(
        [FULL, Page(columns([]), "k", announced=0), LAST], Remark.EMPTY_PAGE, id="empty page in between"
    ),
    pytest.param([FULL, Page(columns([]), None, announced=0)], Remark.EMPTY_PAGE, id="empty last page"),
    pytest.param([FULL, replace(LAST, end_unsaid=True)], Remark.NO_END, id="nobody said that it ends"),
    pytest.param([FULL, replace(LAST, announced=51)], Remark.PAGE_COUNT, id="a row fewer than counted"),
    pytest.param([FULL, replace(LAST, announced=49)], Remark.PAGE_COUNT, id="a row more than counted"),
    pytest.param([replace(FULL, announced=-1), LAST], Remark.PAGE_COUNT, id="no count"),
    pytest.param([SECOND, FULL, LAST], Remark.PAGE_ORDER, id="pages swapped"),
    pytest.param([FULL, BETWEEN], Remark.PAGE_ORDER, id="a page that lies within another"),
    pytest.param(
        [FULL, replace(LAST, bad=[BAD], announced=51)], Remark.UNDECODED, id="a row that does not decode"
    ),
    pytest.param([FULL, replace(LAST, wrong_suffix=1)], Remark.WRONG_SUFFIX, id="a wrong suffix"),
]


@pytest.mark.parametrize(("walked", "remark"), SHAPES)
def test_a_walk_of_the_wrong_shape_is_suspect(walked, remark):
    assert remarks(walked) == (remark,)


def test_a_server_that_does_not_count_is_believed():
    assert remarks([replace(page, announced=None) for page in (FULL, SECOND, LAST)]) == ()


def test_rows_that_do_not_decode_do_not_make_a_page_short():
    assert remarks([replace(FULL, rows=listings(FULL.rows.symbol[1:]), bad=[BAD]), LAST]) == (
        Remark.UNDECODED,
    )


@pytest.mark.parametrize("last", [[], ["00104K"]], ids=["at the end of a page", "at the end of both"])
def test_codes_with_letters_may_stand_anywhere(last):
    walked = pages([*listed(99), "0126Z0", *listed(50, 150), *last])
    assert remarks(walked) == ()


def test_a_page_that_begins_with_the_end_of_the_one_before_is_in_order():
    assert remarks(pages([*listed(100), *listed(50, 100)])) == (Remark.DUPLICATE_SYMBOL,)


def test_a_list_in_another_order_than_the_codes_is_not_judged_by_it():
    assert remarks(pages([*listed(150, 500), *listed(100)])) == ()


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        (2477, 2477, ()),
        (2477, 2428, ()),
        (2477, 2427, (Remark.ROW_COUNT,)),
        (2477, 2526, ()),
        (2477, 2527, (Remark.ROW_COUNT,)),
        (62, 59, ()),
        (62, 58, (Remark.ROW_COUNT,)),
        (0, 3, ()),
        (0, 4, (Remark.ROW_COUNT,)),
    ],
)
def test_the_rows_lie_near_those_of_the_day_before(before, count, expected):
    assert remarks(pages(listed(count)), known(listed(before), YESTERDAY)) == expected


@pytest.mark.parametrize("count", [2476, 2477, 2478])
def test_within_the_day_the_members_stay_the_same(count):
    assert remarks(pages(listed(count, 2)), known(listed(2477))) == (Remark.MEMBERSHIP,)


def test_a_second_walk_with_the_new_members_confirms_them():
    changed = listed(2477, 2)
    before = replace(known(listed(2477)), last_members=members_digest(reading(pages(changed))))
    assert remarks(pages(changed), before) == ()


def test_another_number_of_rows_is_believed_when_a_second_day_lists_the_same():
    revised = listed(770)
    before = known(listed(800), YESTERDAY)
    agreeing = replace(before, members_before=members_digest(reading(pages(revised))))
    others = replace(before, members_before=members_digest(reading(pages(listed(770, 2)))))
    assert remarks(pages(revised), before) == (Remark.ROW_COUNT,)
    assert remarks(pages(revised), others) == (Remark.ROW_COUNT,)
    assert remarks(pages(revised), agreeing) == ()


def test_the_day_is_koreas():
    """20:00 UTC is the next morning in Seoul, so yesterday's members may have changed."""
    late = replace(reading(pages(listed(50, 2))), slot=datetime(2026, 11, 20, 20, 0, tzinfo=UTC))
    assert certify(late, known(listed(50)), sector=None, boards={}).remarks == ()


@pytest.mark.parametrize(
    ("target", "sector", "count", "expected"),
    [
        pytest.param(KOSPI, COMPOSITE, 1239, (), id="half of the table"),
        pytest.param(KOSPI, replace(COMPOSITE, members=200), 100, (), id="half to the row"),
        pytest.param(KOSPI, COMPOSITE, 1200, (Remark.ROW_COUNT,), id="less than half"),
        pytest.param(KOSPI, COMPOSITE, 100, (Remark.ROW_COUNT,), id="one page"),
        pytest.param(NXT, COMPOSITE, 600, (), id="NXT lists fewer"),
        pytest.param(KOSPI, replace(COMPOSITE, members=None), 1, (), id="nobody counted"),
        pytest.param(KOSPI, None, 1, (), id="not in the table"),
    ],
)
def test_a_first_walk_is_held_against_the_sector_table_coarsely(target, sector, count, expected):
    assert remarks(pages(listed(count)), target=target, sector=sector) == expected


def test_an_earlier_walk_counts_more_than_the_table():
    assert remarks(pages(listed(100)), known(listed(100)), sector=COMPOSITE) == ()


@pytest.mark.parametrize(
    ("before", "sector", "expected"),
    [
        pytest.param(Known(), None, (Remark.EMPTY,), id="nothing known"),
        pytest.param(Known(), COMPOSITE, (Remark.EMPTY,), id="a sector with members"),
        pytest.param(Known(), VOLATILITY, (), id="index only"),
        pytest.param(Known(rows=0), COMPOSITE, (), id="empty before"),
        pytest.param(Known(rows=62), COMPOSITE, (Remark.EMPTY,), id="not empty before"),
        pytest.param(Known(rows=62), VOLATILITY, (Remark.EMPTY,), id="index only, yet not empty before"),
        pytest.param(Known(none_there=True), COMPOSITE, (), id="none of its members trades there"),
        pytest.param(Known(rows=2, none_there=True), COMPOSITE, (), id="the last two have left"),
        pytest.param(
            Known(rows=4, none_there=True), COMPOSITE, (Remark.EMPTY,), id="four do not leave at once"
        ),
        pytest.param(
            Known(rows=62, none_there=True), COMPOSITE, (Remark.EMPTY,), id="sixty-two cannot leave at once"
        ),
    ],
)
def test_an_empty_answer_is_whole_only_where_it_may_be(before, sector, expected):
    assert remarks(pages([]), before, sector=sector) == expected


def boards(kospi: Sequence[str] = (), kosdaq: Sequence[str] = ()) -> dict[str, Market]:
    return dict.fromkeys(kospi, Market.KOSPI) | dict.fromkeys(kosdaq, Market.KOSDAQ)


@pytest.mark.parametrize(
    ("market", "seen", "expected"),
    [
        pytest.param(Market.KOSPI, {}, (), id="none seen before"),
        pytest.param(Market.KOSPI, boards(listed(100)), (), id="all at home"),
        pytest.param(
            Market.KOSPI, boards(kosdaq=listed(100)), (Remark.FOREIGN,), id="all from the other board"
        ),
        pytest.param(Market.KOSPI, boards(kosdaq=listed(1)), (Remark.FOREIGN,), id="the only one known"),
        pytest.param(Market.KOSPI, boards(listed(95, 6), listed(5)), (), id="one in twenty has moved"),
        pytest.param(Market.KOSPI, boards(listed(94, 7), listed(6)), (Remark.FOREIGN,), id="more than that"),
        pytest.param(
            Market.KOSPI200, boards(kosdaq=listed(100)), (Remark.FOREIGN,), id="KOSPI200 is of KOSPI"
        ),
        pytest.param(Market.KOSDAQ, boards(kosdaq=listed(100)), (), id="KOSDAQ at home"),
        pytest.param(Market.KRX100, boards(listed(50), listed(50, 51)), (), id="KRX100 draws on both"),
    ],
)
def test_symbols_belong_to_the_market_asked_for(market, seen, expected):
    target = KOSPI._replace(market=market)
    assert remarks(pages(listed(100)), target=target, boards=seen) == expected


def test_two_strangers_in_a_small_sector_may_have_moved_and_three_have_not():
    assert remarks(pages(listed(10)), boards=boards(listed(8, 3), listed(2))) == ()
    assert remarks(pages(listed(10)), boards=boards(listed(7, 4), listed(3))) == (Remark.FOREIGN,)


def test_members_are_alike_whatever_their_order_and_pages():
    symbols = listed(250)
    assert members_digest(reading(pages(symbols))) == members_digest(reading(pages(symbols[::-1], 50)))
    assert members_digest(reading(pages(symbols))) != members_digest(reading(pages(symbols[1:])))


def test_members_are_alike_from_one_version_of_the_program_to_the_next():
    """The digest stands in the ledger: were it another, every walk after an update would look like a shift."""
    assert members_digest(reading(pages(["000010", "000020", "0126Z0"]))).hex() == "a01a609272c0b333"


# Laws, for lists of one to five pages.

LISTS = st.builds(
    lambda count, start, step, letters: sorted({f"{start + n * step:06d}" for n in range(count)} | letters),
    st.integers(1, 450),
    st.integers(1, 100_000),
    st.integers(1, 1000),
    st.sets(st.integers(0, 9999).map("{:04d}Z0".format), max_size=3),
)
lawful = settings(unhurried, max_examples=50)


@lawful
@given(LISTS, st.sampled_from([TODAY, YESTERDAY]), st.sampled_from([None, COMPOSITE]))
def test_clean_walks_are_never_flagged(symbols, day, sector):
    walked = pages(symbols)
    home = boards(symbols)
    assert remarks(walked, known(symbols, day), sector=sector, boards=home) == ()
    assert remarks(walked, known(symbols[:-1] or symbols, YESTERDAY), boards=home) == ()
    assert remarks(walked) == ()


@lawful
@given(LISTS, st.data())
def test_a_walk_cut_after_any_page_is_never_complete(symbols, data):
    walked = pages(symbols)
    kept = data.draw(st.integers(1, len(walked)))
    assert (remarks(walked[:kept]) == ()) is (kept == len(walked))


@lawful
@given(LISTS, st.data())
def test_a_page_that_came_twice_is_flagged_wherever_it_stands(symbols, data):
    walked = pages(symbols)
    again, place = (data.draw(st.integers(0, len(walked) - 1)) for _ in range(2))
    walked.insert(place, replace(walked[again], next_key="again"))
    assert Remark.DUPLICATE_SYMBOL in remarks(walked)


@lawful
@given(LISTS.filter(lambda symbols: len(symbols) > PAGE_ROWS), st.data())
def test_a_page_that_is_missing_is_flagged_against_the_walk_before(symbols, data):
    walked = pages(symbols)
    del walked[data.draw(st.integers(0, len(walked) - 1))]
    walked[-1] = replace(walked[-1], next_key=None)
    assert remarks(walked, known(symbols))


@lawful
@given(LISTS, st.data())
def test_a_row_lost_or_doubled_inside_a_page_is_flagged_with_nothing_known(symbols, data):
    walked = pages(symbols)
    number = data.draw(st.integers(0, len(walked) - 1))
    rows = list(walked[number].rows.symbol)
    place = data.draw(st.integers(0, len(rows) - 1))
    rows[place : place + 1] = data.draw(st.sampled_from([[], [rows[place]] * 2]))
    walked[number] = replace(walked[number], rows=listings(rows))
    assert Remark.PAGE_COUNT in remarks(walked)


@lawful
@given(LISTS.filter(lambda symbols: len(symbols) > PAGE_ROWS), st.data())
def test_a_shifted_list_is_flagged_within_the_day(symbols, data):
    """One listing leaves between two pages: the row that would have opened the next page is never seen."""
    page = data.draw(st.integers(1, (len(symbols) - 1) // PAGE_ROWS))
    seen = symbols[: page * PAGE_ROWS] + symbols[page * PAGE_ROWS + 1 :]
    assert remarks(pages(seen), known(symbols)) == (Remark.MEMBERSHIP,)


def test_the_page_of_another_target_is_flagged_with_nothing_known():
    walked = pages(listed(450, 1000))
    for number in range(1, 5):
        stray = pages(listed(100))[0]
        mixed = [*walked[:number], replace(stray, next_key=walked[number].next_key), *walked[number + 1 :]]
        assert Remark.PAGE_ORDER in remarks(mixed)
