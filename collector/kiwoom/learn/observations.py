"""The raw material of the findings: what a host answered to the questions of `collector check --learn`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from collector.errors import Throttled
from collector.kiwoom.learn.quota_rules import QuotaRule, Round, possible_rules
from collector.kiwoom.protocol import IndexPage, ListingPage
from collector.model import Exchange, Market, Page, Target


@dataclass
class TokenTrial:
    """A second token was issued while the first one was in use. None: not tried, or not to be told."""

    is_repeated: bool
    """Whether the API handed out the first token again."""
    old_lives: bool | None = None
    key_outlives: bool | None = None
    """Whether a next-key of the first token is accepted with the second one."""


@dataclass
class LagTrial:
    """How long ka20003 took to show a volume that ka20002 had shown. Volumes are in thousand shares."""

    seconds: float | None = None
    """None: the volume did not appear within the time given."""
    has_moved: bool = False
    """Whether ka20003 changed while it was watched: without trades a lag cannot be seen."""


@dataclass
class RefusalTrial:
    """The quota of one call was exceeded on purpose. `status` and `return_code` are those of the refusals."""

    quota: int
    """Requests a second, as a refusal named them or as they are known of ka20002."""
    rounds: list[Round] = field(default_factory=list)
    status: int | None = None
    return_code: int | None = None
    ended_by: str = ""
    """The error that ended the trial, if any."""

    @property
    def rules(self) -> list[QuotaRule]:
        """The rules that the rounds leave over."""
        return possible_rules(self.rounds, self.quota)


@dataclass
class Observations:
    """All answers of one run. What was not asked, or not answered, stays empty."""

    configured: int
    """Requests a second according to the configuration; 0: without a limit."""
    asked_rate: int = 0
    """Requests of each of two calls a second that were sent at the same time."""
    granted: int | None = None
    """The rate of ka20002 that the server named in a refusal."""
    refusals: list[Throttled] = field(default_factory=list)
    rounds_refused: int = 0
    rounds: int = 0
    """Rounds of the trial of the quota, and how many of them met a refusal."""
    walks: dict[Target, Sequence[Page]] = field(default_factory=dict)
    """Pages of each target that was walked, the last one with `next_key` None if the walk came to its end."""
    refused_exchanges: dict[Exchange, str] = field(default_factory=dict)
    """Exchanges that the host does not serve, with its words."""
    listings: dict[Market, ListingPage] = field(default_factory=dict)
    counts: dict[Market, IndexPage] = field(default_factory=dict)
    """The newest answer of ka20003 for each board."""
    lag: LagTrial | None = None
    key_age: float | None = None
    """Seconds after which a next-key was used."""
    key_lives: bool | None = None
    token: TokenTrial | None = None
    refusal: RefusalTrial | None = None
    """None: no refusal was provoked."""
    headers: Sequence[tuple[str, str]] = ()
    """Headers of the first answer."""
    arrived: datetime | None = None
    """Arrival of the first answer."""
    gzip: bool | None = None
    """Whether an answer comes compressed to a request that accepts it."""
    first_seconds: float | None = None
    """Seconds of the first request, with its new connection."""
    warm_seconds: list[float] = field(default_factory=list)
    page_seconds: list[float] = field(default_factory=list)
    """Seconds of each page of ka20002 on an open connection."""
    token_life: timedelta | None = None
    """From the issue of the second token to its end."""
    session: date | None = None
    """The newest day of ka20009: the session shown."""
