"""A walk of a late sweep: until when it sees what it is to see."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.db.worklist import ClaimedTarget
from collector.model import Target
from collector.sweep.progress import SweepProgress
from collector.sweep.reader import LateWindow, TargetReader
from tests.support.harness import reading, snapshots

SLOT = datetime(2026, 11, 20, 6, 40, tzinfo=UTC)
TARGET = Target.of("KOSPI", "001", "KRX")
UNTIL = SLOT + timedelta(hours=1)


def ended(at: datetime, until: datetime | None) -> TargetReader:
    """A walk whose last page arrived at that instant; nothing is asked for."""
    nobody: Any = None
    walk = TargetReader(nobody, SLOT, ClaimedTarget(TARGET), SweepProgress(), LateWindow(until, ()))
    walk.reading = reading(TARGET, SLOT, snapshots(3), page_times=[at])
    return walk


@pytest.mark.parametrize(
    ("microseconds", "is_outlived"), [(-1, False), (0, True), (1, True)], ids=["before", "at", "after"]
)
def test_a_page_that_arrives_as_the_next_session_opens_is_too_late(
    microseconds: int, is_outlived: bool
) -> None:
    walk = ended(UNTIL + timedelta(microseconds=microseconds), UNTIL)
    assert walk.ended_too_late() is is_outlived


def test_a_walk_that_is_not_late_is_never_outlived() -> None:
    assert not ended(UNTIL, None).ended_too_late()
