"""Charts: gaps, bars, several days, the previous close, the weight of members, the comparison, the map in time."""

import csv
import io
import json
import re
from datetime import datetime, timedelta
from html import unescape
from itertools import pairwise

import pytest

from collector.model import KST
from collector.web.chart import HEIGHT, Point, chart
from collector.web.queries.market import Breadth
from collector.web.views.base import spread
from collector.web.views.heat import draw_sparkline
from tests.support.harness import fetch
from tests.support.web_harness import CHEMICALS, ELECTRONICS, KRX, Page, get

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=KST)


def course(*minutes: int, days: int = 0) -> list[Point]:
    return [Point(NINE + timedelta(days=days, minutes=minute), 1.0 + minute) for minute in minutes]


def test_a_missing_slot_breaks_the_line_and_is_shaded() -> None:
    drawn = chart([("KRX", course(0, 5, 10, 25, 30))], least=1)
    assert drawn
    assert drawn.lines[0].path.count("M") == 2
    [gap] = drawn.gaps
    assert (gap.start, gap.end) == (NINE + timedelta(minutes=10), NINE + timedelta(minutes=25))
    assert gap.width == pytest.approx((drawn.right - drawn.left) / 2, abs=1)


def test_several_days_stand_side_by_side_without_the_nights() -> None:
    friday, monday = course(0, 195, 390), course(0, 195, 390, days=3)
    drawn = chart([("KRX", [*friday, *monday])], least=1)
    assert drawn
    assert [tick.text for tick in drawn.across] == ["11-20", "11-23"]
    assert (drawn.lines[0].path.count("M"), drawn.gaps) == (2, [])
    widths = [b.middle - a.middle for a, b in zip(drawn.columns[:2], drawn.columns[1:3], strict=True)]
    assert widths[0] == pytest.approx(widths[1], abs=0.2)


def test_the_columns_of_a_chart_fill_it_and_have_every_value() -> None:
    drawn = chart([("KRX", course(0, 5)), ("NXT", course(5, 10))], least=1, bars=course(5, 10))
    assert drawn
    assert [[name for name, _ in column.values] for column in drawn.columns] == [
        ["KRX"],
        ["KRX", "NXT", "volume"],
        ["NXT", "volume"],
    ]
    assert sum(column.width for column in drawn.columns) == pytest.approx(drawn.right - drawn.left, abs=0.5)
    assert all(bar.y + bar.height == pytest.approx(drawn.bottom, abs=0.2) for bar in drawn.bars)


def test_the_previous_close_is_within_the_chart() -> None:
    drawn = chart([("KRX", course(0, 5))], least=1, reference=50.0)
    assert drawn
    assert drawn.reference is not None
    assert 0 <= drawn.reference <= HEIGHT


@pytest.mark.parametrize(("count", "most"), [(0, 5), (3, 5), (78, 12), (78, 1), (12, 12)])
def test_slots_are_spread_evenly_up_to_the_last(count: int, most: int) -> None:
    slots = [NINE + timedelta(minutes=minute) for minute in range(count)]
    chosen = spread(slots, most)
    assert (len(chosen) <= most, chosen[-1:]) == (True, slots[-1:])
    assert len({b - a for a, b in pairwise(chosen)}) <= 1


def test_a_sparkline_needs_two_values_and_has_the_colour_of_the_last() -> None:
    def breadth(minute: int, mean: float | None) -> Breadth:
        return Breadth(NINE + timedelta(minutes=minute), 1, 10, 10, 5, 5, mean, 1.0)

    assert draw_sparkline([breadth(0, 1.0)]) is None
    assert draw_sparkline([breadth(0, None), breadth(5, 1.0)]) is None
    drawn = draw_sparkline([breadth(0, 1.0), breadth(5, -1.0)])
    assert drawn
    assert (drawn.direction, drawn.path, drawn.zero) == ("d", "M2 2 L82 22", 12.0)


async def text(shown: Page, path: str) -> str:
    status, _, body = await get(shown.url, path)
    assert status == 200, body
    return unescape(body.decode().partition("<main")[2])


async def test_the_weighted_change_is_the_one_of_the_rows(shown: Page) -> None:
    _, _, body = await get(shown.url, f"/sector/{ELECTRONICS}/course.json")
    told = {row["slot"]: row["weighted_percent"] for row in json.loads(body)}
    held = await fetch(
        shown.address,
        "SELECT slot, (sum(change_percent * price * volume) / sum(price * volume))::float8 FROM snapshot"
        " WHERE sector = '013' GROUP BY slot",
    )
    assert told == {slot.astimezone(KST).isoformat(): pytest.approx(value) for slot, value in held}


async def test_sectors_are_compared_in_one_chart_with_one_row_each(shown: Page) -> None:
    found = await text(shown, f"/compare?targets={CHEMICALS},{ELECTRONICS}&add={KRX}&lang=en")
    assert re.findall(r'<g class="line (c\d)', found) == ["c2", "c1", "c0"]
    assert [str(each) in found for each in (CHEMICALS, ELECTRONICS, KRX)] == [True] * 3
    _, _, body = await get(shown.url, f"/compare.csv?targets={CHEMICALS},{ELECTRONICS}")
    sectors = [row["sector"] for row in csv.DictReader(io.StringIO(body.decode()))]
    assert sectors == ["008"] * 3 + ["013"] * 3


@pytest.mark.parametrize("targets", ["KOSPI/999/KRX", "nothing", "KOSPI/013", "<b>", "NASDAQ/013/KRX"])
async def test_an_unknown_sector_cannot_be_compared(shown: Page, targets: str) -> None:
    status, _, _ = await get(shown.url, f"/compare?targets={targets.replace('<', '%3C').replace('>', '%3E')}")
    assert status == 404


async def test_the_map_goes_back_in_time(shown: Page) -> None:
    _, _, body = await get(shown.url, "/heat/KOSPI/KRX.csv?slot=20261120T090500")
    told = {row["sector"]: row for row in csv.DictReader(io.StringIO(body.decode()))}
    assert {row["slot"][11:16] for row in told.values()} == {"09:05"}
    held = await fetch(
        shown.address,
        "SELECT sector, avg(change_percent)::float8 FROM snapshot"
        " WHERE slot = '2026-11-20 09:05+09' AND exchange = 'KRX' GROUP BY sector",
    )
    assert {sector: float(row["mean_percent"]) for sector, row in told.items()} == pytest.approx(dict(held))
    assert (await get(shown.url, "/heat/KOSPI/KRX?slot=20261120T090600"))[0] == 404
    assert "Sunday" in await text(shown, "/heat/KOSPI/KRX?day=2026-11-22&lang=en")


@pytest.mark.parametrize("days", ["1", "5", "20", "9999", "x"])
async def test_several_days_are_drawn_where_there_is_one(shown: Page, days: str) -> None:
    assert 'class="line mean' in await text(shown, f"/sector/{KRX}?days={days}")
    assert 'class="line KRX' in await text(shown, f"/listing/000002?days={days}")
