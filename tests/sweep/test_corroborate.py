"""The judgement of a walk by second sources, as a table and over simulated sweeps."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from collector.model import Remark, Target
from collector.sweep.corroborate import (
    Corroboration,
    Judgement,
    WitnessFinding,
    WitnessSource,
    combine,
    is_same_session,
    judge_counts,
    judge_date,
    judge_members,
)
from collector.sweep.walk_counts import SectorCounts, WalkCounts, count_walk
from collector.sweep.witness_offsets import Offset, WalkContext, learn
from tests.support.harness import OPEN, reading, snapshots

YES, NO, OPEN_QUESTION = Corroboration.CORROBORATED, Corroboration.CONTRADICTED, Corroboration.UNCHECKED
FIRST, LATER, OVERNIGHT = WalkContext(True), WalkContext(False), WalkContext(False, True)
AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
NONE_KNOWN, EQUAL = Offset(), Offset(frozenset())
DAY = date(2026, 11, 20)


def codes(count: int, first: int = 0) -> frozenset[str]:
    return frozenset(f"{number:06}" for number in range(first, first + count))


def walk(members: frozenset[str], *, traded: int | None = None, **changes: object) -> WalkCounts:
    many = len(members) if traded is None else traded
    facts = {
        "members": members, "rows": len(members), "unread": 0, "traded": many, "advancers": many // 2,
        "unchanged": 0, "decliners": many - many // 2, "volume": 1_000_000 * many, "ends_full": False,
    }  # fmt: skip
    return WalkCounts(**{**facts, **changes})


def counted(members: int, traded: int | None = None, **changes: object) -> SectorCounts:
    many = members if traded is None else traded
    facts = {
        "members": members, "traded": many, "advancers": many // 2, "unchanged": 0,
        "decliners": many - many // 2, "volume": 1_000_000 * many, "received_at": AT,
    }  # fmt: skip
    return SectorCounts(**{**facts, **changes})


MEMBERS = [
    ("the same", codes(120), codes(120), NONE_KNOWN, FIRST, YES),
    ("first walk, a member lost", codes(119), codes(120), NONE_KNOWN, FIRST, NO),
    ("first walk, cut at a border", codes(100), codes(120), NONE_KNOWN, FIRST, NO),
    ("first walk, nothing there", codes(0), codes(120), NONE_KNOWN, FIRST, NO),
    ("nothing there, and none listed", codes(0), codes(0), NONE_KNOWN, FIRST, YES),
    ("the witness lacks one", codes(121), codes(120), NONE_KNOWN, FIRST, OPEN_QUESTION),
    ("the witness was cut", codes(250), codes(150), NONE_KNOWN, FIRST, OPEN_QUESTION),
    ("the witness is of another market", codes(120), codes(120, 5_000), NONE_KNOWN, FIRST, OPEN_QUESTION),
    ("no witness", codes(120), None, NONE_KNOWN, FIRST, OPEN_QUESTION),
    ("nothing learnt, not the first", codes(119), codes(120), NONE_KNOWN, LATER, OPEN_QUESTION),
    ("learnt, one lost within the day", codes(119), codes(120), EQUAL, LATER, NO),
    ("learnt, one lost overnight", codes(119), codes(120), EQUAL, OVERNIGHT, OPEN_QUESTION),
    ("learnt, many lost overnight", codes(90), codes(120), EQUAL, OVERNIGHT, NO),
    ("the known offset", codes(119), codes(120), Offset(frozenset({"-000119"})), LATER, YES),
    ("one more than the known offset", codes(118), codes(120), Offset(frozenset({"-000119"})), LATER, NO),
    (
        "the known offset is gone",
        codes(120),
        codes(120),
        Offset(frozenset({"-000119"})),
        LATER,
        OPEN_QUESTION,
    ),
]


@pytest.mark.parametrize(
    ("members", "expected", "offset", "standing", "verdict"),
    [line[1:] for line in MEMBERS],
    ids=[line[0] for line in MEMBERS],
)
def test_members(members, expected, offset, standing, verdict):
    assert judge_members(walk(members), expected, offset, standing).verdict is verdict


def test_a_finding_names_the_codes_of_both_sides():
    finding = judge_members(walk(codes(120, 1)), codes(120), EQUAL, LATER)
    assert "not in the walk: 000000" in finding.detail
    assert "not in ka10099: 000120" in finding.detail
    assert finding.difference == {"-000000", "+000120"}


COUNTS = [
    ("the same", walk(codes(120)), 120, 120, {}, NONE_KNOWN, FIRST, YES),
    ("first walk, one lost", walk(codes(119)), 120, 119, {}, NONE_KNOWN, FIRST, OPEN_QUESTION),
    ("first walk, cut", walk(codes(100), ends_full=True), 101, 100, {}, NONE_KNOWN, FIRST, NO),
    ("first walk, many lost", walk(codes(90)), 120, 90, {}, NONE_KNOWN, FIRST, NO),
    ("more rows than members", walk(codes(121)), 120, 120, {}, NONE_KNOWN, FIRST, OPEN_QUESTION),
    ("learnt, one lost", walk(codes(119)), 120, 119, {}, EQUAL, LATER, NO),
    ("learnt, one lost overnight", walk(codes(119)), 120, 119, {}, EQUAL, OVERNIGHT, OPEN_QUESTION),
    ("the known offset", walk(codes(81)), 84, 81, {}, Offset(frozenset({"-3"})), LATER, YES),
    ("one more than the offset", walk(codes(80)), 84, 80, {}, Offset(frozenset({"-3"})), LATER, NO),
    ("zeros", walk(codes(120)), 0, 0, {}, EQUAL, LATER, OPEN_QUESTION),
    ("an index without members", walk(codes(0)), 0, 0, {}, NONE_KNOWN, FIRST, YES),
    ("off-hours volume", walk(codes(120)), 120, 120, {"volume": 121_200_000}, EQUAL, LATER, YES),
    ("another volume", walk(codes(120)), 120, 120, {"volume": 60_000_000}, EQUAL, LATER, OPEN_QUESTION),
    ("fewer traded than before", walk(codes(120), traded=60), 120, 100, {}, EQUAL, LATER, OPEN_QUESTION),
]


@pytest.mark.parametrize(
    ("seen", "members", "traded", "changes", "offset", "standing", "verdict"),
    [line[1:] for line in COUNTS],
    ids=[line[0] for line in COUNTS],
)
def test_counts(seen, members, traded, changes, offset, standing, verdict):
    counts = counted(members, traded, **changes)
    assert judge_counts(seen, counts, counts, offset, standing).verdict is verdict


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, counted(120)), (counted(120), None)])
def test_counts_on_one_side_only_do_not_vouch(before, after):
    assert judge_counts(walk(codes(120)), before, after, EQUAL, LATER).verdict is OPEN_QUESTION


def test_counts_that_change_during_a_sweep_are_odd():
    finding = judge_counts(walk(codes(120)), counted(121), counted(120), EQUAL, LATER)
    assert (finding.verdict, finding.is_odd) == (OPEN_QUESTION, True)


@pytest.mark.parametrize(
    ("shown", "is_open", "is_confirmed", "verdict"),
    [
        (DAY, True, True, YES),
        (DAY, True, False, YES),
        (DAY - timedelta(days=1), True, True, NO),
        (DAY - timedelta(days=1), True, False, OPEN_QUESTION),
        (DAY - timedelta(days=1), False, True, OPEN_QUESTION),
        (DAY + timedelta(days=1), True, True, OPEN_QUESTION),
        (None, True, True, OPEN_QUESTION),
    ],
)
def test_date(shown, is_open, is_confirmed, verdict):
    assert judge_date(shown, DAY, is_open=is_open, is_confirmed=is_confirmed).verdict is verdict


@pytest.mark.parametrize(
    ("volume", "before", "after", "same"),
    [
        (120_000_000, counted(120), counted(120), True),
        (120_000_000, None, counted(120), True),
        (110_000_000, counted(120), counted(120), False),
        (120_000_000, counted(120, 119), counted(120), False),
        (120_000_000, counted(120), None, False),
    ],
)
def test_a_session_is_confirmed_by_its_volume(volume, before, after, same):
    assert is_same_session(volume, before, after) is same


def found(source: WitnessSource, verdict: Corroboration) -> WitnessFinding:
    return WitnessFinding(source, verdict, str(source))


@pytest.mark.parametrize(
    ("members", "counts", "day", "verdict", "remarks"),
    [
        (YES, YES, YES, YES, ()),
        (YES, OPEN_QUESTION, OPEN_QUESTION, YES, ()),
        (OPEN_QUESTION, OPEN_QUESTION, YES, OPEN_QUESTION, ()),
        (NO, OPEN_QUESTION, YES, NO, (Remark.WITNESS_MEMBERS,)),
        (NO, NO, YES, NO, (Remark.WITNESS_MEMBERS, Remark.WITNESS_COUNT)),
        (NO, YES, YES, OPEN_QUESTION, ()),
        (YES, NO, YES, OPEN_QUESTION, ()),
        (YES, YES, NO, NO, (Remark.WITNESS_DATE,)),
    ],
)
def test_one_judgement_of_three(members, counts, day, verdict, remarks):
    judgement = combine(
        [
            found(WitnessSource.MEMBERS, members),
            found(WitnessSource.COUNTS, counts),
            found(WitnessSource.DATE, day),
        ]
    )
    assert (judgement.corroboration, judgement.remarks) == (verdict, remarks)


def taught(differences: list[tuple[set[str], int]], seen: WalkCounts) -> Offset:
    offset = Offset()
    for difference, day in differences:
        finding = WitnessFinding(WitnessSource.MEMBERS, OPEN_QUESTION, "", frozenset(difference))
        offset = learn(offset, finding.difference, seen, DAY + timedelta(days=day))
    return offset


LARGE = {f"-{number:06}" for number in range(50)}


@pytest.mark.parametrize(
    ("differences", "ends_full", "settled"),
    [
        ([(set(), 0)], False, set()),
        ([({"-000001"}, 0)] * 2, False, None),
        ([({"-000001"}, 0)] * 3, False, {"-000001"}),
        ([({"-000001"}, 0), ({"-000002"}, 0), ({"-000001"}, 0)], False, None),
        ([({"-000001"}, 0)] * 5, True, None),
        ([(LARGE, 0)] * 5, False, None),
        ([(LARGE, 0), (LARGE, 1), (LARGE, 2)], False, LARGE),
        ([(set(), 0), ({"-000001"}, 0)], False, set()),
    ],
    ids=["equal", "two", "three", "changing", "full page", "large", "large for days", "equal before"],
)
def test_offset_is_learnt(differences, ends_full, settled):
    offset = taught(differences, walk(codes(120), ends_full=ends_full))
    assert offset.settled == (None if settled is None else frozenset(settled))


def test_rows_are_counted_as_the_api_signs_them():
    target = Target.of("KOSPI", "013", "KRX")
    seen = count_walk(reading(target, OPEN, snapshots(205)))
    assert (seen.rows, seen.traded, seen.ends_full) == (205, 205, False)
    assert (seen.advancers, seen.unchanged, seen.decliners) == (82, 41, 82)
    assert seen.volume == sum(row.volume for row in snapshots(205))


@dataclass
class Sector:
    """A sector of a simulated board: its members, and by how many ka20003 counts another number for good."""

    members: frozenset[str]
    surplus: int
    unlisted: frozenset[str]
    counts: Offset = NONE_KNOWN
    lists: Offset = NONE_KNOWN


def sweep_once(sector: Sector, draw: Random, day: date, *, is_first: bool, noise: bool) -> Judgement:
    """One true walk between two answers of ka20003 that lag, with off-hours volume and a list that may be silent."""
    size = len(sector.members)
    start = draw.randrange(size)
    middle = min(size, start + draw.randrange(3))
    end = min(size, middle + draw.randrange(3))
    rate = 1 + draw.random() / 100 if noise else 1

    def counts(traded: int) -> SectorCounts | None:
        lagging = max(0, traded - draw.randrange(2)) if noise else traded
        volume = int(1_000_000 * lagging * rate)
        if noise and draw.random() < 0.005:
            return None
        return counted(size + sector.surplus, lagging, volume=volume)

    seen = walk(sector.members, traded=middle)
    expected = sector.members - sector.unlisted
    standing = WalkContext(is_first, draw.random() < 0.1)
    listed = None if noise and draw.random() < 0.01 else expected
    findings = [
        judge_members(seen, listed, sector.lists, standing),
        judge_counts(seen, counts(start), counts(end), sector.counts, standing),
    ]
    sector.lists = learn(sector.lists, findings[0].difference, seen, day)
    sector.counts = learn(sector.counts, findings[1].difference, seen, day)
    return combine(findings)


@pytest.mark.extended
def test_true_walks_are_corroborated_and_never_contradicted():
    """300 sweeps of 30 sectors with lag, off-hours volume, silent witnesses and offsets for good."""
    draw = Random(18)
    sectors = [
        Sector(codes(size), draw.choice((0, 0, 0, 3)), codes(draw.choice((0, 0, 0, 1))))
        for size in draw.sample(range(5, 900), 30)
    ]
    for number in range(10):
        for sector in sectors:
            sweep_once(sector, draw, DAY + timedelta(days=number), is_first=number == 0, noise=False)
    verdicts = [
        sweep_once(
            sector, draw, DAY + timedelta(days=10 + number // 50), is_first=False, noise=True
        ).corroboration
        for number in range(300)
        for sector in sectors
    ]
    assert verdicts.count(NO) == 0
    assert verdicts.count(YES) / len(verdicts) >= 0.98


@pytest.mark.parametrize("size", [101, 200, 299, 1_821])
def test_a_list_cut_at_a_page_border_is_never_certified_first(size: int):
    cut = (size - 1) // 100 * 100
    for pages in range(0, cut + 1, 100):
        seen = walk(codes(pages), ends_full=pages > 0)
        assert judge_members(seen, codes(size), NONE_KNOWN, FIRST).verdict is NO
        assert judge_counts(seen, counted(size), counted(size), NONE_KNOWN, FIRST).verdict is NO


def test_one_member_missing_anywhere_is_never_corroborated():
    whole = codes(200)
    for lost in sorted(whole):
        seen = walk(whole - {lost})
        findings = [
            judge_members(seen, whole, NONE_KNOWN, FIRST),
            judge_counts(seen, counted(200), counted(200), NONE_KNOWN, FIRST),
        ]
        assert combine(findings).corroboration is not YES
        assert lost in findings[0].detail
