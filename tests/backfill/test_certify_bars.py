"""The certificate of a history, case by case."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from collector.certify_bars import PAGE_BARS, Sighting, certify_bars
from collector.model import BadRow, Bar, BarPage, BarReading, Remark, Status
from tests.backfill.histories import DAYS, NEWEST, closes, history, reading

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
    found: BarReading | Sequence[Bar], *, seen: Sighting | None = None, days: Sequence[date] = DAYS
) -> list[str]:
    """The remarks, behind a "!" if it is suspect."""
    walk = found if isinstance(found, BarReading) else reading(found, oldest=days[0])
    certificate = certify_bars(walk, days, seen, adjusted=False)
    marks = [] if certificate.status is Status.COMPLETE else ["!"]
    return [*marks, *certificate.remarks]


def test_a_bar_for_every_trading_day_is_complete():
    assert judged(whole()) == []


def test_bars_beyond_the_days_wanted_do_no_harm():
    assert judged(whole(), days=DAYS[5:20]) == []


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
        pytest.param(altered(3, open=None, high=None, low=None, volume=0), [], id="a day without a trade"),
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


def test_a_bar_on_a_closed_day_is_suspect():
    chuseok = date(2026, 10, 9)
    prices = closes(sorted([*DAYS, chuseok]))
    assert judged(history(SYMBOL, prices)) == ["!", Remark.CLOSED_DAY]


@pytest.mark.parametrize(
    ("bars", "remarks"),
    [
        pytest.param(without(DAYS[10]), ["!", Remark.ABSENT_DAYS], id="a day was lost"),
        pytest.param(without(*DAYS[10:14]), ["!", Remark.ABSENT_DAYS], id="four days were lost"),
        pytest.param(suspended(DAYS[10]), [Remark.SUSPENDED], id="a day's suspension"),
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


def test_history_that_begins_within_the_period_is_a_younger_listing():
    assert judged(whole(DAYS[12:])) == [Remark.YOUNGER]


def test_history_cannot_begin_after_the_listing_was_seen():
    seen = Sighting(since=DAYS[3], day=FRIDAY, base=None, traded=True)
    assert judged(whole(DAYS[12:]), seen=seen) == ["!", Remark.ABSENT_DAYS]


def test_a_listing_first_seen_after_the_newest_day_has_no_history_yet():
    seen = Sighting(since=date(2026, 11, 22), day=FRIDAY, base=None, traded=False)
    assert judged([], seen=seen) == [Remark.YOUNGER]


def last_close(day: date) -> int:
    return closes(DAYS)[day]


@pytest.mark.parametrize(
    ("until", "seen", "remarks"),
    [
        pytest.param(THURSDAY, None, ["!", Remark.ABSENT_DAYS], id="nobody has seen it since"),
        pytest.param(
            THURSDAY,
            Sighting(FIRST, FRIDAY, last_close(WEDNESDAY), traded=False),
            [Remark.SUSPENDED],
            id="its snapshots compare with its last close and nothing trades",
        ),
        pytest.param(
            THURSDAY,
            Sighting(FIRST, FRIDAY, last_close(WEDNESDAY), traded=True),
            ["!", Remark.ABSENT_DAYS],
            id="it traded on the newest day",
        ),
        pytest.param(
            THURSDAY,
            Sighting(FIRST, FRIDAY, last_close(THURSDAY), traded=False),
            ["!", Remark.ABSENT_DAYS],
            id="it closed at another price meanwhile",
        ),
        pytest.param(
            THURSDAY,
            Sighting(FIRST, THURSDAY, last_close(WEDNESDAY), traded=False),
            ["!", Remark.ABSENT_DAYS],
            id="it was last seen before the last of the days",
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
        pytest.param(pages(PAGE_BARS, 0), ["!", Remark.EMPTY_PAGE], id="an empty page at the end"),
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
