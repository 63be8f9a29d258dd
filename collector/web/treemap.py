"""A squarified treemap: tile areas are proportional to weights (Bruls and others, 2000). Pure."""

from collections.abc import Sequence
from typing import NamedTuple

_NARROW, _WIDE = frozenset("ijlftrI.,;:'|!()[]/- "), frozenset("mwMW&%@—…")


class Tile(NamedTuple):
    """A rectangle in the unit of the whole map."""

    x: float
    y: float
    width: float
    height: float


def tiles(weights: Sequence[float], width: float, height: float) -> list[Tile]:
    """One tile per weight. The weights must be positive and in falling order."""
    total = sum(weights)
    areas = [weight / total * width * height for weight in weights]
    tiles: list[Tile] = []
    x = y = 0.0
    while areas:
        count = _row(areas, min(width, height))
        row, areas = areas[:count], areas[count:]
        thick = sum(row) / min(width, height)
        if width >= height:
            tiles += _stack_row(row, x, y, thick, upright=True)
            x, width = x + thick, width - thick
        else:
            tiles += _stack_row(row, x, y, thick, upright=False)
            y, height = y + thick, height - thick
    return tiles


def fit_text(text: str, width: float, size: float) -> str:
    """The text, shortened with … to `width` in letters of this size; "" if less than two letters fit."""
    if _width(text) * size <= width:
        return text
    room = width / size - _width("…")
    count = next((n for n in range(len(text), 0, -1) if _width(text[:n]) <= room), 0)
    return text[:count].rstrip() + "…" if count > 1 else ""


def _width(text: str) -> float:
    """An upper estimate of a text's width in a wide sans-serif font, in units of the letter size."""
    return sum(0.42 if char in _NARROW else 1.0 if char in _WIDE or char > "ᄀ" else 0.66 for char in text)


def _row(areas: Sequence[float], side: float) -> int:
    """The number of areas in the best row along a side."""
    best = 1
    while best < len(areas) and _worst(areas[: best + 1], side) <= _worst(areas[:best], side):
        best += 1
    return best


def _worst(row: Sequence[float], side: float) -> float:
    """The largest aspect ratio in a row of tiles."""
    total = sum(row)
    return max(side * side * max(row) / total**2, total**2 / (side * side * min(row)))


def _stack_row(row: Sequence[float], x: float, y: float, thick: float, *, upright: bool) -> list[Tile]:
    tiles = []
    for area in row:
        long = area / thick
        tiles.append(Tile(x, y, thick, long) if upright else Tile(x, y, long, thick))
        x, y = (x, y + long) if upright else (x + long, y)
    return tiles
