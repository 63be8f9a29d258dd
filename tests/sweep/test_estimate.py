"""What a sweep will come to: rows, requests and seconds, before anything is asked."""

from collections.abc import Mapping

import pytest

from collector.model import Baseline, Market, Sector, Target
from collector.sweep.estimate import Estimate, count_pages, estimate, expected_rows, sort_walks

KRX, NXT = Target.of("KOSPI", "013", "KRX"), Target.of("KOSPI", "013", "NXT")
COUNTED = Sector("013", Market.KOSPI, "전기/전자", members=81)
UNCOUNTED = Sector("013", Market.KOSPI, "전기/전자")
INDEX = Sector("603", Market.KOSPI, "변동성지수", index_only=True)


@pytest.mark.parametrize(
    ("target", "sector", "known", "rows"),
    [
        pytest.param(KRX, COUNTED, Baseline(rows=77), 77, id="as many as the last complete walk had"),
        pytest.param(KRX, COUNTED, Baseline(rows=0), 0, id="none if it had none"),
        pytest.param(KRX, COUNTED, Baseline(), 81, id="else what the table says"),
        pytest.param(KRX, COUNTED, None, 81, id="of a target that nothing is known of, too"),
        pytest.param(NXT, COUNTED, None, 11, id="a seventh of it on NXT"),
        pytest.param(KRX, UNCOUNTED, None, 60, id="an industry's usual number where nobody counted"),
        pytest.param(NXT, UNCOUNTED, None, 8, id="a seventh of that on NXT"),
        pytest.param(KRX, None, None, 60, id="also of a sector that is not in the table"),
        pytest.param(KRX, INDEX, None, 0, id="none of an index that has no members"),
    ],
)
def test_rows_are_expected(target: Target, sector: Sector | None, known: Baseline | None, rows: int) -> None:
    assert expected_rows(target, sector, known) == rows


@pytest.mark.parametrize(("rows", "requests"), [(0, 1), (1, 1), (100, 1), (101, 2), (2477, 25)])
def test_a_page_holds_a_hundred_rows_and_one_is_always_asked_for(rows: int, requests: int) -> None:
    assert count_pages(rows) == requests


def test_a_sweep_is_the_sum_of_its_targets() -> None:
    targets = [KRX, NXT, Target.of("KOSPI", "001", "KRX")]
    sectors: Mapping[str, Sector] = {"013": COUNTED, "001": Sector("001", Market.KOSPI, "종합", members=2477)}
    assert estimate(targets, sectors, {KRX: Baseline(rows=120)}) == Estimate(3, 120 + 11 + 2477, 2 + 1 + 25)


def test_requests_take_their_time_at_a_quota_and_none_where_there_is_none() -> None:
    assert Estimate(3, 2608, 28).seconds(5) == 5.6
    assert Estimate(3, 2608, 28).seconds(0) == 0.0


def test_one_of_the_shortest_walks_begins_and_then_the_longest() -> None:
    index, short, also_short, long, longest = (
        Target.of("KOSPI", code, "KRX") for code in ("603", "005", "006", "002", "001")
    )
    known = {
        index: Baseline(rows=0),
        short: Baseline(rows=7),
        also_short: Baseline(rows=90),
        long: Baseline(rows=350),
        longest: Baseline(rows=900),
    }
    assert sort_walks([index, short, long, also_short, longest], {}, known) == [
        *(short, longest, long),
        *(index, also_short),
    ]


def test_walks_without_rows_keep_their_order() -> None:
    targets = [Target.of("KOSPI", code, "KRX") for code in ("603", "604")]
    assert sort_walks(targets, {}, {target: Baseline(rows=0) for target in targets}) == targets
    assert sort_walks([], {}, {}) == []
