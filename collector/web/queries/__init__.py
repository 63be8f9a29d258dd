"""The queries of the pages: read-only, limited in time, with slots always as parameters."""

from collector.web.queries.ledger import LedgerQueries
from collector.web.queries.market import MarketQueries
from collector.web.queries.walk import WalkQueries

__all__ = ["Queries"]


class Queries(LedgerQueries, MarketQueries, WalkQueries):
    """All queries of the pages."""
