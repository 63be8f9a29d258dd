"""The answers of the calls that witness a sweep: ka10099, ka20003, ka20009, ka20006 and ka10051.

Each `read_…` is a pure function of a reply. It returns the rows that decode and the others as bad rows, or raises
`ApiError` or `Denied`. An answer without a single row is `Unreadable`: ka20003 was seen to answer return code 0 with
an empty list, and an empty list says nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from collector.errors import Unreadable
from collector.kiwoom.protocol import flows, indices, listings
from collector.kiwoom.protocol.flows import SectorFlow
from collector.kiwoom.protocol.indices import IndexBar, IndexDays
from collector.kiwoom.protocol.requests import FLOWS, INDEX_BARS, INDEX_DAYS, INDICES, LISTINGS
from collector.kiwoom.protocol.response import ApiResponse
from collector.kiwoom.protocol.responses import read_document, rows_of
from collector.market.witness_values import IndexLevel, ListingFact
from collector.model import BadRow

T = TypeVar("T")


class ListingPage(NamedTuple):
    """The answer of ka10099: the listings of a board, each symbol once."""

    facts: Sequence[ListingFact]
    bad: Sequence[BadRow] = ()
    repeats: int = 0
    """Rows left out because their symbol came before."""


class IndexPage(NamedTuple):
    """The answer of ka20003: one level for each sector of a board."""

    levels: Sequence[IndexLevel]
    bad: Sequence[BadRow] = ()


class IndexBarPage(NamedTuple):
    """One answer of ka20006: bars newest first, and the key of the next page (None: the last)."""

    bars: Sequence[IndexBar]
    next_key: str | None
    bad: Sequence[BadRow] = ()


def read_listings(reply: ApiResponse) -> ListingPage:
    """ka10099. Of a symbol that comes twice the first row counts."""
    facts, bad = _decode(reply, LISTINGS, "list", listings.listing_facts)
    distinct = {fact.symbol: fact for fact in reversed(facts)}
    kept = [distinct[symbol] for symbol in dict.fromkeys(fact.symbol for fact in facts)]
    return ListingPage(kept, bad, len(facts) - len(kept))


def read_indices(reply: ApiResponse) -> IndexPage:
    """ka20003."""
    return IndexPage(*_decode(reply, INDICES, "all_inds_idex", indices.levels))


def read_index_days(reply: ApiResponse) -> IndexDays:
    """ka20009: the days, newest first; `IndexDays.session` is the date of the session shown."""
    document = read_document(reply, INDEX_DAYS)
    days, _ = indices.days(document, rows_of(document, "inds_cur_prc_daly_rept"))
    if days.session is None:
        raise Unreadable("ka20009 lists no day")
    return days


def read_index_bars(reply: ApiResponse) -> IndexBarPage:
    """ka20006; no bar at all is an answer too: the index may be younger."""
    document = read_document(reply, INDEX_BARS)
    bars, bad = indices.index_bars(rows_of(document, "inds_dt_pole_qry"))
    return IndexBarPage(bars, reply.next_key(), bad)


def read_flows(reply: ApiResponse) -> tuple[list[SectorFlow], list[BadRow]]:
    """ka10051; no row at all is an answer too: NXT is younger than KRX."""
    return flows.flows(rows_of(read_document(reply, FLOWS), "inds_netprps"))


def _decode(
    reply: ApiResponse,
    api_id: str,
    name: str,
    decode: Callable[[Sequence[object]], tuple[list[T], list[BadRow]]],
) -> tuple[list[T], list[BadRow]]:
    good, bad = decode(rows_of(read_document(reply, api_id), name))
    if not good:
        raise Unreadable(f"{api_id} answers without a row that decodes ({len(bad)} do not)")
    return good, bad
