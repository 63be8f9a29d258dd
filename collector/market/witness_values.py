"""The values that second sources bring: index levels with their counts, and facts of listings."""

from datetime import date
from typing import NamedTuple


class IndexLevel(NamedTuple):
    """One sector's index at the moment of the answer. `level` and `change` are hundredths of a point."""

    sector: str
    name: str
    level: int
    change: int
    change_bp: int
    sign: int
    volume: int
    turnover: int
    limit_up: int
    advancers: int
    unchanged: int
    decliners: int
    limit_down: int
    members: int
    """flo_stk_num: the members of the sector. In 001 it leaves out ETF, ETN and the like."""

    @property
    def traded_count(self) -> int:
        """The members that have traded today."""
        return self.advancers + self.unchanged + self.decliners


class ListingFact(NamedTuple):
    """What ka10099 says of one listing. `shares` is the number of shares listed; "" stands for not said."""

    symbol: str
    name: str
    kind: str
    """share, preferred, etf, etn, reit, spac, infra or other."""
    market_code: str
    industry: str
    size: str
    shares: int
    listed_on: date | None
    state: str
    nxt: bool
    department: str = ""
    """The department of a share of KOSDAQ, such as 벤처기업."""
