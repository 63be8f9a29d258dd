"""The members that ka10099 lists for a target: pure functions of a board's listings and the table of sectors.

Industries go by `upName`, sizes by `upSizeName`, the departments of KOSDAQ by `companyClassName`, NXT by `nxtEnable`;
CONSOLIDATED has the members of KRX. Of a sector that no field names (an umbrella, an index) the members on KRX come
from the walk of KRX in the same sweep, where that walk was not contradicted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from collector.market.membership import board
from collector.market.witness_values import ListingFact
from collector.model import Exchange, Market, Sector, Target

WHOLE_BOARD = {"001", "101"}
_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class BoardList:
    """The listings of one board and when ka10099 gave them. `is_whole`: every row decoded.

    A sweep asks for the members of some sixty sectors, so the groups are made once a list.
    """

    board: Market
    asked_at: datetime
    facts: Sequence[ListingFact]
    is_whole: bool = True

    @cached_property
    def symbols(self) -> frozenset[str]:
        return frozenset(fact.symbol for fact in self.facts)

    @cached_property
    def on_nxt(self) -> frozenset[str]:
        return frozenset(fact.symbol for fact in self.facts if fact.nxt)

    @cached_property
    def by_industry(self) -> Mapping[str, frozenset[str]]:
        return self._group(lambda fact: fact.industry)

    @cached_property
    def by_size(self) -> Mapping[str, frozenset[str]]:
        return self._group(lambda fact: fact.size)

    @cached_property
    def by_department(self) -> Mapping[str, frozenset[str]]:
        return self._group(lambda fact: fact.department)

    def _group(self, name_of: Callable[[ListingFact], str]) -> Mapping[str, frozenset[str]]:
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for fact in self.facts:
            groups[name_of(fact)].append(fact.symbol)
        return {name: frozenset(symbols) for name, symbols in groups.items() if name}


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
    members = _members(listed, sector)
    if members:
        return members & listed.on_nxt if exchange is Exchange.NXT else members
    if on_krx is None or exchange is Exchange.KRX:
        return None
    return on_krx if exchange is Exchange.CONSOLIDATED else listed.on_nxt & on_krx


def _members(listed: BoardList, sector: Sector) -> frozenset[str]:
    """The members on KRX; none if no field of ka10099 names the sector."""
    if sector.code in WHOLE_BOARD:
        return listed.symbols
    if sector.kind == "industry":
        return listed.by_industry.get(sector.name_ko, _NOBODY)
    if sector.kind == "size":
        return listed.by_size.get(sector.name_ko, _NOBODY)
    if sector.kind == "quality":
        # The captures hold no department; the sector's name ends with it ("코스닥 벤처기업").
        names = (name for name in listed.by_department if sector.name_ko.endswith(name))
        return frozenset().union(*(listed.by_department[name] for name in names))
    return _NOBODY
