"""The certificate: decides if a walk is complete. A pure function of the walk read and of earlier walks.

A walk is complete only if nothing speaks against it; the remarks name every objection. A suspect walk is
stored with its rows, and views of certified data leave it out. Two cases are judged less strictly:

- A walk with few undecoded rows is complete with the remark `undecoded`, see `is_few`.
- A walk is judged a second time if only its difference from earlier walks speaks against it. The walks between the
  last complete one and this one decide then, see `bear_out`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from collector.market.membership import Boards, board, check_listings, has_unsorted_page, members_digest
from collector.model import (
    KST,
    Baseline,
    Certificate,
    EarlierWalk,
    Exchange,
    History,
    Market,
    Page,
    Remark,
    Sector,
    Status,
    Target,
    WalkResult,
)

PAGE_ROWS = 100
"""Rows of a full page of ka20002, sorted by stock code (measured by several public clients)."""

MOST_BAD = 10
"""Undecoded rows allowed in a complete walk: an odd cell or two is normal, more is a changed format."""
WALKS_THAT_AGREE = 3
"""Walks of one day needed to bear out another row count. No glitch was seen to repeat over three sweeps."""
WALKS_AT_A_BORDER = 4
"""The same for a shrunk list ending with a full page: a list broken off between two pages looks like this."""
DAYS_THAT_AGREE = 2
"""Days needed to bear out another row count with fewer walks a day: no fault breaks a list equally for days."""
DAYS_OF_A_CUT = 3
"""The same for a list without whole pages of the earlier one, or another list; one day never suffices."""

_NOTES = frozenset(
    {Remark.LATE, Remark.AFTER_HOURS, Remark.SUSPENDED, Remark.YOUNGER, Remark.BORNE_OUT, Remark.ACCEPTED}
)
_DOUBTS = frozenset({Remark.ROW_COUNT, Remark.MEMBERSHIP, Remark.EMPTY_PAGE})
"""Objections later walks can lift: a list different from the earlier one, or an empty last page."""


def certify(
    reading: WalkResult,
    known: Baseline,
    *,
    sector: Sector | None,
    boards: Boards,
    is_sorted: bool = False,
) -> Certificate:
    """Judges a walk read to some end.

    `known` is the baseline from the ledger, `sector` the sector's line in the sector table (None: not
    listed), `boards` the known board of each symbol. `is_sorted`: this host sends each page in the order of codes.
    Remarks come in the order of the checks, each once.
    """
    remarks = list(_remarks(reading, known, sector, boards))
    if is_sorted and has_unsorted_page(reading):
        remarks.append(Remark.PAGE_ORDER)
    return _certificate(tuple(dict.fromkeys(remarks)), reading)


def _certificate(remarks: tuple[Remark, ...], reading: WalkResult) -> Certificate:
    is_few_bad = is_few(reading.bad_count, reading.row_count + reading.bad_count)
    is_complete = all(is_note(remark, is_few_bad=is_few_bad) for remark in remarks)
    return Certificate(Status.COMPLETE if is_complete else Status.SUSPECT, remarks)


def is_note(remark: str, *, is_few_bad: bool) -> bool:
    """Returns True if a complete walk may carry the remark; `is_few_bad`: only few of its rows are undecoded."""
    return remark in _NOTES or (remark == Remark.UNDECODED and is_few_bad)


def is_few(bad: int, rows: int) -> bool:
    """Returns True if the undecoded rows are few enough to certify the others without them.

    The limit is 1 % of the rows and 10 rows; a short list may have one, if nine other rows decode.
    """
    return bad <= MOST_BAD and (bad * 100 <= rows or (bad == 1 and rows >= 10))


class Verdict(NamedTuple):
    """The result of a second judgement."""

    certificate: Certificate
    borne_out: Sequence[datetime] = ()
    """Slots of suspect walks now complete, oldest first."""


def is_doubtful(reading: WalkResult, certificate: Certificate) -> bool:
    """Returns True if only a difference from earlier walks, or an empty last page, speaks against the walk."""
    few = is_few(reading.bad_count, reading.row_count + reading.bad_count)
    against = {remark for remark in certificate.remarks if not is_note(remark, is_few_bad=few)}
    return (
        bool(against)
        and against <= _DOUBTS
        and (Remark.EMPTY_PAGE not in against or _has_empty_last_page(reading.pages))
        and all(row.symbol for page in reading.pages for row in page.bad)
    )


def bear_out(reading: WalkResult, certificate: Certificate, history: History) -> Verdict:
    """Judges a doubtful walk by earlier walks: if enough of them list the same, all of them are believed.

    This is the only rule for a lasting change of a list. Walks count, newest first, up to a walk with another
    list; walks with another fault are skipped. Lists agree if at most 2 % of their members (at least three)
    differ. Of the walks of one day two must list exactly the same, since a list moving under a walk loses a
    different row each time. Walks needed, the judged one included:

    - other members in about the same number, or an empty last page after full ones: 2 with exactly the same list;
    - another row count: 3 of one day, or walks of 2 days;
    - fewer rows, and the last page is full: 4 of one day, or walks of 2 days;
    - walks of 3 days for fewer rows if most lost members are whole pages of the earlier list or stood at page borders;
      for a list sharing less than half of its members with the earlier one; and for less than half of the rows expected
      by the sector table, if the last page is full. A list broken off, pages not joining, or the list of another sector
      look like this, and a server may repeat it all day. `collector accept` is the short way.

    No number of walks bears out an empty list, a list on NXT with members not listed on KRX on the same day,
    or a list of CONSOLIDATED with other members than KRX.

    Suspect walks in agreement become complete as well: walks of the same day if they list exactly the same,
    walks of other days if they agree.
    """
    symbols = _members(reading)
    members = frozenset(symbols)
    run = list(_agreeing(members, history.walks))
    baseline = next((walk for walk in history.walks if walk.status is Status.COMPLETE), None)
    if not symbols or _is_contradicted(reading.target, symbols, history.krx):
        return Verdict(certificate)
    identical = {walk.slot for walk in run if _difference(members, walk.symbols) == 0}
    if not _is_borne_out(reading, certificate, run, baseline, has_identical=bool(identical)):
        return Verdict(certificate)
    notes = tuple(remark for remark in certificate.remarks if remark not in _DOUBTS)
    today = _day(reading.slot)
    slots = [
        walk.slot
        for walk in reversed(run)
        if walk.status is Status.SUSPECT and (_day(walk.slot) != today or walk.slot in identical)
    ]
    return Verdict(Certificate(Status.COMPLETE, notes), slots)


def _is_borne_out(
    reading: WalkResult,
    certificate: Certificate,
    run: Sequence[EarlierWalk],
    baseline: EarlierWalk | None,
    *,
    has_identical: bool,
) -> bool:
    symbols = _members(reading)
    if Remark.ROW_COUNT not in certificate.remarks:
        return has_identical
    today = _day(reading.slot)
    days = len({today, *(_day(walk.slot) for walk in run)})
    earlier = baseline.symbols if baseline else None
    if _looks_cut(reading.pages, symbols, earlier):
        return days >= DAYS_OF_A_CUT
    is_at_border = _ends_with_full_page(reading.pages)
    has_shrunk = earlier is not None and len(symbols) < len(earlier)
    needed = WALKS_AT_A_BORDER if is_at_border and has_shrunk else WALKS_THAT_AGREE
    walks = 1 + sum(_day(walk.slot) == today for walk in run)
    return days >= DAYS_THAT_AGREE or (walks >= needed and has_identical)


def _agreeing(symbols: frozenset[str], walks: Iterable[EarlierWalk]) -> Iterator[EarlierWalk]:
    """Yields earlier walks with about the same list, newest first, up to one with another list."""
    for walk in filter(_is_sound, walks):
        if _difference(symbols, walk.symbols) > _tolerance(len(symbols)):
            return
        yield walk


@lru_cache(maxsize=64)  # walks of a day share their lists
def _difference(members: frozenset[str], listed: tuple[str, ...]) -> int:
    """Counts the symbols present in only one of two lists."""
    return len(members ^ set(listed))


def _is_sound(walk: EarlierWalk) -> bool:
    """Returns True if nothing but doubts speaks against an earlier walk."""
    few = is_few(walk.bad, len(walk.symbols))
    against = {remark for remark in walk.remarks if not is_note(remark, is_few_bad=few)}
    return walk.status is Status.COMPLETE or (bool(walk.symbols) and against <= _DOUBTS and not walk.has_gap)


def _looks_cut(pages: Sequence[Page], symbols: Sequence[str], earlier: Sequence[str] | None) -> bool:
    """Returns True if a list lacks members around its page borders or whole pages, or is a different list."""
    is_at_border = _ends_with_full_page(pages)
    if earlier is None:
        return is_at_border
    present = set(symbols)
    lost = len(earlier) - len(present.intersection(earlier))
    is_another = (len(earlier) - lost) * 2 < min(len(earlier), len(present))
    if is_another or len(present) >= len(earlier):
        return is_another
    parts = [earlier[start : start + PAGE_ROWS] for start in range(0, len(earlier), PAGE_ROWS)]
    in_pages = sum(len(part) for part in parts if present.isdisjoint(part))
    at_borders = _count_lost_at_borders(pages, earlier, is_at_border=is_at_border)
    return max(in_pages, at_borders) * 4 >= lost * 3


def _count_lost_at_borders(pages: Sequence[Page], earlier: Sequence[str], *, is_at_border: bool) -> int:
    """Counts lost members with an earlier position between the last row of a page and the first row of the next."""
    page_of = {symbol: index for index, page in enumerate(pages) for symbol in page.rows.symbol}
    count = run = 0
    before: int | None = None
    for symbol in earlier:
        page = page_of.get(symbol)
        if page is None:
            run += 1
            continue
        count += run if before is not None and page != before else 0
        before, run = page, 0
    return count + (run if is_at_border else 0)


def _is_contradicted(target: Target, symbols: Sequence[str], krx: Sequence[str] | None) -> bool:
    """Returns True if KRX's list of the same day contradicts: NXT lists a part of it, CONSOLIDATED the same."""
    if krx is None or target.exchange is Exchange.KRX:
        return False
    listed, on_krx = set(symbols), set(krx)
    strangers = listed - on_krx if target.exchange is Exchange.NXT else listed ^ on_krx
    return len(strangers) > _tolerance(len(krx))


def _members(reading: WalkResult) -> Sequence[str]:
    """Returns the symbols in the order served; readable symbols of undecoded rows come last."""
    return (*check_listings(reading).symbols, *_bad_symbols(reading))


def _bad_symbols(reading: WalkResult) -> Sequence[str]:
    return [row.symbol for page in reading.pages for row in page.bad if row.symbol]


def _day(slot: datetime) -> date:
    return slot.astimezone(KST).date()


def _has_empty_last_page(pages: Sequence[Page]) -> bool:
    """Returns True if the list ends with an empty page after full ones, and says so."""
    *before, last = pages
    return bool(before) and not last.size and min(page.size for page in before) >= PAGE_ROWS


def _ends_with_full_page(pages: Sequence[Page]) -> bool:
    """Returns True if the last page with rows is a full page."""
    sizes = [page.size for page in pages if page.size]
    return bool(sizes) and sizes[-1] >= max(PAGE_ROWS, sizes[0])


def _remarks(reading: WalkResult, known: Baseline, sector: Sector | None, boards: Boards) -> Iterator[Remark]:
    yield from _end(reading)
    listed = check_listings(reading)
    yield from _shape(reading.pages, out_of_order=listed.out_of_order)
    symbols = listed.symbols
    if reading.bad_count:
        yield Remark.UNDECODED
    if listed.repeats or _repeats_a_bad_row(reading):
        yield Remark.DUPLICATE_SYMBOL
    if any(page.wrong_suffix for page in reading.pages):
        yield Remark.WRONG_SUFFIX
    if _foreign(symbols, board(reading.target.market), boards):
        yield Remark.FOREIGN
    rows = len(symbols) + reading.bad_count
    if not symbols:
        if not _may_be_empty(known, sector):
            yield Remark.EMPTY
    elif known.rows is not None:
        yield from _against_known(reading, rows, known)
    elif _far_below(rows, reading.target, sector):
        yield Remark.ROW_COUNT


def _repeats_a_bad_row(reading: WalkResult) -> bool:
    bad = _bad_symbols(reading)
    return len({*bad}) < len(bad) or not set(bad).isdisjoint(check_listings(reading).symbols)


def _end(reading: WalkResult) -> Iterator[Remark]:
    """Checks for a last page marked as the last."""
    last = reading.pages[-1]
    if reading.stopped is not None:
        yield reading.stopped
    elif last.end_unsaid or last.next_key is not None:
        yield Remark.NO_END


def _shape(pages: Sequence[Page], *, out_of_order: bool) -> Iterator[Remark]:
    """Checks the pages: all before the last are full, and the last of several is not empty.

    Each page must have the row count of its own header, and begin after the page before it.
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


def _foreign(symbols: Sequence[str], home: Market | None, boards: Boards) -> bool:
    """Returns True if too many symbols are known from the other board.

    A listing moves from KOSDAQ to KOSPI now and then, so a few strangers prove nothing. The limit is more
    than one in twenty and at least three, or all known symbols.
    """
    if home is None:
        return False
    seen = list(filter(None, map(boards.get, symbols)))
    strangers = len(seen) - seen.count(home)
    return strangers > 0 and (strangers == len(seen) or (strangers >= 3 and strangers * 20 > len(symbols)))


def _may_be_empty(known: Baseline, sector: Sector | None) -> bool:
    by_nature = known.none_there or (sector is not None and sector.index_only)
    return known.rows == 0 or (by_nature and (known.rows is None or _near(0, known.rows)))


def _near(rows: int, known: int) -> bool:
    return abs(rows - known) <= _tolerance(known)


def _tolerance(rows: int) -> int:
    """Returns the allowed difference between the row counts of two days."""
    return max(3, rows // 50)


def _far_below(rows: int, target: Target, sector: Sector | None) -> bool:
    """Returns True if a first walk has less than half of the rows expected on KRX by the sector table.

    The table may be years old, so this check is coarse: it finds a list broken off after its first pages.
    """
    expected = sector.members if sector and target.exchange is Exchange.KRX else None
    return expected is not None and rows * 2 < expected


def _against_known(reading: WalkResult, rows: int, known: Baseline) -> Iterator[Remark]:
    """Compares a walk with the last complete one: row counts must be close, and within one day the symbols
    equal.

    Members change overnight. A change within the day looks like a list shifting between two pages. If a
    symbol is unreadable, the row count stands for the members.
    """
    assert known.rows is not None
    if not _near(rows, known.rows):
        yield Remark.ROW_COUNT
    elif known.day == _day(reading.slot) and known.members is not None:
        members = members_digest(reading)
        if members != known.members and (members is not None or rows != known.rows):
            yield Remark.MEMBERSHIP
