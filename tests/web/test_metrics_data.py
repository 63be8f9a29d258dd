"""The figures behind the metrics: of several schedules at once, in few queries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collector import config
from collector.config import build_timetable
from collector.db import Connection
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import connect, open_pool
from collector.market.sectors import bundled_sectors
from collector.model import Status
from collector.web.metrics_data import MetricsData, MetricsGatherer
from collector.web.queries import Queries
from tests.support import web_harness
from tests.support.web_harness import NOW, YAML, slot

FOUR = (
    YAML.replace(
        b"schedules:", b"  chemicals: [{market: KOSPI, sectors: [008], exchanges: [KRX]}]\nschedules:"
    )
    + b"  half: {universe: boards, every: 10m, during: KRX.regular}\n"
    + b"  board: {universe: chemicals, every: 5m, during: KRX.regular}\n"
    + b"  never: {universe: chemicals, at: '23:00'}\n"
)


class Counted:
    """The queries of one connection, counted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.count = 0

    @asynccontextmanager
    async def connection(self, _what: str) -> AsyncIterator[Connection]:
        def note(_record: object) -> None:
            self.count += 1

        with self._connection.query_logger(note):
            yield self._connection


async def gathered(address: Dsn, yaml: bytes) -> tuple[MetricsData, int]:
    """The figures at `NOW`, and the number of queries."""
    calendar = web_harness.days_of()
    timetable = build_timetable(config.parse(yaml, "test.yaml"), calendar, bundled_sectors())
    async with open_pool(address, size=1) as pool, connect(address) as connection:
        targets = await Queries(Database(pool, address)).targets()
        counted = Counted(connection)
        numbers = {target: number for number, target in targets.items()}
        found = await MetricsGatherer().gather(counted, timetable, numbers, NOW)  # type: ignore[arg-type]
    return found, counted.count


async def test_each_schedule_has_the_figures_of_its_own_slots_and_targets(shown):
    """A universe is due once at an instant: `half` takes every second slot of `intraday`."""
    found, _ = await gathered(shown.address, FOUR)
    assert {name: (dict(each.statuses), each.absent) for name, each in found.schedules.items()} == {
        "intraday": ({"complete": 5, "suspect": 1, "failed": 1, "missed": 1}, 0),
        "half": ({"complete": 8}, 0),
        "board": ({"complete": 3, "failed": 1}, 0),
        "never": ({}, 0),
    }
    last = {name: each.last and each.last.slot for name, each in found.schedules.items()}
    assert last == {"intraday": slot(3), "half": slot(2), "board": None, "never": None}
    courses = {course.schedule.name: course for course in found.facts.courses}
    assert {name: course.newest for name, course in courses.items()} == {
        "intraday": slot(1),
        "half": slot(2),
        "board": slot(2),
        "never": None,
    }
    assert found.facts.behind() == {"intraday": 1, "half": 0, "board": 1, "never": 0}
    causes = {name: course.cause for name, course in courses.items()}
    assert causes == {"intraday": web_harness.ERROR, "half": "", "board": web_harness.ERROR, "never": ""}


@pytest.mark.parametrize("universes", [1, 10])
async def test_a_hundred_schedules_take_as_many_queries_as_four(shown, universes):
    lines = [b"universes:"]
    lines += [
        b"  u%d: [{market: KOSPI, sectors: [008, 013], exchanges: [KRX]}]" % number
        for number in range(universes)
    ]
    lines += [b"schedules:"]
    lines += [
        b"  s%d: {universe: u%d, at: '%02d:%02d'}"
        % (number, number % universes, 9 + number // 60, number % 60)
        for number in range(100)
    ]
    found, many = await gathered(shown.address, b"\n".join(lines))
    assert sum(each.absent for each in found.schedules.values()) > 0
    assert many <= (await gathered(shown.address, FOUR))[1]


async def test_an_empty_ledger_has_no_figures(database: Dsn):
    found, _ = await gathered(database, FOUR)
    assert [(dict(each.statuses), each.absent, each.last) for each in found.schedules.values()] == [
        ({}, 0, None)
    ] * 4
    assert found.facts.since is None
    assert Status.COMPLETE not in found.schedules["intraday"].statuses
