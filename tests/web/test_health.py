"""Ready means that data is flowing: judged by slots, not by the process."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from collector.market.schedule import ScheduledSlot, parse
from collector.model import KST
from collector.web.health import HealthFacts, LeaseLine, ScheduleCourse, checks
from collector.web.viewer import ViewerPreferences

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=KST)
FIVE = timedelta(minutes=5)
SCHEDULE = parse("intraday", universe="boards", every="5m", during="KRX.regular")
SLOTS = [
    ScheduledSlot(NINE + n * FIVE, "intraday", "boards", "KRX.regular", NINE + n * FIVE + FIVE / 2)
    for n in range(79)
]


def facts(
    now: datetime, complete: list[int], *, since: datetime | None = NINE, held: bool = True
) -> HealthFacts:
    whole = frozenset(SLOTS[number].at for number in complete)
    course = ScheduleCourse(SCHEDULE, SLOTS, whole, max(whole, default=None))
    lease = LeaseLine("box:1", 7, held)
    return HealthFacts(now, None, lease, [course], since)


def is_ready(found: HealthFacts) -> bool:
    return all(check.is_good for check in checks(found))


@pytest.mark.parametrize(
    ("minute", "complete", "expected"),
    [
        (3, [], True),
        (6, [], True),
        (11, [], False),
        (11, [0], True),
        (15, [0], False),
        (16, [2], True),
        (60, list(range(12)), True),
        (60, list(range(9)), False),
    ],
)
def test_two_slots_without_a_complete_sweep_are_one_too_many(minute, complete, expected):
    assert is_ready(facts(NINE + timedelta(minutes=minute), complete)) is expected


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ko", "앱키나 접속 주소가 거절되었습니다"),
        ("en", "the cause: denied. The key or the address was refused"),
    ],
)
def test_the_cause_of_the_missed_slots_is_named(language, said):
    found = facts(NINE + timedelta(minutes=15), [0])
    course = replace(found.courses[0], cause="denied")
    [check] = [each for each in checks(replace(found, courses=[course])) if not each.is_good]
    reader = ViewerPreferences("/", language, "korean", {}, {})
    assert said in reader.check_reason(check)
    assert check.reason.endswith("; the cause: denied")


def test_after_the_session_what_was_missed_is_no_longer_a_reason():
    assert is_ready(facts(NINE + timedelta(hours=8), [0]))


def test_slots_before_the_first_of_the_ledger_are_nobodys():
    assert is_ready(facts(NINE + timedelta(minutes=32), [], since=NINE + timedelta(minutes=25)))


def test_an_empty_ledger_waits_for_its_first_sweep():
    assert is_ready(facts(NINE + timedelta(hours=1), [], since=None))


def test_without_a_daemon_at_work_it_is_not_ready():
    assert not is_ready(facts(NINE + timedelta(minutes=3), [0], held=False))


def test_a_database_that_is_away_is_said():
    found = list(checks(HealthFacts(NINE, "the database does not answer")))
    assert [(check.name, check.is_good, check.reason) for check in found] == [
        ("database", False, "the database does not answer")
    ]


def test_slots_without_a_complete_sweep_are_counted():
    assert facts(NINE + timedelta(minutes=31), [0, 1]).behind() == {"intraday": 4}
