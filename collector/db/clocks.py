"""Compares three clocks: the host's, the database's, and the time of the newest stored walk.

The decisions here are pure functions. Two limits count. A difference of a few seconds stops sweeping, since a
snapshot would be stored under a wrong slot. A difference of a day stops every irrevocable action.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import CollectorError

APART = timedelta(seconds=5)
"""Limit for sweeping. NTP keeps clocks within 0.1 s, and a slow correction (0.5 ms a second) takes hours for
more, so a larger difference is no drift. A smaller one moves a snapshot by less than the length of its own
sweep.
"""
IRREVOCABLE = timedelta(days=1)
"""Limit for irrevocable actions: nothing is dropped or archived while the three clocks differ by more."""
COMPARED_EVERY = 60.0
"""Seconds between two comparisons, in addition to the comparison before each slot."""

ReferenceClock = Callable[[], Awaitable[datetime]]
"""Reads another clock than the one of this machine."""

# A Date header has whole seconds and comes over the network, so a difference counts only beyond this.
_DATE_COUNTS = timedelta(minutes=1)

# The database's clock, not the start of its transaction.
_NOW = "SELECT clock_timestamp()"
# The database's clock and the receipt time of the newest walk, in one round trip.
_READ_CLOCKS = "SELECT clock_timestamp() AS shown, (SELECT max(received_at) FROM collector.walk) AS newest"
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


class ClocksApart(CollectorError):
    """The clocks of this machine and the database differ, so nothing is stored: either may be wrong."""


@dataclass(frozen=True)
class Comparison:
    """One reading of the database's clock, `shown`, between `asked` and `answered` of the host's clock."""

    asked: datetime
    shown: datetime
    answered: datetime

    @property
    def ahead(self) -> timedelta:
        """Returns the certain lead of the host's clock: negative if it is behind, zero within a round trip."""
        least, most = sorted((self.asked - self.shown, self.answered - self.shown))
        return max(least, min(timedelta(), most))

    @property
    def is_apart(self) -> bool:
        return abs(self.ahead) > APART

    def in_words(self) -> str:
        """Describes the difference for a log line or an error."""
        return f"this machine's clock is {apart(self.ahead)} the database's"


@dataclass(frozen=True)
class ClockReadings:
    """The three clocks; `newest` is the receipt time of the newest stored walk, None without walks."""

    host: datetime
    database: datetime
    newest: datetime | None


def why_unsure(clocks: ClockReadings) -> str:
    """Explains why the time is not certain enough to move a day for good, "" if it is certain.

    The age of the newest walk does not matter here.
    """
    host, database, newest = clocks.host, clocks.database, clocks.newest
    if abs(host - database) > IRREVOCABLE:
        return f"this machine's clock is {apart(host - database)} the database's"
    if newest is not None and newest - min(host, database) > IRREVOCABLE:
        return f"the newest stored walk lies {length(newest - min(host, database))} in the future"
    return ""


def why_kept(clocks: ClockReadings) -> str:
    """Explains why no day may be dropped or archived automatically, "" if the three clocks agree to within a
    day.

    After a long pause the newest walk is old, and nothing is dropped until another walk is stored. This is
    slow and safe: a host and a database on one machine share a clock, and only the receipt of new data
    confirms it.
    """
    if reason := why_unsure(clocks):
        return reason
    if clocks.newest is None:
        return ""
    age = max(clocks.host, clocks.database) - clocks.newest
    if age > IRREVOCABLE:
        return f"the newest stored walk is {length(age)} old; no day is dropped or archived until a newer one is stored"
    return ""


def why_wrong(host: datetime, database: datetime, api: datetime | None) -> str:
    """Names the wrong clock for `check --online`, "" if none is wrong. `api` is the Date of an answer, None
    without one.

    Two clocks in agreement outvote the third.
    """
    off_database = abs(host - database) > APART
    off_api = api is not None and abs(host - api) > _DATE_COUNTS
    if not off_database and not off_api:
        return ""
    if not off_database:
        return (
            f"the clocks of this machine and the database are {apart(host - (api or host))} the answer's Date"
        )
    if api is not None and not off_api:
        return f"the database's clock is {apart(database - host)} this machine's and the answer's Date"
    of_both = api is not None and (host > database) == (host > api)
    ahead = host - database
    also = (
        (" and of the answer's Date" if ahead > timedelta() else " and the answer's Date") if of_both else ""
    )
    return f"this machine's clock is {apart(ahead)} the database{also}"


def apart(ahead: timedelta) -> str:
    """Describes a difference in words: `3 days ahead of`, `9 hours behind`."""
    return f"{length(abs(ahead))} {'ahead of' if ahead > timedelta() else 'behind'}"


def length(span: timedelta) -> str:
    """Describes a length of time in its largest unit: `3 days`, `1 hour`."""
    seconds = span.total_seconds()
    for unit, size in _UNITS:
        if seconds >= size or unit == "second":
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError("unreachable")


def database_clock(database: Database) -> ReferenceClock:
    """Returns a function to read the database's clock."""

    async def read() -> datetime:
        async with database.connection("reading the database's clock") as connection:
            shown: datetime = await connection.fetchval(_NOW)
            return shown

    return read


async def compare(clock: ReferenceClock, now: Callable[[], datetime]) -> Comparison:
    """Compares the host's clock with another clock once."""
    asked = now()
    shown = await clock()
    return Comparison(asked, shown, now())


async def read_clocks(connection: Connection, host: datetime) -> ClockReadings:
    """Reads the three clocks."""
    row = await connection.fetchrow(_READ_CLOCKS)
    return ClockReadings(host, row["shown"], row["newest"])


async def refuse_apart(database: Database, now: Callable[[], datetime]) -> None:
    """Raises ClocksApart if the clocks of this machine and of the database differ by more than `APART`."""
    comparison = await compare(database_clock(database), now)
    if comparison.is_apart:
        raise ClocksApart(
            comparison.in_words(),
            hint="set the wrong clock (`timedatectl`, `chronyc makestep`); nothing was fetched or stored",
        )
