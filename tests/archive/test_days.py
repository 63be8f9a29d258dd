"""Which days may leave the database: those for which nothing can be written any more."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from collector.archive.day_state import why_open
from collector.db.dsn import Dsn
from collector.market.schedule import Schedule, parse
from collector.model import KST
from tests.support.archive_harness import fill, opened
from tests.support.bar_histories import CALENDAR
from tests.support.postgres_server import Server

FRIDAY = datetime(2026, 11, 20, tzinfo=KST).date()
INTRADAY = parse("intraday", universe="all", every="5m", during="KRX.regular")
CLOSE = parse("close", universe="all", at="KRX.regular.close + 10m")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=KST)


@pytest.fixture(scope="module")
async def kept(server: Server, template: str) -> AsyncIterator[Dsn]:
    """A Friday with rows, for tests that change nothing of it."""
    async with server.database(template=template) as address:
        await fill(address, FRIDAY, walks=1, rows=10)
        yield address


@pytest.mark.parametrize("forgive", [False, True], ids=["asked", "forced"])
@pytest.mark.parametrize(
    ("schedules", "now", "why"),
    [
        pytest.param([CLOSE], at(21, 3), "15:40:00 KST (close)", id="Saturday"),
        pytest.param([CLOSE], at(23, 8, 59), "15:40:00 KST (close)", id="Monday morning"),
        pytest.param([INTRADAY], at(21, 3), "15:30:00 KST (intraday)", id="the last of many slots"),
        pytest.param([CLOSE], at(23, 9), "", id="once Monday's session has opened"),
        pytest.param([], at(21, 3), "", id="where nothing is scheduled"),
    ],
)
async def test_a_day_stays_while_its_closing_can_still_be_walked(
    kept: Dsn, schedules: list[Schedule], now: datetime, why: str, *, forgive: bool
) -> None:
    """A late walk of a day that is in files would leave a ledger that they do not fit any more."""
    async with opened(kept) as held, held.connection("looking") as connection:
        found = await why_open(connection, FRIDAY, schedules, CALENDAR, now, forgive=forgive)
    assert found == (
        why and f"its slot {why} is still shown until 2026-11-23 09:00 KST, and may be walked again"
    )
