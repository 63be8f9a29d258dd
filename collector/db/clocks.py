"""Which time it is, by more than one clock: the host's, the database's, and that of the newest stored walk.

The decisions here are pure. Two limits count. A few seconds of difference end sweeping, since a snapshot would stand
under a slot that is not its own. A day of difference ends everything that cannot be undone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import CollectorError

APART = timedelta(seconds=5)
"""More than this is no drift: NTP keeps clocks within 0.1 s, and a clock that is being corrected slowly (0.5 ms a
second) needs hours for it. Less moves a snapshot by less than its own sweep takes."""
IRREVOCABLE = timedelta(days=1)
"""Nothing is dropped or moved for good unless the three clocks agree to within this."""
COMPARED_EVERY = 60.0
"""Seconds between two comparisons, besides that before each slot."""

Witness = Callable[[], Awaitable[datetime]]
"""Asks another clock what time it is."""

_DATE_COUNTS = timedelta(minutes=1)

_NOW = "SELECT clock_timestamp()"
_WITNESSES = "SELECT clock_timestamp() AS shown, (SELECT max(received_at) FROM collector.walk) AS newest"
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


class ClocksApart(CollectorError):
    """This machine's clock is not the database's: nothing is stored under a time of which one of them is wrong."""


@dataclass(frozen=True)
class Comparison:
    """One look at the database's clock: `shown` was read between `asked` and `answered` of the host's clock."""

    asked: datetime
    shown: datetime
    answered: datetime

    @property
    def ahead(self) -> timedelta:
        """How far the host's clock is certainly ahead; negative where it is behind, zero within a round trip."""
        least, most = sorted((self.asked - self.shown, self.answered - self.shown))
        return max(least, min(timedelta(), most))

    @property
    def is_apart(self) -> bool:
        return abs(self.ahead) > APART

    def in_words(self) -> str:
        """The difference, for a log line or an error."""
        return f"this machine's clock is {apart(self.ahead)} the database's"


@dataclass(frozen=True)
class Witnesses:
    """What the three clocks show; `newest` is when the newest stored walk was received, None where none is."""

    host: datetime
    database: datetime
    newest: datetime | None


def why_unsure(witnesses: Witnesses) -> str:
    """Why the time is not certain enough to move a day for good, "" if it is; an old newest walk does not matter."""
    host, database, newest = witnesses.host, witnesses.database, witnesses.newest
    if abs(host - database) > IRREVOCABLE:
        return f"this machine's clock is {apart(host - database)} the database's"
    if newest is not None and newest - min(host, database) > IRREVOCABLE:
        return f"the newest stored walk lies {length(newest - min(host, database))} in the future"
    return ""


def why_kept(witnesses: Witnesses) -> str:
    """Why nothing may be dropped or archived by itself now, "" if the three clocks agree to within a day.

    After a long pause the newest walk is old, and nothing is dropped until another one is stored. That is slow and
    safe: a host and a database on one machine share a clock, and only what was received tells whether it is right.
    """
    if reason := why_unsure(witnesses):
        return reason
    if witnesses.newest is None:
        return ""
    age = max(witnesses.host, witnesses.database) - witnesses.newest
    if age > IRREVOCABLE:
        return f"the newest stored walk is {length(age)} old; no day goes until a newer one is stored"
    return ""


def why_wrong(host: datetime, database: datetime, api: datetime | None) -> str:
    """Which clock is wrong, for `check --online`, "" if none is. `api`: the Date of an answer, None without one.

    Two that agree bear each other out against the third. A Date has whole seconds and comes over the network, so
    that it counts only beyond a minute.
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
    """A difference in words: `3 days ahead of`, `9 hours behind`."""
    return f"{length(abs(ahead))} {'ahead of' if ahead > timedelta() else 'behind'}"


def length(span: timedelta) -> str:
    """A length of time in its largest unit: `3 days`, `1 hour`."""
    seconds = span.total_seconds()
    for unit, size in _UNITS:
        if seconds >= size or unit == "second":
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError("unreachable")


def witness(database: Database) -> Witness:
    """The database's clock as a witness."""

    async def ask() -> datetime:
        async with database.connection("reading the database's clock") as connection:
            shown: datetime = await connection.fetchval(_NOW)
            return shown

    return ask


async def compare(ask: Witness, now: Callable[[], datetime]) -> Comparison:
    """Look at another clock once."""
    asked = now()
    shown = await ask()
    return Comparison(asked, shown, now())


async def witnesses(connection: Connection, host: datetime) -> Witnesses:
    """The three clocks now."""
    row = await connection.fetchrow(_WITNESSES)
    return Witnesses(host, row["shown"], row["newest"])


async def refuse_apart(database: Database, now: Callable[[], datetime]) -> None:
    """ClocksApart if this machine's clock and the database's differ by more than a few seconds."""
    comparison = await compare(witness(database), now)
    if comparison.is_apart:
        raise ClocksApart(
            comparison.in_words(),
            hint="set the clock that is wrong (`timedatectl`, `chronyc makestep`); nothing was fetched or stored",
        )
