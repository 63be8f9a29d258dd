"""The comparison of sectors: the courses of a day in one chart."""

from datetime import date

from collector.base.days import day_bounds
from collector.model import KST, Target
from collector.web.chart import Point, chart
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.queries.market import Breadth
from collector.web.tables import table
from collector.web.views.base import NotFound, View, target_of
from collector.web.views.sector import WEIGHTS, mean_of

MOST = 6
"""Sectors in one chart; each has a colour and a dash pattern of its own."""


async def compare_view(desk: ViewContext, texts: str, added: str, day: date | None, weight: str) -> View:
    """Some targets, separated by commas, and one that is added."""
    ids = {target: target_id for target_id, target in (await desk.targets()).items()}
    chosen = list(dict.fromkeys(_target(text) for text in [*texts.split(","), added] if text))[-MOST:]
    if any(target not in ids for target in chosen):
        raise NotFound("no_target")
    weight = weight if weight in WEIGHTS else WEIGHTS[0]
    day = day or await _newest_day(desk, [ids[target] for target in chosen])
    courses = {target: await _course(desk, ids[target], day) for target in chosen}
    sectors = await desk.sectors()
    values = {
        "day": day,
        "note": await describe_day(desk, day),
        "weight": weight,
        "chosen": _join(chosen),
        "without": {target: _join([other for other in chosen if other != target]) for target in chosen},
        "others": sorted(target for target in ids if target not in chosen),
        "sectors": sectors,
        "newest": [(target, course[-1] if course else None) for target, course in courses.items()],
        "names": {f"c{index}": target for index, target in enumerate(chosen)},
        "chart": chart(
            [
                (f"c{index}", [Point(breadth.slot, mean_of(breadth, weight)) for breadth in course])
                for index, course in enumerate(courses.values())
            ],
            least=0.4,
            digits=2,
            unit=" %",
            has_shades=False,
        ),
    }
    rows = [(*target, breadth.slot, *breadth[2:]) for target, course in courses.items() for breadth in course]
    columns = "market sector exchange slot members traded up down mean_percent turnover weighted_percent"
    return View("compare.html", values, table(columns, rows))


def _target(text: str) -> Target:
    parts = text.split("/")
    if len(parts) != 3:
        raise NotFound("no_target")
    return target_of(*parts)


def _join(targets: list[Target]) -> str:
    return ",".join(str(target) for target in targets)


async def _newest_day(desk: ViewContext, target_ids: list[int]) -> date:
    newest = (await desk.queries.whole(target_ids)).values()
    return max(newest, default=desk.now()).astimezone(KST).date()


async def _course(desk: ViewContext, target_id: int, day: date) -> list[Breadth]:
    slots = await desk.queries.whole_slots(target_id, *day_bounds(day))
    return await desk.breadths.course(desk.queries, target_id, slots)
