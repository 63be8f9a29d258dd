"""Nothing is drawn as absent that no schedule asked for."""

from datetime import datetime, timedelta

import pytest

from collector.model import KST, Target
from collector.web.grid import DayLedger, Mark, UniverseSection, lacking, section, totals

SLOT = datetime(2026, 11, 20, 9, 0, tzinfo=KST)
FEW = [Target.of("KOSPI", code, "KRX") for code in ("001", "005", "013")]
MANY = [Target.of("KOSPI", f"{code:03}", "KRX") for code in range(1, 40)]
LEDGER = DayLedger({}, {(SLOT, FEW[0]): Mark.COMPLETE}, (), None, SLOT + timedelta(hours=1))


@pytest.mark.parametrize("targets", [FEW, MANY], ids=["rows", "tiles"])
def test_a_universe_without_a_schedule_has_no_absent_targets(targets: list[Target]) -> None:
    lane = UniverseSection("gone", [], {SLOT: SLOT}, targets)
    assert totals([section(lane, LEDGER)]) == {Mark.COMPLETE: 1}
    assert set(lacking([lane], SLOT, FEW[:1], LEDGER).values()) == {Mark.NONE}


@pytest.mark.parametrize("targets", [FEW, MANY], ids=["rows", "tiles"])
def test_a_target_that_a_schedule_asked_for_is_absent(targets: list[Target]) -> None:
    lane = UniverseSection("boards", ["intraday"], {SLOT: SLOT}, targets)
    assert totals([section(lane, LEDGER)])[Mark.ABSENT] == len(targets) - 1
