"""Describes the next steps of retention in words, for `check`, `plan`, `status` and the page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from collector.db.clocks import APART, ClockReadings, length, read_clocks, why_kept
from collector.db.pool import Connection
from collector.model import KST

ANNOUNCED_FOR = timedelta(days=1)
"""How long an announcement stands before the first day is dropped, and again after a change of `keep_days`."""
MOST = 2
"""Days dropped in one night at most: a mistake is seen before it has cost more."""

# The announcement, and the days it covers: their count and the oldest.
_ANNOUNCED = """
SELECT r.keep_days, r.announced_at, d.days, d.oldest
FROM collector.retention AS r
CROSS JOIN LATERAL (
    SELECT count(*) AS days, min(day) AS oldest FROM collector.days_before(r.first)
) AS d
"""


@dataclass(frozen=True)
class Outlook:
    """The clocks and the announcement. `keep_days` is None without one, `oldest` without a day to drop."""

    clocks: ClockReadings
    keep_days: int | None = None
    announced_at: datetime | None = None
    days: int = 0
    oldest: date | None = None

    @property
    def ahead(self) -> timedelta:
        """The lead of this machine's clock over the database's, a round trip included."""
        return self.clocks.host - self.clocks.database

    @property
    def is_apart(self) -> bool:
        return abs(self.ahead) > APART

    @property
    def why_kept(self) -> str:
        """Explains why nothing is dropped or archived now, "" if it may be."""
        return why_kept(self.clocks)

    @property
    def drops_from(self) -> datetime | None:
        """The time of the first drop, None if no day is about to be dropped."""
        return self.announced_at + ANNOUNCED_FOR if self.announced_at and self.oldest else None

    def lines(self) -> Iterator[str]:
        """Yields the lines an operator must know; nothing if all is well."""
        if self.is_apart:
            direction = "ahead of" if self.ahead > timedelta() else "behind"
            yield f"this machine's clock is {length(abs(self.ahead))} {direction} the database's; nothing is swept"
        if self.oldest and self.drops_from:
            yield (
                f"{self.days} days from {self.oldest} on are older than keep_days {self.keep_days} and will be dropped"
                f" from {self.drops_from.astimezone(KST):%Y-%m-%d %H:%M} KST on, at most {MOST} a night"
            )
        if self.why_kept and (self.oldest or self.is_apart):
            yield f"nothing is dropped or archived: {self.why_kept}"


async def look(connection: Connection, host: datetime) -> Outlook:
    """Reads the clocks and the announcement."""
    row = await connection.fetchrow(_ANNOUNCED)
    return Outlook(await read_clocks(connection, host), *(row or ()))


def first_kept(today: date, keep_days: int) -> date:
    """Returns the oldest day to keep; days before it are dropped."""
    return today - timedelta(days=keep_days)


def in_words(today: date, keep_days: int) -> str:
    """Describes the days to be dropped, for `check` and `plan`."""
    if not keep_days:
        return "keep_days is 0: no day is dropped"
    return (
        f"days before {first_kept(today, keep_days)} are dropped for good (keep_days: {keep_days}), the first on"
        f" {today + timedelta(days=2)} at the earliest, at most {MOST} a night"
    )
