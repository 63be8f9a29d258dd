"""The geometry of a small line chart for SVG: lines, gaps, bars, ticks, and a column for each instant. Pure.

Several days lie side by side, each with the same hours and the same width; nights and weekends take no room.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import ceil, floor, log10
from statistics import median
from typing import NamedTuple

from collector.model import KST

WIDTH, HEIGHT = 720, 260
RIGHT, TOP, BOTTOM = 28, 14, 30
_LEAST_LEFT = 56
_CHARACTER = 12.2
"""Room for one character of a label at the left, at the font size that style.css gives to phones."""
_STEPS = [timedelta(minutes=n) for n in (1, 2, 5, 10, 30, 60, 120, 240)]
_TICKS = 7
_GAP = 1.5
"""A line breaks where two points are further apart than this many of its usual distances."""
_BARS = 0.22
"""The share of the height for bars."""


class Point(NamedTuple):
    """A value at an instant. None breaks the line."""

    at: datetime
    value: float | None


class Tick(NamedTuple):
    """A position on an axis and its label."""

    position: float
    text: str


class Dot(NamedTuple):
    """A point of a line."""

    x: float
    y: float


class ChartGap(NamedTuple):
    """An interval without values: its start, its width, and its ends in time."""

    x: float
    width: float
    start: datetime
    end: datetime


class ChartBar(NamedTuple):
    """A bar from the bottom of the chart."""

    x: float
    y: float
    width: float
    height: float


class ChartColumn(NamedTuple):
    """Everything at one instant: the middle of the column, its room, and the values by series."""

    at: datetime
    middle: float
    x: float
    width: float
    values: Sequence[tuple[str, float]]


class Line(NamedTuple):
    """One series: an SVG path, its isolated points, its last point, and the sign of its last value."""

    name: str
    path: str
    dots: Sequence[Dot]
    end: Dot | None
    direction: int


@dataclass(frozen=True)
class Chart:
    """The input of the template."""

    lines: Sequence[Line]
    across: Sequence[Tick]
    up: Sequence[Tick]
    zero: float | None
    reference: float | None
    gaps: Sequence[ChartGap]
    bars: Sequence[ChartBar]
    bars_name: str
    columns: Sequence[ChartColumn]
    digits: int
    unit: str
    left: int
    width: int = WIDTH
    height: int = HEIGHT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


Series = Sequence[tuple[str, Sequence[Point]]]


def chart(
    series: Series,
    *,
    least: float,
    digits: int = 0,
    unit: str = "",
    reference: float | None = None,
    bars: Sequence[Point] = (),
    bars_name: str = "volume",
    has_shades: bool = True,
) -> Chart | None:
    """The chart of several series by name, with a value range of at least `least`; None without any value.

    `reference` is a value with a line of its own, such as the previous close. Every line breaks at its gaps;
    the shades are the gaps of the first series. `bars` have their own scale, from zero.
    """
    points = [point for _, course in series for point in course if point.value is not None]
    if not points:
        return None
    values = [point.value for point in points if point.value is not None]
    values += [] if reference is None else [reference]
    ticks = _ticks(min(values), max(values), least)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)
    labels = [f"{value:,.{digits}f}{unit}".replace("-", "−") for value in ticks]
    left = _left_of(labels)
    across = _TimeScale([point.at for point in (*points, *bars)], left)
    up = _Scale(low, high, HEIGHT - BOTTOM, TOP)
    runs = {name: _runs(course) for name, course in series}
    return Chart(
        [_line(name, runs[name], across, up) for name, _ in series],
        across.ticks(),
        [Tick(up(value), label) for value, label in zip(ticks, labels, strict=True)],
        up(0) if low <= 0 <= high else None,
        None if reference is None else up(reference),
        _gaps(next(iter(runs.values())), across) if has_shades else [],
        _bars(bars, across),
        bars_name,
        _columns([*series, (bars_name, bars)], across, left),
        digits,
        unit,
        left,
    )


def _left_of(labels: Iterable[str]) -> int:
    """The room for the labels at the left."""
    return max(_LEAST_LEFT, ceil(12 + _CHARACTER * max(map(len, labels))))


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


class _TimeScale:
    """The position of an instant: its day's room, then its time of day within the hours of all days."""

    def __init__(self, instants: Sequence[datetime], left: int) -> None:
        self._left = left
        self._days = sorted({_day(at) for at in instants})
        times = [_time(at) for at in instants]
        self._first, self._last = min(times), max(times)
        self._room = self.width / len(self._days)
        self._within = _Scale(
            self._first.total_seconds(), self._last.total_seconds(), 0, self._room * self._share
        )

    @property
    def width(self) -> int:
        """The room of all days."""
        return WIDTH - self._left - RIGHT

    @property
    def _share(self) -> float:
        """A day leaves a little of its room to the night."""
        return 1.0 if len(self._days) == 1 else 0.94

    def __call__(self, at: datetime) -> float:
        start = self._left + self._days.index(_day(at)) * self._room
        return round(start + self._within(_time(at).total_seconds()), 1)

    def ticks(self) -> list[Tick]:
        """Round times of one day, or the beginnings of several days."""
        if len(self._days) > 1:
            every = ceil(len(self._days) / _TICKS)
            return [
                Tick(round(self._left + index * self._room, 1), f"{day:%m-%d}")
                for index, day in enumerate(self._days)
                if index % every == 0
            ]
        step = next(
            (step for step in _STEPS if (self._last - self._first) / step <= _TICKS), timedelta(days=1)
        )
        first = ceil(self._first / step)
        times = [
            n * step for n in range(first, first + _TICKS + 1) if self._first <= n * step <= self._last
        ] or [self._first]
        return [
            Tick(round(self._left + self._within(time.total_seconds()), 1), _clock(time)) for time in times
        ]


def _day(at: datetime) -> date:
    return at.astimezone(KST).date()


def _time(at: datetime) -> timedelta:
    """The time of day in Korea."""
    local = at.astimezone(KST)
    return timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)


def _clock(time: timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _runs(course: Sequence[Point]) -> list[list[Point]]:
    """The parts of a course without a gap: a missing value, a missing slot, or a night ends a part."""
    distances = [(b.at - a.at).total_seconds() for a, b in pairwise(course) if _day(a.at) == _day(b.at)]
    usual = timedelta(seconds=median(distances)) if distances else timedelta(days=1)
    runs: list[list[Point]] = []
    previous: Point | None = None
    for point in course:
        if point.value is not None:
            is_joined = (
                previous is not None
                and previous.value is not None
                and _day(previous.at) == _day(point.at)
                and point.at - previous.at <= _GAP * usual
            )
            if is_joined:
                runs[-1].append(point)
            else:
                runs.append([point])
        previous = point
    return runs


def _line(name: str, runs: Sequence[Sequence[Point]], across: _TimeScale, up: _Scale) -> Line:
    drawn = [[Dot(across(point.at), up(point.value or 0.0)) for point in run] for run in runs]
    path = " ".join(_path(run) for run in drawn if len(run) > 1)
    last = (runs[-1][-1].value or 0.0) if runs else 0.0
    return Line(
        name,
        path,
        [run[0] for run in drawn if len(run) == 1],
        drawn[-1][-1] if drawn else None,
        (last > 0) - (last < 0),
    )


def _path(run: Iterable[Dot]) -> str:
    return "M" + " L".join(f"{dot.x:g} {dot.y:g}" for dot in run)


def _gaps(runs: Sequence[Sequence[Point]], across: _TimeScale) -> list[ChartGap]:
    ends = [(before[-1].at, after[0].at) for before, after in pairwise(runs)]
    return [
        ChartGap(across(start), round(across(end) - across(start), 1), start, end)
        for start, end in ends
        if _day(start) == _day(end)
    ]


def _bars(bars: Sequence[Point], across: _TimeScale) -> list[ChartBar]:
    present = [point for point in bars if point.value]
    if not present:
        return []
    highest = max(point.value or 0.0 for point in present)
    heights = _Scale(0, highest, 0, _BARS * (HEIGHT - TOP - BOTTOM))
    width = round(max(1.0, min(12.0, 0.7 * across.width / len(present))), 1)
    return [
        ChartBar(
            round(across(point.at) - width / 2, 1),
            round(HEIGHT - BOTTOM - heights(point.value or 0.0), 1),
            width,
            heights(point.value or 0.0),
        )
        for point in present
    ]


def _columns(series: Series, across: _TimeScale, left: int) -> list[ChartColumn]:
    """One column for each instant with a value; the columns share the width without overlaps."""
    values: defaultdict[datetime, list[tuple[str, float]]] = defaultdict(list)
    for name, course in series:
        for point in course:
            if point.value is not None:
                values[point.at].append((name, point.value))
    instants = sorted(values)
    middles = [across(at) for at in instants]
    borders = [left, *((a + b) / 2 for a, b in pairwise(middles)), WIDTH - RIGHT]
    return [
        ChartColumn(at, middle, round(start, 1), round(max(0.0, end - start), 1), values[at])
        for at, middle, (start, end) in zip(instants, middles, pairwise(borders), strict=True)
    ]


def _ticks(low: float, high: float, least: float) -> list[float]:
    """About five round values, from below the lowest to above the highest."""
    lack = max(0.0, least - (high - low)) / 2
    low, high = low - lack, high + lack
    raw = (high - low) / 4
    size = 10 ** floor(log10(raw))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw)
    return [index * step for index in range(floor(low / step), ceil(high / step) + 1)]
