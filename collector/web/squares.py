"""Renders a square of the grid to HTML. This is code instead of a template, because a day has thousands of
squares.
"""

from markupsafe import Markup, escape

from collector.web.grid import UNWRITTEN, Mark, Square
from collector.web.viewer import ViewerPreferences, clock, compact

_NOTHING = Markup('<span class="sq none"></span>')
_LINK = Markup('<a class="sq {}" href="{}" aria-label="{}" title="{}"></a>')
_SIGN = Markup('<span class="sq {}" role="img" aria-label="{}" title="{}"></span>')


def square(reader: ViewerPreferences, square: Square) -> Markup:
    """A link to the walk, with a label for users who do not see the colour.

    A missing walk links to its slot. A future slot has no link.
    """
    mark = square.mark
    if mark is Mark.NONE:
        return _NOTHING
    kind = f"{mark} {square.note}" if square.note else str(mark)
    label = escape(f"{clock(square.slot)} {square.label}: {_describe_marks(reader, square)}")
    if square.sector is None or mark is Mark.ABSENT:
        href = reader.link(f"/slot/{compact(square.slot)}", market=square.market, exchange=square.exchange)
        return _LINK.format(kind, href, label, label)
    if mark in UNWRITTEN:
        return _SIGN.format(mark, label, label)
    return _LINK.format(kind, reader.link(f"/walk/{compact(square.slot)}/{square.label}"), label, label)


def _describe_marks(reader: ViewerPreferences, square: Square) -> str:
    if square.sector is not None:
        return ", ".join(reader.text(state) for state in (square.mark, *square.notes))
    counts = [*square.marks.items(), *square.notes.items()]
    return ", ".join(f"{reader.text(state)} {count}" for state, count in counts if count)
