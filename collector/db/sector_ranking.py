"""Sectors by their mean change at one slot."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from collector.db.pool import Connection

# The names come as parameters, because the view `sector` may be empty. Sectors with less than five traded listings
# have no meaningful mean.
_RANKING = """
SELECT s.market, s.sector, t.name_ko, round(avg(s.change_percent), 2) AS mean,
       count(*) FILTER (WHERE s.change > 0) AS up, count(*) FILTER (WHERE s.change < 0) AS down, count(*) AS all
FROM snapshot AS s
JOIN walk AS w USING (slot, market, sector, exchange)
JOIN unnest($2::text[], $3::text[]) AS t (code, name_ko) ON t.code = s.sector
WHERE s.slot = $1 AND s.exchange = 'KRX' AND w.status = 'complete' AND s.volume > 0
GROUP BY s.market, s.sector, t.name_ko
HAVING count(*) >= 5
ORDER BY mean DESC, s.sector
"""


async def rank_sectors(
    connection: Connection, slot: datetime, codes: Sequence[str], names: Sequence[str]
) -> list[Any]:
    """The complete KRX walks of a slot by mean change, the best first: market, sector, name, mean, up, down, all."""
    return list(await connection.fetch(_RANKING, slot, list(codes), list(names)))
