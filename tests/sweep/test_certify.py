"""A walk is complete only if nothing speaks against it, and what does is named."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.market.membership import is_copy, members_digest
from collector.model import (
    BadRow,
    Baseline,
    Certificate,
    EarlierWalk,
    Exchange,
    History,
    Market,
    Page,
    Quote,
    QuoteColumns,
    Remark,
    Sector,
    Status,
    Target,
    WalkResult,
)
from collector.sweep.certify import PAGE_ROWS, bear_out, certify, is_doubtful
from tests.support.harness import columns

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law

KOSPI = Target(Market.KOSPI, "001", Exchange.KRX)
NXT = KOSPI._replace(exchange=Exchange.NXT)
SLOT = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
NOTHING = Baseline()
BAD = BadRow("{}", "does not decode")
COMPOSITE = Sector("001", Market.KOSPI, "종합(KOSPI)", members=2477)
VOLATILITY = Sector("603", Market.KOSPI, "변동성지수", index_only=True)


def listed(count: int, start: int = 1) -> list[str]:
    return [f"{number * 10:06d}" for number in range(start, start + count)]


def listings(symbols: Sequence[str]) -> QuoteColumns:
    return columns(Quote(symbol, symbol, 1, 0, 0, 3, 0, None, None, None, None, None) for symbol in symbols)


def pages(symbols: Sequence[str], size: int = PAGE_ROWS) -> list[Page]:
    """The pages of a server that does as documented."""
    cut = [symbols[start : start + size] for start in range(0, len(symbols), size)] or [[]]
    keys = [f"k{number}" for number in range(1, len(cut))] + [None]
    return [Page(listings(part), key, announced=len(part)) for part, key in zip(cut, keys, strict=True)]


def reading(walked: Sequence[Page], target: Target = KOSPI, stopped: Remark | None = None) -> WalkResult:
    return WalkResult(target, SLOT, walked, SLOT, [SLOT] * len(walked), len(walked), stopped)


def remarks(
    walked: Sequence[Page],
    known: Baseline = NOTHING,
    *,
    target: Target = KOSPI,
    sector: Sector | None = None,
    boards: dict[str, Market] | None = None,
    stopped: Remark | None = None,
) -> tuple[Remark, ...]:
    certificate = certify(reading(walked, target, stopped), known, sector=sector, boards=boards or {})
    assert certificate.status is (Status.SUSPECT if certificate.remarks else Status.COMPLETE)
    return certificate.remarks


def earlier(
    symbols: Sequence[str],
    *marks: Remark,
    slot: datetime = SLOT,
    status: Status = Status.SUSPECT,
    **facts: Any,
) -> EarlierWalk:
    return EarlierWalk(slot, status, marks, tuple(symbols), **facts)


def borne_out(
    symbols: Sequence[str],
    baseline: Sequence[str],
    *walks: EarlierWalk,
    day: date = YESTERDAY,
    target: Target = KOSPI,
    krx: Sequence[str] | None = None,
    walked: Sequence[Page] | None = None,
) -> tuple[datetime, ...] | None:
    """The slots that a walk bears out, newest of `walks` first; None: it stays suspect itself."""
    walk = reading(walked or pages(symbols), target)
    certificate = certify(walk, known(baseline, day), sector=None, boards={})
    assert is_doubtful(walk, certificate), certificate
    sound = earlier(baseline, slot=SLOT - timedelta(days=5), status=Status.COMPLETE)
    verdict = bear_out(walk, certificate, History((*walks, sound), krx and tuple(krx)))
    assert (verdict.certificate.status is Status.COMPLETE) or not verdict.borne_out
    return tuple(verdict.borne_out) if verdict.certificate.status is Status.COMPLETE else None


def ago(minutes: int = 0, *, days: int = 0) -> datetime:
    return SLOT - timedelta(minutes=minutes, days=days)


def known(symbols: Sequence[str], day: date = TODAY) -> Baseline:
    digest = members_digest(reading(pages(symbols)))
    return Baseline(rows=len(symbols), day=day, members=digest)


@pytest.mark.parametrize("count", [1, 62, 99, 100, 101, 200, 2477])
@pytest.mark.parametrize("before", [None, TODAY, YESTERDAY])
def test_a_walk_as_documented_is_complete(count, before):
    symbols = listed(count)
    assert remarks(pages(symbols), known(symbols, before) if before else Baseline()) == ()


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
        [FULL, replace(LAST, bad=[BAD] * 2, announced=52)], Remark.UNDECODED, id="rows that do not decode"
    ),
    pytest.param([FULL, replace(LAST, wrong_suffix=1)], Remark.WRONG_SUFFIX, id="a wrong suffix"),
]


@pytest.mark.parametrize(("walked", "remark"), SHAPES)
def test_a_walk_of_the_wrong_shape_is_suspect(walked, remark):
    assert remarks(walked) == (remark,)


def test_a_server_that_does_not_count_is_believed():
    assert remarks([replace(page, announced=None) for page in (FULL, SECOND, LAST)]) == ()


def bent(walked: Sequence[Page], *symbols: str, readable: bool = True) -> list[Page]:
    """The same pages, where the rows of these symbols do not decode."""
    return [
        replace(
            page,
            rows=listings([symbol for symbol in page.rows.symbol if symbol not in symbols]),
            bad=[
                BadRow("{}", "no", symbol if readable else "")
                for symbol in page.rows.symbol
                if symbol in symbols
            ],
        )
        for page in walked
    ]


@pytest.mark.parametrize("readable", [True, False], ids=["with its code", "without its code"])
@pytest.mark.parametrize(
    ("count", "bad", "status"),
    [
        (900, 1, Status.COMPLETE),
        (900, 9, Status.COMPLETE),
        (900, 10, Status.SUSPECT),
        (2477, 10, Status.COMPLETE),
        (2477, 11, Status.SUSPECT),
        (10, 1, Status.COMPLETE),
        (9, 1, Status.SUSPECT),
        (150, 2, Status.SUSPECT),
    ],
)
def test_a_few_rows_that_do_not_decode_leave_the_others_certified(count, bad, status, readable):
    symbols = listed(count)
    walked = bent(pages(symbols), *symbols[count // 3 : count // 3 + bad], readable=readable)
    for before in (NOTHING, known(symbols, TODAY), known(symbols, YESTERDAY)):
        certificate = certify(reading(walked), before, sector=None, boards={})
        assert certificate == Certificate(status, (Remark.UNDECODED,))


def test_a_row_that_does_not_decode_is_still_a_member():
    symbols = listed(250)
    walked = reading(bent(pages(symbols), symbols[120]))
    assert members_digest(walked) == members_digest(reading(pages(symbols)))
    unreadable = reading(bent(pages(symbols), symbols[120], readable=False))
    assert members_digest(unreadable) is None
    missing = bent(pages(symbols[1:]), symbols[120], readable=False)
    assert certify(reading(missing), known(symbols), sector=None, boards={}).remarks == (
        Remark.UNDECODED,
        Remark.MEMBERSHIP,
    )


def test_a_symbol_that_comes_readable_and_not_comes_twice():
    walked = replace(LAST, bad=[BadRow("{}", "no", LAST.rows.symbol[0])], announced=51)
    assert (
        Remark.DUPLICATE_SYMBOL in certify(reading([FULL, walked]), NOTHING, sector=None, boards={}).remarks
    )


def test_an_odd_cell_does_not_keep_a_changed_list_from_being_borne_out():
    old, new = listed(716), thinned(listed(716), 66)
    walks = [earlier(new, ROW_COUNT, Remark.UNDECODED, slot=ago(minutes), bad=1) for minutes in (5, 10)]
    assert borne_out(new, old, *walks, walked=bent(pages(new), new[5])) == (ago(10), ago(5))


LETTERS = ["000087", "00008K", "0000D0", "0001K5", "00088K"]


def test_codes_with_letters_stand_in_ascii_order():
    symbols = sorted([*listed(240), *LETTERS])
    assert remarks(pages(symbols)) == ()
    walked = pages(symbols)
    assert Remark.PAGE_ORDER in remarks([walked[1], walked[0], walked[2]])


def test_a_page_that_begins_with_letters_before_the_end_of_its_predecessor_is_of_another_list():
    stray = Page(listings(["00104K", "0126Z0"]), None, announced=2)
    assert remarks([FULL, replace(stray, rows=listings(["0000D0", "0126Z0"]))]) == (Remark.PAGE_ORDER,)
    assert remarks([FULL, stray]) == ()


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


ROW_COUNT, MEMBERSHIP = Remark.ROW_COUNT, Remark.MEMBERSHIP


def thinned(symbols: Sequence[str], lost: int, joined: int = 0, *, seed: int = 1) -> list[str]:
    """A list after a revision: `lost` of its members are gone, `joined` have come, all over the list."""
    chance = random.Random(seed)
    gone = set(chance.sample(symbols, lost))
    new = [f"{int(code) + 5:06d}" for code in chance.sample(symbols, joined)]
    return sorted([code for code in symbols if code not in gone] + new)


def test_a_second_walk_with_the_new_members_confirms_them():
    changed = listed(2477, 2)
    twin = earlier(changed, MEMBERSHIP, slot=ago(5))
    assert borne_out(changed, listed(2477), twin, day=TODAY) == (ago(5),)
    assert borne_out(changed, listed(2477), day=TODAY) is None
    shifted = earlier(thinned(changed, 1), MEMBERSHIP, slot=ago(5))
    assert borne_out(changed, listed(2477), shifted, day=TODAY) is None


REVISIONS = [
    pytest.param(NXT, 716, 66, 0, id="NXT on 2025-09-22"),
    pytest.param(NXT, 630, 152, 222, id="NXT grows to 700 exactly"),
    pytest.param(KOSPI, 2477, 60, 0, id="a board"),
    pytest.param(KOSPI, 62, 31, 0, id="an industry halves"),
    pytest.param(KOSPI, 31, 4, 12, id="an industry takes in others"),
    pytest.param(KOSPI._replace(exchange=Exchange.CONSOLIDATED), 945, 40, 5, id="CONSOLIDATED"),
    pytest.param(Target(Market.KOSPI200, "201", Exchange.KRX), 195, 10, 0, id="an index family"),
    pytest.param(Target(Market.KOSPI200, "201", Exchange.KRX), 200, 17, 10, id="KOSPI200 rebalanced"),
]


@pytest.mark.parametrize(("target", "before", "lost", "joined"), REVISIONS)
def test_a_true_change_of_a_list_is_believed_at_the_third_walk_of_the_day(target, before, lost, joined):
    old = listed(before)
    new = thinned(old, lost, joined)
    first, second = (earlier(new, ROW_COUNT, slot=ago(minutes)) for minutes in (10, 5))
    assert borne_out(new, old, target=target) is None
    assert borne_out(new, old, second, target=target) is None
    assert borne_out(new, old, second, first, target=target) == (ago(10), ago(5))


def test_a_change_that_ends_inside_a_page_is_believed_wherever_the_lost_members_stood():
    old, new = listed(716), listed(650)
    walks = [earlier(new, ROW_COUNT, slot=ago(5)), earlier(new, ROW_COUNT, slot=ago(10))]
    assert borne_out(new, old, *walks, target=NXT) == (ago(10), ago(5))


def test_walks_of_two_days_agree_although_a_name_or_two_have_changed():
    old, new = listed(716), thinned(listed(716), 66)
    yesterday = earlier(new, ROW_COUNT, slot=ago(days=1))
    for today in (new[1:], new[:-1], thinned(new, 2), thinned(new, 5, 6)):
        assert borne_out(today, old, yesterday, target=NXT) == (ago(days=1),)
    assert borne_out(thinned(new, 9, 9), old, yesterday, target=NXT) is None


def test_a_walk_that_lost_a_row_is_not_borne_out_with_the_others_of_its_day():
    old, new = listed(716), thinned(listed(716), 66)
    walks = [
        earlier(new, ROW_COUNT, slot=ago(5)),
        earlier(new[1:], ROW_COUNT, slot=ago(10)),
        earlier(new, ROW_COUNT, slot=ago(15)),
    ]
    assert borne_out(new, old, *walks, target=NXT) == (ago(15), ago(5))


def test_lists_that_all_differ_bear_nothing_out():
    old, new = listed(716), thinned(listed(716), 66)
    walks = [earlier(new[number:], ROW_COUNT, slot=ago(5 * number)) for number in (1, 2, 3)]
    assert borne_out(new, old, *walks, target=NXT) is None


def test_a_walk_in_between_that_lists_something_else_breaks_the_row():
    old, new = listed(716), thinned(listed(716), 66)
    twins = [earlier(new, ROW_COUNT, slot=ago(minutes)) for minutes in (5, 15, 20)]
    other = earlier(thinned(old, 150), ROW_COUNT, slot=ago(10))
    assert borne_out(new, old, twins[0], other, *twins[1:]) is None
    cut_short = earlier(new[:300], ROW_COUNT, Remark.NO_END, slot=ago(10))
    assert borne_out(new, old, twins[0], cut_short, *twins[1:]) == (ago(20), ago(15), ago(5))


@pytest.mark.parametrize(
    "marks", [[Remark.SHORT_PAGE], [Remark.NO_END], [Remark.STALE], [Remark.FOREIGN], [Remark.UNDECODED]]
)
def test_a_walk_with_another_fault_bears_nothing_out(marks):
    old, new = listed(716), thinned(listed(716), 66)
    walks = [earlier(new, ROW_COUNT, *marks, slot=ago(minutes), bad=20) for minutes in (5, 10, 15)]
    assert borne_out(new, old, *walks) is None
    assert borne_out(new, old, walks[0], earlier(new, ROW_COUNT, slot=ago(12))) is None


CUTS = [
    pytest.param(listed(2400), id="cut after a full page"),
    pytest.param(listed(1000), id="cut after the tenth page"),
    pytest.param(listed(1150), id="cut inside a page, half way"),
    pytest.param([*listed(1000), *listed(1377, 1101)], id="a page in the middle is missing"),
    pytest.param(listed(2377, 101), id="the first page is missing"),
    pytest.param(listed(1000, 5000), id="another list"),
    pytest.param(
        [code for start in range(0, 2477, 140) for code in listed(2477)[start : start + 100]],
        id="each page begins forty rows late",
    ),
]


@pytest.mark.parametrize("cut", CUTS)
def test_a_list_that_broke_off_is_not_believed_however_often_a_day_repeats_it(cut):
    old = listed(2477)
    today = [earlier(cut, ROW_COUNT, slot=ago(minutes)) for minutes in range(1, 500)]
    yesterday = [earlier(cut, ROW_COUNT, slot=ago(minutes, days=1)) for minutes in range(1, 500)]
    assert borne_out(cut, old, *today) is None
    assert borne_out(cut, old, *today, *yesterday) is None
    before = earlier(cut, ROW_COUNT, slot=ago(days=2))
    assert borne_out(cut, old, *today, *yesterday, before) is not None


def test_a_list_that_shrank_to_full_pages_needs_a_walk_more():
    old, new = listed(716), thinned(listed(716), 116)
    walks = [earlier(new, ROW_COUNT, slot=ago(minutes)) for minutes in (5, 10, 15)]
    assert len(new) == 600
    assert borne_out(new, old, *walks[:2]) is None
    assert borne_out(new, old, *walks) == (ago(15), ago(10), ago(5))


def test_a_first_list_far_below_the_table_is_believed_unless_it_ends_with_a_full_page():
    def status(count: int, walks: int) -> Status:
        walk = reading(pages(listed(count)))
        certificate = certify(walk, NOTHING, sector=COMPOSITE, boards={})
        assert certificate.remarks == (ROW_COUNT,)
        twins = [earlier(listed(count), ROW_COUNT, slot=ago(number)) for number in range(1, walks)]
        return bear_out(walk, certificate, History(twins)).certificate.status

    assert [status(945, walks) for walks in (2, 3)] == [Status.SUSPECT, Status.COMPLETE]
    assert [status(900, walks) for walks in (3, 99)] == [Status.SUSPECT, Status.SUSPECT]


def test_the_list_of_krx_speaks_against_one_that_does_not_fit_into_it():
    old, new = listed(716), thinned(listed(716), 66)
    walks = [earlier(new, ROW_COUNT, slot=ago(minutes)) for minutes in (5, 10)]
    consolidated = KOSPI._replace(exchange=Exchange.CONSOLIDATED)
    for target, krx, expected in (
        (NXT, listed(2477), True),
        (NXT, new[100:], False),
        (consolidated, new, True),
        (consolidated, old, False),
        (KOSPI, old, True),
    ):
        assert (borne_out(new, old, *walks, target=target, krx=krx) is not None) is expected


def test_an_empty_list_is_not_borne_out():
    walk = reading(pages([]))
    certificate = certify(walk, known(listed(62), TODAY), sector=None, boards={})
    assert certificate.remarks == (Remark.EMPTY,)
    assert not is_doubtful(walk, certificate)


def ended_by_an_empty_page(symbols: Sequence[str]) -> list[Page]:
    return [
        *(replace(page, next_key="more") for page in pages(symbols)),
        Page(columns([]), None, announced=0),
    ]


@pytest.mark.parametrize("count", [100, 200, 2400])
@pytest.mark.parametrize("day", [TODAY, YESTERDAY])
def test_an_empty_last_page_is_an_end_once_a_second_walk_shows_the_same(count, day):
    symbols = listed(count)
    walked = ended_by_an_empty_page(symbols)
    alone = reading(walked)
    certificate = certify(alone, NOTHING, sector=None, boards={})
    assert certificate.remarks == (Remark.EMPTY_PAGE,)
    assert bear_out(alone, certificate, History()).certificate == certificate
    first = earlier(symbols, Remark.EMPTY_PAGE, slot=ago(5))
    assert bear_out(alone, certificate, History([first])) == (Certificate(Status.COMPLETE), [ago(5)])
    assert borne_out(symbols, symbols, day=day, walked=walked) == ()


def test_an_empty_page_elsewhere_is_no_end_however_often_it_comes():
    symbols = listed(200)
    certificate = certify(reading(ended_by_an_empty_page(symbols)), NOTHING, sector=None, boards={})
    gap = earlier(symbols, Remark.EMPTY_PAGE, slot=ago(5), has_gap=True)
    walk = reading(ended_by_an_empty_page(symbols))
    assert bear_out(walk, certificate, History([gap] * 5)).certificate == certificate
    inside = [FULL, Page(columns([]), "k", announced=0), LAST]
    assert not is_doubtful(reading(inside), certify(reading(inside), NOTHING, sector=None, boards={}))


def test_a_list_that_an_empty_page_cuts_short_is_not_believed_for_a_day():
    old, cut = listed(2477), listed(2400)
    walks = [earlier(cut, ROW_COUNT, Remark.EMPTY_PAGE, slot=ago(minutes)) for minutes in range(1, 100)]
    assert borne_out(cut, old, *walks, walked=ended_by_an_empty_page(cut)) is None


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
        pytest.param(Baseline(), None, (Remark.EMPTY,), id="nothing known"),
        pytest.param(Baseline(), COMPOSITE, (Remark.EMPTY,), id="a sector with members"),
        pytest.param(Baseline(), VOLATILITY, (), id="index only"),
        pytest.param(Baseline(rows=0), COMPOSITE, (), id="empty before"),
        pytest.param(Baseline(rows=62), COMPOSITE, (Remark.EMPTY,), id="not empty before"),
        pytest.param(Baseline(rows=62), VOLATILITY, (Remark.EMPTY,), id="index only, yet not empty before"),
        pytest.param(Baseline(none_there=True), COMPOSITE, (), id="none of its members trades there"),
        pytest.param(Baseline(rows=2, none_there=True), COMPOSITE, (), id="the last two have left"),
        pytest.param(
            Baseline(rows=4, none_there=True), COMPOSITE, (Remark.EMPTY,), id="four do not leave at once"
        ),
        pytest.param(
            Baseline(rows=62, none_there=True),
            COMPOSITE,
            (Remark.EMPTY,),
            id="sixty-two cannot leave at once",
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


@pytest.mark.parametrize(
    ("traded", "equal", "expected"),
    [
        (600, 600, True),
        (600, 480, True),
        (600, 479, False),
        (3, 3, True),
        (2, 2, False),
        (600, 6, False),
        (0, 0, False),
    ],
)
def test_rows_are_those_of_krx_where_nearly_all_that_traded_are_equal(traded, equal, expected):
    assert is_copy(traded, equal) is expected
