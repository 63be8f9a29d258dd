"""The geometry of a small line chart for SVG: lines, ticks and a line at zero. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil, floor, log10
from typing import NamedTuple

from collector.model import KST

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 76, 28, 14, 30
_STEPS = [timedelta(minutes=n) for n in (1, 2, 5, 10, 30, 60, 120, 240)]


class Point(NamedTuple):
    """A value at an instant. None breaks the line."""

    at: datetime
    value: float | None


class Tick(NamedTuple):
    """A position on an axis and its label."""

    position: float
    text: str


class Dot(NamedTuple):
    """A single point without a neighbour to connect to."""

    x: float
    y: float


class Line(NamedTuple):
    """One series: an SVG path, its isolated points, and the position of its last point."""

    name: str
    path: str
    dots: Sequence[Dot]
    end: Dot | None


@dataclass(frozen=True)
class Chart:
    """The input of the template."""

    lines: Sequence[Line]
    across: Sequence[Tick]
    up: Sequence[Tick]
    zero: float | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(series: Sequence[tuple[str, Sequence[Point]]], *, least: float, digits: int = 0) -> Chart | None:
    """The chart of several series by name, with a value range of at least `least`; None without any value."""
    points = [point for _, course in series for point in course if point.value is not None]
    if not points:
        return None
    first, last = min(point.at for point in points), max(point.at for point in points)
    values = [point.value for point in points if point.value is not None]
    ticks = _ticks(min(values), max(values), least)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)
    across = _Scale(first.timestamp(), last.timestamp(), LEFT, WIDTH - RIGHT)
    up = _Scale(low, high, HEIGHT - BOTTOM, TOP)
    return Chart(
        [_line(name, course, across, up) for name, course in series],
        [Tick(across(at.timestamp()), f"{at.astimezone(KST):%H:%M}") for at in _hours(first, last)],
        [Tick(up(value), f"{value:,.{digits}f}".replace("-", "−")) for value in ticks],
        up(0) if low <= 0 <= high else None,
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def _line(name: str, course: Sequence[Point], across: _Scale, up: _Scale) -> Line:
    runs: list[list[Dot]] = []
    for is_there, group in groupby(course, lambda point: point.value is not None):
        if is_there:
            runs.append([Dot(across(at.timestamp()), up(value or 0.0)) for at, value in group])
    path = " ".join(_path(run) for run in runs if len(run) > 1)
    return Line(name, path, [run[0] for run in runs if len(run) == 1], runs[-1][-1] if runs else None)


def _path(run: Iterable[Dot]) -> str:
    return "M" + " L".join(f"{dot.x:g} {dot.y:g}" for dot in run)


def _ticks(low: float, high: float, least: float) -> list[float]:
    """About five round values, from below the lowest to above the highest."""
    lack = max(0.0, least - (high - low)) / 2
    low, high = low - lack, high + lack
    raw = (high - low) / 4
    size = 10 ** floor(log10(raw))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw)
    return [index * step for index in range(floor(low / step), ceil(high / step) + 1)]


def _hours(first: datetime, last: datetime) -> list[datetime]:
    """At most seven round times between two instants."""
    step = next((step for step in _STEPS if (last - first) / step <= 7), timedelta(days=1))
    midnight = first.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + ceil((first - midnight) / step) * step
    ticks = []
    while at <= last:
        ticks.append(at)
        at += step
    return ticks or [first]
