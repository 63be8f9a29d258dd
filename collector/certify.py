"""The certificate: is this walk whole? A pure function of what was read and of what earlier walks tell.

A walk is complete only if nothing speaks against it; what does is named in the remarks. Its rows are stored
all the same (status suspect), and views of certified data leave them out.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, pairwise
from typing import NamedTuple

from collector.model import (
    KST,
    Certificate,
    Exchange,
    Known,
    Listings,
    Market,
    Page,
    Reading,
    Remark,
    Sector,
    Status,
    Target,
)

PAGE_ROWS = 100
"""Rows of a full page of ka20002, in stock-code order (several public clients measured it)."""

_BOARD = {
    Market.KOSPI: Market.KOSPI,
    Market.KOSPI200: Market.KOSPI,
    Market.KOSPI100: Market.KOSPI,
    Market.KOSDAQ: Market.KOSDAQ,
}
"""The board on which a market's members are listed; KRX100 draws on both."""

Boards = dict[str, Market]
"""symbol → the board that earlier complete walks found it on."""


def certify(reading: Reading, known: Known, *, sector: Sector | None, boards: Boards) -> Certificate:
    """Judge a walk that was read to some end.

    `known` is what the ledger tells of the target, `sector` its line in the sector table (None: not in it),
    `boards` where symbols were seen before. Remarks come in the order of the checks, each once.
    """
    remarks = tuple(dict.fromkeys(_remarks(reading, known, sector, boards)))
    return Certificate(Status.SUSPECT if remarks else Status.COMPLETE, remarks)


def board(market: Market) -> Market | None:
    """The board that every member of this market is listed on, None where both may be."""
    return _BOARD.get(market)


def members_digest(reading: Reading) -> bytes:
    """Eight bytes that are equal exactly where two walks list the same symbols (up to a hash collision)."""
    return _listed(reading).digest


def names_digest(reading: Reading) -> bytes:
    """Eight bytes that are equal exactly where two walks list the same symbols and names in the same order."""
    return _listed(reading).names_digest


class _Listed(NamedTuple):
    """What there is to know of who is on a walk's pages, in their order."""

    symbols: Sequence[str]
    repeats: bool
    out_of_order: bool
    digest: bytes
    names_digest: bytes


def _listed(reading: Reading) -> _Listed:
    return _looked_through(tuple(page.rows.listings for page in reading.pages))


@lru_cache(maxsize=1024)  # walks list the same all day
def _looked_through(pages: Sequence[Listings]) -> _Listed:
    symbols = tuple(chain.from_iterable(page.symbol for page in pages))
    distinct = sorted(set(symbols))
    return _Listed(
        symbols,
        repeats=len(distinct) < len(symbols),
        out_of_order=_out_of_order([page.symbol for page in pages]),
        digest=blake2b(",".join(distinct).encode(), digest_size=8).digest(),
        names_digest=blake2b("\n".join(_name_lines(pages)).encode(), digest_size=8).digest(),
    )


def _name_lines(pages: Sequence[Listings]) -> Iterator[str]:
    for page in pages:
        yield from (f"{symbol}\t{name}" for symbol, name in zip(page.symbol, page.name, strict=True))


def _remarks(reading: Reading, known: Known, sector: Sector | None, boards: Boards) -> Iterator[Remark]:
    yield from _end(reading)
    listed = _listed(reading)
    yield from _shape(reading.pages, out_of_order=listed.out_of_order)
    symbols = listed.symbols
    if any(page.bad for page in reading.pages):
        yield Remark.UNDECODED
    if listed.repeats:
        yield Remark.DUPLICATE_SYMBOL
    if any(page.wrong_suffix for page in reading.pages):
        yield Remark.WRONG_SUFFIX
    if _foreign(symbols, board(reading.target.market), boards):
        yield Remark.FOREIGN
    if not symbols:
        if not _may_be_empty(known, sector):
            yield Remark.EMPTY
    elif known.rows is not None:
        yield from _against_known(reading, len(symbols), known)
    elif _far_below(len(symbols), reading.target, sector):
        yield Remark.ROW_COUNT


def _end(reading: Reading) -> Iterator[Remark]:
    """The last page says that it is the last."""
    last = reading.pages[-1]
    if reading.stopped is not None:
        yield reading.stopped
    elif last.end_unsaid or last.next_key is not None:
        yield Remark.NO_END


def _shape(pages: Sequence[Page], *, out_of_order: bool) -> Iterator[Remark]:
    """Pages before the last are full; the last of several holds something.

    Each has as many rows as its own header says, and begins after the one before it.
    """
    *before, last = pages
    if any(page.announced not in (None, page.size) for page in pages):
        yield Remark.PAGE_COUNT
    if out_of_order:
        yield Remark.PAGE_ORDER
    if any(page.size == 0 for page in before) or (before and last.size == 0):
        yield Remark.EMPTY_PAGE
    if any(0 < page.size < max(PAGE_ROWS, before[0].size) for page in before):
        yield Remark.SHORT_PAGE


def _out_of_order(pages: Sequence[Sequence[str]]) -> bool:
    """Whether a page begins before its predecessor ended, although each is in stock-code order in itself.

    That is what the page of another target or another walk looks like. A list in any other order has pages
    that are not in order themselves and is not judged; nor are codes with letters, whose place among the
    digits nobody documents.
    """
    codes = [list(filter(str.isdigit, page)) for page in pages]
    if any(page != sorted(page) for page in codes):
        return False
    held = [page for page in codes if page]
    return any(later[0] < earlier[-1] for earlier, later in pairwise(held))


def _foreign(symbols: Sequence[str], home: Market | None, boards: Boards) -> bool:
    """Whether too many symbols are known from the other board.

    A listing moves from KOSDAQ to KOSPI now and then, so a few strangers are no proof: more than one in
    twenty and at least three, or all that are known.
    """
    if home is None:
        return False
    seen = list(filter(None, map(boards.get, symbols)))
    strangers = len(seen) - seen.count(home)
    return strangers > 0 and (strangers == len(seen) or (strangers >= 3 and strangers * 20 > len(symbols)))


def _may_be_empty(known: Known, sector: Sector | None) -> bool:
    by_nature = known.none_there or (sector is not None and sector.index_only)
    return known.rows == 0 or (by_nature and (known.rows is None or _near(0, known.rows)))


def _near(rows: int, known: int) -> bool:
    return abs(rows - known) <= max(3, known // 50)


def _far_below(rows: int, target: Target, sector: Sector | None) -> bool:
    """Whether a first walk has fewer than half the rows that the sector table expects on KRX.

    The table may be years old, so this is coarse: it catches a list that broke off after its first pages.
    """
    expected = sector.members if sector and target.exchange is Exchange.KRX else None
    return expected is not None and rows * 2 < expected


def _against_known(reading: Reading, rows: int, known: Known) -> Iterator[Remark]:
    """Rows near the last complete walk's; within one day also the same symbols.

    Members change overnight. A change within the day is what a list that shifts between two pages looks
    like, so it is suspect until a second walk shows the same members. So is another number of rows, until a
    second day does: a venue may revise its list by a tenth, a broken server does not break alike for days.
    """
    assert known.rows is not None
    members = members_digest(reading)
    if not _near(rows, known.rows):
        if members != known.members_before:
            yield Remark.ROW_COUNT
        return
    if known.day != (reading.slot.astimezone(KST)).date() or known.members is None:
        return
    if members not in (known.members, known.last_members):
        yield Remark.MEMBERSHIP
