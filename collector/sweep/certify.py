"""The certificate: is this walk whole? A pure function of what was read and of what earlier walks tell.

A walk is complete only if nothing speaks against it; what does is named in the remarks. Its rows are stored
all the same (status suspect), and views of certified data leave them out. Two things are judged less strictly:

- A walk of which few rows do not decode is complete with the remark `undecoded`, see `is_few`.
- A walk against which only its difference from earlier walks speaks is judged a second time, by the walks between
  the last complete one and it: `bear_out` holds that rule.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from collector.market.membership import Boards, board, check_listings, members_digest
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
"""Rows of a full page of ka20002, in stock-code order (several public clients measured it)."""

MOST_BAD = 10
"""Undecoded rows of a complete walk: an odd cell or two are the listings' own; more is a change of the format."""
WALKS_THAT_AGREE = 3
"""Walks of one day that bear out another number of rows. A glitch was never seen to repeat over three sweeps."""
WALKS_AT_A_BORDER = 4
"""The same for a list that shrank and ends with a full page, as a list that broke off between two pages does."""
DAYS_THAT_AGREE = 2
"""Days that bear out another number of rows where a day has fewer walks: a fault does not break alike for days."""
DAYS_OF_A_CUT = 3
"""The same for a list that lacks whole pages of the earlier list, or is another list: walks of one day never do."""

_NOTES = frozenset(
    {Remark.LATE, Remark.AFTER_HOURS, Remark.SUSPENDED, Remark.YOUNGER, Remark.BORNE_OUT, Remark.ACCEPTED}
)
_DOUBTS = frozenset({Remark.ROW_COUNT, Remark.MEMBERSHIP, Remark.EMPTY_PAGE})
"""What later walks can bear out: the list differs from the earlier one, or ends with an empty page."""


def certify(reading: WalkResult, known: Baseline, *, sector: Sector | None, boards: Boards) -> Certificate:
    """Judge a walk that was read to some end.

    `known` is what the ledger tells of the target, `sector` its line in the sector table (None: not in it),
    `boards` where symbols were seen before. Remarks come in the order of the checks, each once.
    """
    remarks = tuple(dict.fromkeys(_remarks(reading, known, sector, boards)))
    return _certificate(remarks, reading)


def _certificate(remarks: tuple[Remark, ...], reading: WalkResult) -> Certificate:
    is_few_bad = is_few(reading.bad_count, reading.row_count + reading.bad_count)
    is_complete = all(is_note(remark, is_few_bad=is_few_bad) for remark in remarks)
    return Certificate(Status.COMPLETE if is_complete else Status.SUSPECT, remarks)


def is_note(remark: str, *, is_few_bad: bool) -> bool:
    """Whether a complete walk may carry the remark; `is_few_bad`: few of its rows do not decode."""
    return remark in _NOTES or (remark == Remark.UNDECODED and is_few_bad)


def is_few(bad: int, rows: int) -> bool:
    """Whether so few of a walk's rows do not decode that the others are certified without them.

    One in a hundred and ten at most; of a short list one row, as long as nine others decode.
    """
    return bad <= MOST_BAD and (bad * 100 <= rows or (bad == 1 and rows >= 10))


class Verdict(NamedTuple):
    """What a second judgement by earlier walks came to."""

    certificate: Certificate
    borne_out: Sequence[datetime] = ()
    """Slots of suspect walks that are complete now, oldest first."""


def is_doubtful(reading: WalkResult, certificate: Certificate) -> bool:
    """Whether only its difference from earlier walks, or an empty last page, speaks against a walk."""
    few = is_few(reading.bad_count, reading.row_count + reading.bad_count)
    against = {remark for remark in certificate.remarks if not is_note(remark, is_few_bad=few)}
    return (
        bool(against)
        and against <= _DOUBTS
        and (Remark.EMPTY_PAGE not in against or _has_empty_last_page(reading.pages))
        and all(row.symbol for page in reading.pages for row in page.bad)
    )


def bear_out(reading: WalkResult, certificate: Certificate, history: History) -> Verdict:
    """Judge a doubtful walk by the earlier ones: several that list the same are believed, and so is it.

    The one rule for a list that changes for good. Walks count, newest first, until one lists something else;
    walks with another fault are passed over. Lists agree if no more than 2 % of their members (at least three)
    differ; of the walks of one day two must list exactly the same, since a list that moves under a walk loses
    a different row each time. So many walks are needed, the judged one included:

    - other members in about the same number, or an empty last page after full ones: 2 that list exactly the same;
    - another number of rows: 3 of one day, or walks of 2 days;
    - fewer rows, and the last page is full: 4 of one day, or walks of 2 days;
    - fewer rows, and most of what is gone are whole pages of the earlier list or stood at the borders of the pages;
      or a list that shares less than half of its members with the earlier one; or fewer than half of the rows that
      the sector table expects, if the last page is full: walks of 3 days. That is what a list that broke off, pages
      that do not join, or another sector's list look like, and a server may repeat it all day. `collector accept`
      is the short way.

    No number of walks bears out a list on NXT with members that KRX does not list on that day, nor one of
    CONSOLIDATED with other members than KRX; nor an empty list.

    Suspect walks among those that agree become complete as well: of the same day if they list exactly the
    same, of other days if they agree.
    """
    symbols = _members(reading)
    members = frozenset(symbols)
    run = list(_agreeing(members, history.walks))
    baseline = next((walk for walk in history.walks if walk.status is Status.COMPLETE), None)
    if not symbols or _is_contradicted(reading.target, symbols, history.krx):
        return Verdict(certificate)
    twins = {walk.slot for walk in run if _difference(members, walk.symbols) == 0}
    if not _is_borne_out(reading, certificate, run, baseline, has_twin=bool(twins)):
        return Verdict(certificate)
    notes = tuple(remark for remark in certificate.remarks if remark not in _DOUBTS)
    today = _day(reading.slot)
    slots = [
        walk.slot
        for walk in reversed(run)
        if walk.status is Status.SUSPECT and (_day(walk.slot) != today or walk.slot in twins)
    ]
    return Verdict(Certificate(Status.COMPLETE, notes), slots)


def _is_borne_out(
    reading: WalkResult,
    certificate: Certificate,
    run: Sequence[EarlierWalk],
    baseline: EarlierWalk | None,
    *,
    has_twin: bool,
) -> bool:
    symbols = _members(reading)
    if Remark.ROW_COUNT not in certificate.remarks:
        return has_twin
    today = _day(reading.slot)
    days = len({today, *(_day(walk.slot) for walk in run)})
    earlier = baseline.symbols if baseline else None
    if _looks_cut(reading.pages, symbols, earlier):
        return days >= DAYS_OF_A_CUT
    is_at_border = _ends_with_full_page(reading.pages)
    has_shrunk = earlier is not None and len(symbols) < len(earlier)
    needed = WALKS_AT_A_BORDER if is_at_border and has_shrunk else WALKS_THAT_AGREE
    walks = 1 + sum(_day(walk.slot) == today for walk in run)
    return days >= DAYS_THAT_AGREE or (walks >= needed and has_twin)


def _agreeing(symbols: frozenset[str], walks: Iterable[EarlierWalk]) -> Iterator[EarlierWalk]:
    """The earlier walks that list about the same, newest first, up to one that does not."""
    for walk in filter(_is_sound, walks):
        if _difference(symbols, walk.symbols) > _tolerance(len(symbols)):
            return
        yield walk


@lru_cache(maxsize=64)  # walks of a day share their lists
def _difference(members: frozenset[str], listed: tuple[str, ...]) -> int:
    """How many symbols are in one of two lists only."""
    return len(members ^ set(listed))


def _is_sound(walk: EarlierWalk) -> bool:
    """Whether nothing but doubts speaks against an earlier walk."""
    few = is_few(walk.bad, len(walk.symbols))
    against = {remark for remark in walk.remarks if not is_note(remark, is_few_bad=few)}
    return walk.status is Status.COMPLETE or (bool(walk.symbols) and against <= _DOUBTS and not walk.has_gap)


def _looks_cut(pages: Sequence[Page], symbols: Sequence[str], earlier: Sequence[str] | None) -> bool:
    """Whether a list lacks what stood around its page borders, or pages, or is hardly the same list at all."""
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
    """How many lost members stood between the last row of a page and the first row of the next one."""
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
    """Whether the list of KRX on the same day says otherwise: NXT's is a part of it, CONSOLIDATED's the same."""
    if krx is None or target.exchange is Exchange.KRX:
        return False
    there, here = set(symbols), set(krx)
    strangers = there - here if target.exchange is Exchange.NXT else there ^ here
    return len(strangers) > _tolerance(len(krx))


def _members(reading: WalkResult) -> Sequence[str]:
    """Symbols in the order served, those of undecoded rows at the end as far as they can be read."""
    return (*check_listings(reading).symbols, *_bad_symbols(reading))


def _bad_symbols(reading: WalkResult) -> Sequence[str]:
    return [row.symbol for page in reading.pages for row in page.bad if row.symbol]


def _day(slot: datetime) -> date:
    return slot.astimezone(KST).date()


def _has_empty_last_page(pages: Sequence[Page]) -> bool:
    """Whether the list ends with an empty page after full ones, and says that it ends there."""
    *before, last = pages
    return bool(before) and not last.size and min(page.size for page in before) >= PAGE_ROWS


def _ends_with_full_page(pages: Sequence[Page]) -> bool:
    """Whether the last page that holds rows is as full as pages are."""
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


def _may_be_empty(known: Baseline, sector: Sector | None) -> bool:
    by_nature = known.none_there or (sector is not None and sector.index_only)
    return known.rows == 0 or (by_nature and (known.rows is None or _near(0, known.rows)))


def _near(rows: int, known: int) -> bool:
    return abs(rows - known) <= _tolerance(known)


def _tolerance(rows: int) -> int:
    """By how many rows a list may differ from one day to the next."""
    return max(3, rows // 50)


def _far_below(rows: int, target: Target, sector: Sector | None) -> bool:
    """Whether a first walk has fewer than half the rows that the sector table expects on KRX.

    The table may be years old, so this is coarse: it catches a list that broke off after its first pages.
    """
    expected = sector.members if sector and target.exchange is Exchange.KRX else None
    return expected is not None and rows * 2 < expected


def _against_known(reading: WalkResult, rows: int, known: Baseline) -> Iterator[Remark]:
    """Rows near the last complete walk's; within one day also the same symbols.

    Members change overnight. A change within the day is what a list that shifts between two pages looks
    like. Where a symbol cannot be read, the number of rows stands for the members.
    """
    assert known.rows is not None
    if not _near(rows, known.rows):
        yield Remark.ROW_COUNT
    elif known.day == _day(reading.slot) and known.members is not None:
        members = members_digest(reading)
        if members != known.members and (members is not None or rows != known.rows):
            yield Remark.MEMBERSHIP
