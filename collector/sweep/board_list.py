"""The members that ka10099 lists for a target: pure functions of a board's listings and the table of sectors.

Industries go by `upName`, sizes by `upSizeName`, the departments of KOSDAQ by `companyClassName`, NXT by `nxtEnable`;
CONSOLIDATED has the members of KRX. Of a sector that no field names (an umbrella, an index) the members on KRX come
from the walk of KRX in the same sweep, where that walk was not contradicted.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from collector.market.membership import board
from collector.market.witness_values import ListingFact
from collector.model import Exchange, Market, Sector, Target

WHOLE_BOARD = {"001", "101"}


class BoardList(NamedTuple):
    """The listings of one board and when ka10099 gave them. `is_whole`: every row decoded."""

    board: Market
    asked_at: datetime
    facts: Sequence[ListingFact]
    is_whole: bool = True


def boards_of(targets: Iterable[Target]) -> list[Market]:
    """The boards on which targets have their members: KOSPI before KOSDAQ; KRX100 draws on both."""
    wanted = {board(target.market) for target in targets}
    both = {Market.KOSPI, Market.KOSDAQ} if None in wanted else wanted
    return [market for market in (Market.KOSPI, Market.KOSDAQ) if market in both]


def expected_members(
    listed: BoardList, sector: Sector, exchange: Exchange, on_krx: frozenset[str] | None = None
) -> frozenset[str] | None:
    """The members of a sector on an exchange, None where ka10099 does not tell them.

    `on_krx`: members of the sector on KRX according to a walk that nothing speaks against.
    """
    base = [fact for fact in listed.facts if _belongs(fact, sector)]
    if base and exchange is Exchange.NXT:
        return frozenset(fact.symbol for fact in base if fact.nxt)
    if base:
        return frozenset(fact.symbol for fact in base)
    if on_krx is None or exchange is Exchange.KRX:
        return None
    if exchange is Exchange.CONSOLIDATED:
        return on_krx
    return frozenset(fact.symbol for fact in listed.facts if fact.nxt) & on_krx


def _belongs(fact: ListingFact, sector: Sector) -> bool:
    if sector.code in WHOLE_BOARD:
        return True
    if sector.kind == "industry":
        return fact.industry == sector.name_ko
    if sector.kind == "size":
        return fact.size == sector.name_ko
    if sector.kind == "quality":
        # The captures hold no department; the sector's name ends with it ("코스닥 벤처기업").
        return bool(fact.department) and sector.name_ko.endswith(fact.department)
    return False
