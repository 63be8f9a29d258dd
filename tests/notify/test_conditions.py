"""Conditions from figures, and the events that begin and end with them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from collector.db.notices import LoweredQuota, Notice, NoticedWalk
from collector.notify.changes import compare
from collector.notify.conditions import (
    Condition,
    behind,
    calendar_end,
    contradiction,
    days_until_full,
    filling_disk,
    is_whole,
    lowered_quotas,
    shows_end,
    slot_failures,
)

AT = datetime(2026, 11, 27, 1, 0, tzinfo=UTC)
GB = 1_000_000_000


def line(status="complete", *, error="", remarks=(), corroboration="unchecked", target="KOSPI/001/KRX"):
    return NoticedWalk(status, error, remarks, corroboration, 10, target)


def notice(kind, subject):
    return Notice(1, kind, subject, AT)


def test_each_kind_of_failure_of_a_slot_is_one_condition():
    lines = [
        line(),
        line("failed", error="Unavailable: timeout", target="A"),
        line("failed", error="Unavailable: refused", target="B"),
        line("failed", error="Rejected: Kiwoom says no"),
        line("missed", error="overrun"),
        line("suspect", remarks=("row_count", "late")),
    ]
    found = slot_failures("intraday", AT, lines)
    assert [condition.subject for condition in found] == [
        "intraday failed Rejected",
        "intraday failed Unavailable",
        "intraday missed overrun",
        "intraday suspect row_count",
    ]
    facts = found[1].facts
    assert (facts["count"], facts["total"], facts["targets"]) == (2, 6, ["A", "B"])
    assert facts["error"] == "Unavailable: timeout"


def test_what_another_event_tells_is_no_failure():
    lines = [line("missed", error="denied"), line("suspect", remarks=("witness_count",))]
    assert slot_failures("s", AT, lines) == []


def test_contradicted_walks_are_one_condition_and_a_corroborated_walk_ends_it():
    lines = [line("suspect", corroboration="contradicted", target=name) for name in "ABCD"]
    (found,) = contradiction("s", AT, lines)
    assert (found.facts["count"], found.facts["targets"]) == (4, ["A", "B", "C"])
    assert contradiction("s", AT, [line()]) == []
    lasting = notice("contradicted", "s")
    assert not shows_end(lasting, [line()])
    assert shows_end(lasting, [line(corroboration="corroborated")])


def test_a_slot_without_a_complete_walk_ends_no_failure():
    assert not shows_end(notice("failure", "s failed Unavailable"), [line("missed", error="late")])
    assert shows_end(notice("failure", "s failed Unavailable"), [line("missed", error="late"), line()])


@pytest.mark.parametrize(
    ("lines", "expected", "whole"),
    [([line(), line()], 2, True), ([line()], 2, False), ([line(), line("failed")], 2, False), ([], 0, False)],
    ids=["whole", "short", "failed", "empty"],
)
def test_a_slot_is_whole_if_every_target_is_complete(lines, expected, whole):
    assert is_whole(lines, expected) is whole


SLOTS = [AT - timedelta(minutes=5 * number) for number in range(6)]


@pytest.mark.parametrize(
    ("complete", "slots", "last"),
    [
        ((0, 1, 1, 2), 3, SLOTS[3]),
        ((0, 1, 2, 0, 0, 0), None, None),
        ((0, 0), None, None),
        ((0, 0, 0, 0, 0, 0), 6, None),
        ((2, 0, 0, 0), None, None),
    ],
    ids=["three", "two", "new schedule", "never", "whole"],
)
def test_a_schedule_is_behind_after_three_slots_in_a_row(complete, slots, last):
    counts = dict(zip(SLOTS, complete, strict=False))
    found = behind("s", SLOTS, counts, expected=2, least=3)
    if slots is None:
        assert found == []
        return
    (condition,) = found
    assert condition.facts["slots"] == slots
    assert condition.since == SLOTS[slots - 1]
    assert condition.facts["last"] == (last.isoformat() if last else "")


def test_a_slot_under_way_hides_no_slots_before_it():
    counts = {SLOTS[0]: 0, SLOTS[2]: 1, SLOTS[3]: 0, SLOTS[4]: 2}
    (condition,) = behind("s", SLOTS, counts, expected=2, least=3)
    assert (condition.facts["slots"], condition.since) == (3, SLOTS[3])


def test_a_lowered_rate_is_a_condition_of_its_key():
    (found,) = lowered_quotas([LoweredQuota("digest", "ka20002", 3, AT)], {"digest": "main"}, 5)
    assert found == Condition(
        "quota", "main ka20002", AT, {"key": "main", "api_id": "ka20002", "granted": 3, "configured": 5}
    )


def test_a_calendar_is_a_condition_in_its_last_days():
    today = date(2027, 12, 2)
    assert calendar_end(date(2027, 12, 31), AT, today, 29) == []
    (found,) = calendar_end(date(2027, 12, 31), AT, today, 30)
    assert found.facts == {"until": "2027-12-31", "days": 29}


def samples(*sizes, hours=6):
    return [(AT + timedelta(hours=hours * n), round(size * GB)) for n, size in enumerate(sizes)]


def test_the_disk_is_full_where_the_line_through_the_samples_ends():
    assert days_until_full(samples(100, 99, 98, 97, 96)) == pytest.approx(24)
    assert days_until_full(samples(100, 100, 100)) is None
    assert days_until_full(samples(100, 110)) is None
    assert days_until_full(samples(100, 1, hours=5)) is None
    assert days_until_full([]) is None


def test_a_disk_is_a_condition_if_it_fills_soon_or_is_nearly_full():
    assert filling_disk("h", "/data", samples(100, 99, 98, 97, 96), AT, 24) == []
    (soon,) = filling_disk("h", "/data", samples(100, 99, 98, 97, 96), AT, 25)
    assert (soon.facts["days"], soon.facts["free_gb"]) == (24, 96.0)
    (low,) = filling_disk("h", "/data", samples(1.9), AT, 7)
    assert low.facts["days"] == -1
    assert filling_disk("h", "/data", [], AT, 7) == []


def test_events_begin_and_end_by_comparison():
    lasting = [notice("behind", "a"), notice("failure", "a failed Rejected")]
    seen = [Condition("behind", "a", AT), Condition("failure", "a missed late", AT)]
    changes = compare(lasting, seen)
    assert list(changes.begun) == [seen[1]]
    assert list(changes.ended) == [lasting[1]]
    assert not compare(lasting[:1], seen[:1])


def test_unwanted_kinds_do_not_begin_and_what_is_unseen_does_not_end():
    lasting = [notice("failure", "a failed Rejected")]
    seen = [Condition("behind", "a", AT)]
    assert not compare(lasting, seen, wants=lambda kind: kind != "behind", shows_end=lambda _: False)
