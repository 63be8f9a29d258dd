"""The certificate of a history, case by case."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise

import pytest

from collector.backfill.certify_bars import PAGE_BARS, ListingFacts, certify_bars, is_settled_gap
from collector.market.bar_changes import Suspected, fill_changes
from collector.model import BadRow, Bar, BarPage, BarReading, Remark, Status
from tests.support.bar_histories import DAYS, NEWEST, closes, history, reading

SYMBOL = "000010"
FRIDAY, THURSDAY, WEDNESDAY = DAYS[-1], DAYS[-2], DAYS[-3]
FIRST = DAYS[0]
MONDAY = date(2026, 11, 23)


def whole(days: Sequence[date] = DAYS) -> list[Bar]:
    return history(SYMBOL, closes(days))


def without(*gone: date) -> list[Bar]:
    """Bars of all days, some of which an answer lost."""
    return [bar for bar in whole() if bar.trading_date not in gone]


def suspended(*idle: date) -> list[Bar]:
    """Bars of a listing that did not trade on some days, and so has none of them."""
    prices = {day: price for day, price in closes(DAYS).items() if day not in idle}
    return history(SYMBOL, prices)


def judged(
    found: BarReading | Sequence[Bar],
    *,
    seen: ListingFacts | None = None,
    days: Sequence[date] = DAYS,
    adjusted: bool = False,
) -> list[str]:
    """The remarks, behind a "!" if it is suspect."""
    walk = found if isinstance(found, BarReading) else reading(found, oldest=days[0])
    certificate = certify_bars(walk, days, seen, adjusted=adjusted)
    marks = [] if certificate.status is Status.COMPLETE else ["!"]
    return [*marks, *certificate.remarks]


def test_a_bar_for_every_trading_day_is_complete():
    assert judged(whole()) == []


def test_bars_beyond_the_days_wanted_do_no_harm():
    assert judged(whole(), days=DAYS[5:20]) == []


IDLE = {"open": None, "high": None, "low": None, "volume": 0}


def altered(number: int, **changes: object) -> list[Bar]:
    bars = whole()
    bars[number] = bars[number]._replace(**changes)  # type: ignore[arg-type]
    return bars


@pytest.mark.parametrize(
    ("bars", "remarks"),
    [
        pytest.param(altered(3, high=1), ["!", Remark.ABSURD], id="high below low"),
        pytest.param(altered(3, close=99_999), ["!", Remark.ABSURD], id="close above high"),
        pytest.param(altered(3, open=1), ["!", Remark.ABSURD], id="open below low"),
        pytest.param(altered(3, close=None), ["!", Remark.ABSURD], id="no close"),
        pytest.param(altered(3, open=None, high=None, low=None), ["!", Remark.ABSURD], id="trades without prices"),
        pytest.param(altered(3, **IDLE), [], id="a day without a trade"),
        pytest.param(altered(3, **IDLE | {"volume": 1}), ["!", Remark.ABSURD], id="a single trade without prices"),
        pytest.param(altered(3, high=None, low=None, volume=0), ["!", Remark.ABSURD], id="an opening alone"),
        pytest.param(altered(3, open=None, low=None, volume=0), ["!", Remark.ABSURD], id="a high alone"),
        pytest.param(altered(3, open=None, high=None, volume=0), ["!", Remark.ABSURD], id="a low alone"),
        pytest.param(altered(3, open=None, volume=0), ["!", Remark.ABSURD], id="a high without an opening"),
        pytest.param([whole()[0], *whole()], ["!", Remark.DATE_ORDER], id="a day twice"),
        pytest.param(whole()[::-1], ["!", Remark.DATE_ORDER], id="oldest first"),
        pytest.param([whole()[1], whole()[0], *whole()[2:]], ["!", Remark.DATE_ORDER], id="two days changed over"),
        pytest.param(altered(0, trading_date=MONDAY), ["!", Remark.DATE_ORDER], id="a later day than asked"),
        pytest.param([], ["!", Remark.EMPTY], id="nothing at all"),
    ],
)  # fmt: skip
def test_what_cannot_be_so_is_suspect(bars, remarks):
    assert judged(bars) == remarks


@pytest.mark.parametrize("beside", [{}, IDLE], ids=["all traded", "one idle"])
@pytest.mark.parametrize(
    ("prices", "remarks"),
    [
        pytest.param((9_000, 9_000, 9_000, 9_000), [], id="one price all day"),
        pytest.param((8_999, 9_100, 9_000, 9_050), ["!", Remark.ABSURD], id="an opening below the low"),
        pytest.param((9_101, 9_100, 9_000, 9_050), ["!", Remark.ABSURD], id="an opening above the high"),
        pytest.param((9_050, 9_100, 9_000, 8_999), ["!", Remark.ABSURD], id="a close below the low"),
        pytest.param((9_050, 9_100, 9_000, 9_101), ["!", Remark.ABSURD], id="a close above the high"),
    ],
)  # fmt: skip
def test_prices_lie_within_high_and_low_whether_or_not_another_day_was_idle(prices, remarks, beside):
    opened, high, low, close = prices
    bars = altered(3, open=opened, high=high, low=low, close=close)
    bars[10] = bars[10]._replace(**beside)
    assert judged(bars) == remarks


def test_a_bar_on_a_closed_day_is_suspect():
    chuseok = date(2026, 10, 9)
    prices = closes(sorted([*DAYS, chuseok]))
    assert judged(history(SYMBOL, prices)) == ["!", Remark.CLOSED_DAY]


@pytest.mark.parametrize(
    ("bars", "remarks"),
    [
        pytest.param(without(DAYS[10]), ["!", Remark.ABSENT_DAYS], id="a day was lost"),
        pytest.param(without(DAYS[1]), ["!", Remark.ABSENT_DAYS], id="the day after the oldest was lost"),
        pytest.param(without(*DAYS[10:14]), ["!", Remark.ABSENT_DAYS], id="four days were lost"),
        pytest.param(suspended(DAYS[10]), [Remark.SUSPENDED], id="a day's suspension"),
        pytest.param(suspended(THURSDAY), [Remark.SUSPENDED], id="a suspension on the day before the newest"),
        pytest.param(suspended(*DAYS[10:14]), [Remark.SUSPENDED], id="four days' suspension"),
        pytest.param(
            without(*DAYS[10:15]), [Remark.SUSPENDED], id="a long suspension with a new price after it"
        ),
        pytest.param(
            [bar for bar in suspended(DAYS[10]) if bar.trading_date != DAYS[20]],
            ["!", Remark.SUSPENDED, Remark.ABSENT_DAYS],
            id="one suspension, one loss",
        ),
    ],
)
def test_a_gap_is_a_suspension_if_the_price_stood_still_over_it(bars, remarks):
    assert sorted(judged(bars)) == sorted(remarks)


@pytest.mark.parametrize(("new", "old"), [(5, 1), (10, 1), (1, 10), (50, 1)])
def test_shares_may_be_split_during_a_suspension(new, old):
    days = DAYS[:10] + DAYS[13:]
    before = history(SYMBOL, closes(DAYS[:10], start=50_000))
    base = (before[0].close or 0) * old // new
    after = history(SYMBOL, closes(DAYS[13:], start=base), base=base)
    assert judged([*after, *before]) == [Remark.SUSPENDED]
    assert len(days) == len(before) + len(after)


def over_a_gap(before: int | None, base: int, close: int | None = 20_000, **options: bool) -> list[str]:
    """What is said of two bars with a day between them: what one closed at, and what the other counts from."""
    bars = [
        Bar(SYMBOL, DAYS[2], close, close, close, close, volume=1, change=(close or 0) - base),
        Bar(SYMBOL, DAYS[0], before, before, before, before, volume=1, change=0),
    ]
    return judged(bars, days=DAYS[:3], **options)


@pytest.mark.parametrize(
    ("before", "after", "is_split"),
    [
        pytest.param(10_000, 5_000, True, id="two for one"),
        pytest.param(500_000, 5_000, True, id="a hundred for one"),
        pytest.param(505_000, 5_000, False, id="a hundred and one"),
        pytest.param(100, 1, True, id="down to a single won"),
        pytest.param(10_100, 5_000, True, id="a hundredth off"),
        pytest.param(10_101, 5_000, False, id="more than a hundredth off"),
        pytest.param(5_060, 100, True, id="nearer to the multiple above"),
        pytest.param(10_000, 4_000, True, id="two and a half"),
        pytest.param(10_000, 6_000, False, id="one and two thirds"),
        pytest.param(10_000, 9_000, False, id="no multiple at all"),
        pytest.param(10_000, 0, False, id="from nothing"),
        pytest.param(10_000, -5_000, False, id="from less than nothing"),
    ],
)
def test_a_split_is_a_whole_multiple_to_within_a_hundredth(before, after, is_split):
    assert over_a_gap(before, after) == ([Remark.SUSPENDED] if is_split else ["!", Remark.ABSENT_DAYS])


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        pytest.param(150, 152, True, id="two won"),
        pytest.param(150, 153, False, id="three won of few"),
        pytest.param(10_000, 10_100, True, id="a hundredth above"),
        pytest.param(10_000, 9_900, True, id="a hundredth below"),
        pytest.param(10_000, 10_101, False, id="more than a hundredth"),
    ],
)
def test_adjusted_prices_may_be_a_hundredth_or_two_won_off_over_a_suspension(before, after, follows):
    assert over_a_gap(before, after, adjusted=True) == (
        [Remark.SUSPENDED] if follows else ["!", Remark.ABSENT_DAYS]
    )
    assert over_a_gap(before, after) == ["!", Remark.ABSENT_DAYS]


@pytest.mark.parametrize(("before", "close"), [(None, 20_000), (10_000, None), (None, None)], ids=str)
@pytest.mark.parametrize("adjusted", [False, True])
def test_a_gap_beside_a_day_without_a_close_is_no_suspension(before, close, adjusted):
    found = over_a_gap(before, 10_000, close, adjusted=adjusted)
    assert found == ["!", Remark.ABSURD, Remark.ABSENT_DAYS]


def test_history_that_begins_within_the_period_is_a_younger_listing():
    assert judged(whole(DAYS[12:])) == [Remark.YOUNGER]


@pytest.mark.parametrize(
    ("since", "remarks"),
    [
        pytest.param(DAYS[3], ["!", Remark.ABSENT_DAYS], id="long before"),
        pytest.param(DAYS[10], ["!", Remark.ABSENT_DAYS], id="two days before"),
        pytest.param(DAYS[11], [Remark.YOUNGER], id="on the eve of its first day"),
        pytest.param(DAYS[12], [Remark.YOUNGER], id="on its first day"),
    ],
)
def test_history_cannot_begin_after_the_listing_was_seen(since, remarks):
    seen = ListingFacts(since=since, day=FRIDAY, base=None, traded=True)
    assert judged(whole(DAYS[12:]), seen=seen) == remarks


@pytest.mark.parametrize(
    ("since", "remarks"),
    [
        pytest.param(date(2026, 11, 22), [Remark.YOUNGER], id="after the newest day"),
        pytest.param(NEWEST, ["!", Remark.EMPTY], id="on the newest day"),
    ],
)
def test_a_listing_has_no_history_yet_only_if_it_was_first_seen_after_the_newest_day(since, remarks):
    seen = ListingFacts(since=since, day=FRIDAY, base=None, traded=False)
    assert judged([], seen=seen) == remarks


def last_close(day: date) -> int:
    return closes(DAYS)[day]


@pytest.mark.parametrize(
    ("until", "seen", "remarks"),
    [
        pytest.param(THURSDAY, None, ["!", Remark.ABSENT_DAYS], id="nobody has seen it since"),
        pytest.param(
            THURSDAY,
            ListingFacts(FIRST, FRIDAY, last_close(WEDNESDAY), traded=False),
            [Remark.SUSPENDED],
            id="its snapshots compare with its last close and nothing trades",
        ),
        pytest.param(
            THURSDAY,
            ListingFacts(FIRST, FRIDAY, last_close(WEDNESDAY), traded=True),
            ["!", Remark.ABSENT_DAYS],
            id="it traded on the newest day",
        ),
        pytest.param(
            THURSDAY,
            ListingFacts(FIRST, FRIDAY, last_close(THURSDAY), traded=False),
            ["!", Remark.ABSENT_DAYS],
            id="it closed at another price meanwhile",
        ),
        pytest.param(
            THURSDAY,
            ListingFacts(FIRST, THURSDAY, last_close(WEDNESDAY), traded=False),
            ["!", Remark.ABSENT_DAYS],
            id="it was last seen before the last of the days",
        ),
        pytest.param(
            WEDNESDAY,
            ListingFacts(FIRST, THURSDAY, last_close(DAYS[-4]), traded=False),
            ["!", Remark.ABSENT_DAYS],
            id="it was last seen on the last day but one of three",
        ),
        pytest.param(
            THURSDAY,
            ListingFacts(FIRST, FRIDAY, None, traded=False),
            ["!", Remark.ABSENT_DAYS],
            id="its snapshots compare with nothing",
        ),
    ],
)
def test_history_that_ends_early_is_a_suspension_if_a_snapshot_bears_it_out(until, seen, remarks):
    bars = [bar for bar in whole() if bar.trading_date < until]
    assert judged(bars, seen=seen) == remarks


def test_adjusted_prices_may_be_a_won_off_over_a_suspension():
    bars = suspended(DAYS[10])
    place = next(n for n, bar in enumerate(bars) if bar.trading_date < DAYS[10]) - 1
    bars[place] = bars[place]._replace(change=bars[place].change - 1)
    walk = reading(bars, oldest=FIRST)
    assert certify_bars(walk, DAYS, None, adjusted=True).remarks == (Remark.SUSPENDED,)
    assert certify_bars(walk, DAYS, None, adjusted=False).remarks == (Remark.ABSENT_DAYS,)


def pages(*sizes: int, last_key: str | None = None, **changes: object) -> BarReading:
    """A reading of older and older bars on pages of these sizes, of which the days wanted are the newest."""
    count = sum(sizes)
    days = sorted({date.fromordinal(NEWEST.toordinal() - number) for number in range(2 * count)})
    weekdays = [day for day in days if day.weekday() < 5][-count:]
    bars = history(SYMBOL, closes(weekdays))
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    found = [BarPage(bars[start : start + size], "k") for start, size in zip(starts, sizes, strict=True)]
    found[-1] = replace(found[-1], next_key=last_key, **changes)  # type: ignore[arg-type]
    return reading(bars, oldest=date(1990, 1, 1), pages=found)


@pytest.mark.parametrize(
    ("walk", "remarks"),
    [
        pytest.param(pages(PAGE_BARS, 40), [], id="full pages, then the rest"),
        pytest.param(pages(PAGE_BARS - 1, 40), ["!", Remark.SHORT_PAGE], id="a short page before the last"),
        pytest.param(pages(1, 40), ["!", Remark.SHORT_PAGE], id="a page of one bar before the last"),
        pytest.param(pages(PAGE_BARS, 0), ["!", Remark.EMPTY_PAGE], id="an empty page at the end"),
        pytest.param(pages(PAGE_BARS, 0, 40), ["!", Remark.EMPTY_PAGE], id="an empty page before the last"),
        pytest.param(pages(PAGE_BARS), ["!", Remark.NO_END], id="a full page that says it is the last"),
        pytest.param(pages(40, end_unsaid=True), ["!", Remark.NO_END], id="an end that was not said"),
        pytest.param(pages(40, announced=41), ["!", Remark.PAGE_COUNT], id="fewer rows than announced"),
        pytest.param(
            pages(40, bad=[BadRow("{}", "no")]), ["!", Remark.UNDECODED], id="a row that does not decode"
        ),
        pytest.param(
            replace(pages(40), stopped=Remark.REPEATED_KEY), ["!", Remark.REPEATED_KEY], id="a key came twice"
        ),
    ],
)
def test_pages_are_full_and_end_where_they_say(walk, remarks):
    assert judged(walk, days=[day for day in DAYS if day > WEDNESDAY]) == remarks


@pytest.mark.parametrize(
    ("wanted", "remarks"),
    [
        pytest.param(DAYS[1], [], id="passed"),
        pytest.param(FIRST, [], id="reached"),
        pytest.param(date(2026, 9, 30), ["!", Remark.NO_END], id="not reached"),
    ],
)
def test_an_end_need_not_be_said_once_the_oldest_day_wanted_is_reached(wanted, remarks):
    page = BarPage(whole(), None, end_unsaid=True)
    assert judged(reading(whole(), oldest=wanted, pages=[page])) == remarks


def unsaid(bars: Sequence[Bar]) -> list[Bar]:
    """The same bars from answers that leave the changes out."""
    return [bar._replace(change=None) for bar in bars]


def test_bars_without_changes_are_complete_where_no_day_is_missing():
    assert judged(unsaid(whole())) == []


def test_a_change_that_was_not_said_is_no_proof_that_nothing_was_traded():
    assert judged(unsaid(without(DAYS[10]))) == ["!", Remark.ABSENT_DAYS]


def test_a_change_that_was_not_said_is_the_difference_to_the_bar_before():
    *rest, oldest = whole()
    *filled, unknown = fill_changes(unsaid([*rest, oldest]))
    assert [bar.change for bar in filled] == [
        later.close - earlier.close for later, earlier in pairwise([*rest, oldest])
    ]
    assert unknown.change is None
    assert fill_changes(whole()) == whole()


@pytest.mark.parametrize(
    ("before", "after", "change"), [(1000, 1300, 300), (1000, 700, -300), (1000, 500, None)]
)
def test_a_change_beyond_the_daily_limit_stays_unknown(before, after, change):
    later, earlier = (
        bar._replace(close=close, change=None) for bar, close in zip(whole(), (after, before), strict=False)
    )
    assert fill_changes([later, earlier])[0].change == change


def is_settled(
    now: Sequence[Bar], before: Sequence[Bar], first: date = DAYS[0], last: date = DAYS[-1]
) -> bool:
    return is_settled_gap(
        reading(now, oldest=DAYS[0]),
        DAYS,
        Suspected(first, last, frozenset(bar.trading_date for bar in before)),
    )


def test_a_gap_that_stays_the_same_at_a_second_fetch_is_settled():
    gap = without(*DAYS[10:13])
    assert is_settled(gap, gap)
    assert not is_settled(gap, whole())
    assert not is_settled(gap, without(*DAYS[10:14]))
    assert not is_settled(without(DAYS[3], *DAYS[10:13]), gap)


def test_a_gap_outside_of_what_was_fetched_before_is_not_settled():
    gap = without(*DAYS[10:13])
    assert not is_settled(gap, gap, first=DAYS[11])
    assert not is_settled(gap, gap, last=DAYS[11])
    assert is_settled(gap, gap, last=DAYS[20])


def test_days_after_the_newest_bar_may_still_come():
    gap = without(*DAYS[-3:])
    assert not is_settled(gap, gap)


@pytest.mark.parametrize("ratio", [2, 2.5, 4, 5, 10, 12.5, 20, 25, 50, 100])
@pytest.mark.parametrize("is_split", [True, False], ids=["split", "consolidation"])
def test_a_change_of_the_par_value_with_a_halt_of_three_days_is_whole(ratio, is_split):
    factor = 1 / ratio if is_split else ratio
    start = 1_000_000
    prices = dict.fromkeys(DAYS[:10], start) | {day: round(start * factor) for day in DAYS[13:]}
    bars = history(SYMBOL, prices)
    later = next(number for number, bar in enumerate(bars) if bar.trading_date == DAYS[13])
    bars[later] = bars[later]._replace(change=0)
    assert judged(bars) == [Remark.SUSPENDED]


@pytest.mark.parametrize("ratio", [1.5, 1.7, 2.2, 2.7, 101])
def test_another_jump_with_a_halt_of_three_days_is_a_gap(ratio):
    prices = dict.fromkeys(DAYS[:10], 1000000) | {day: round(1_000_000 / ratio) for day in DAYS[13:]}
    bars = history(SYMBOL, prices)
    later = next(number for number, bar in enumerate(bars) if bar.trading_date == DAYS[13])
    bars[later] = bars[later]._replace(change=0)
    assert judged(bars) == ["!", Remark.ABSENT_DAYS]
