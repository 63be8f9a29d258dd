"""A square of the grid as HTML: written here and not in a template, since a day has thousands of them."""

from markupsafe import Markup, escape

from collector.web.day import UNWRITTEN, Mark, Square
from collector.web.reader import Reader, clock, compact

_NOTHING = Markup('<span class="sq none"></span>')
_LINK = Markup('<a class="sq {}" href="{}" aria-label="{}" title="{}"></a>')
_SIGN = Markup('<span class="sq {}" role="img" aria-label="{}" title="{}"></span>')


def square(reader: Reader, one: Square) -> Markup:
    """A link to what is known of it, labelled for who does not see its colour.

    A gap leads to its slot: there is no walk of it. What is still to come leads nowhere.
    """
    mark = one.mark
    if mark is Mark.NONE:
        return _NOTHING
    label = escape(f"{clock(one.slot)} {one.label}: {_said(reader, one)}")
    if one.sector is None or mark is Mark.ABSENT:
        place = reader.link(f"/slot/{compact(one.slot)}", market=one.market, exchange=one.exchange)
        return _LINK.format(mark, place, label, label)
    if mark in UNWRITTEN:
        return _SIGN.format(mark, label, label)
    return _LINK.format(mark, reader.link(f"/walk/{compact(one.slot)}/{one.label}"), label, label)


def _said(reader: Reader, one: Square) -> str:
    if one.sector is not None:
        return reader.text(one.mark)
    return ", ".join(f"{reader.text(mark)} {count}" for mark, count in one.marks.items())
