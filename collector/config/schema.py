"""Defines the configuration: its keys, their types, bounds and defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta

from collector import __version__
from collector.base import yaml_text
from collector.market import sectors
from collector.market.schedule import Schedule
from collector.model import Exchange, Market

RepairMode = Literal["off", "nightly"]
ScopeSetting = Literal["learned", "call", "key"]
Name = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z][A-Za-z0-9_-]{0,39}\Z",
        description="a letter, then up to 39 letters, digits, - or _",
    ),
]
SectorCode = Annotated[
    str,
    Meta(
        pattern=r"\A[0-9]{3}\Z",
        description="three digits such as 001",
        extra={"suggest": sectors.suggest_codes},
    ),
]
HostName = Annotated[
    str,
    Meta(
        pattern=r"\A(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z",
        description="a host's name in lower case, without scheme, port or dot at the end; never an address",
    ),
]


Witnessing = Literal["on", "off"]
NoticeKind = Literal[
    "behind",
    "failure",
    "denied",
    "quota",
    "clocks",
    "database",
    "calendar",
    "disk",
    "contradicted",
    "recovery",
]


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """The settings of the Kiwoom client."""

    base_url: Annotated[str, Meta(description="a URL such as https://api.kiwoom.com")] = (
        "https://api.kiwoom.com"
    )
    requests_per_second: Annotated[
        int,
        Meta(ge=0, le=10_000, description="a whole number from 1 to 20 (0, no quota, away from Kiwoom only)"),
    ] = 5
    concurrency: Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")] = 4
    timeout: timedelta = timedelta(seconds=10)
    trusted_hosts: tuple[HostName, ...] = ()
    """Host names besides Kiwoom's and loopback for base_url, for a simulator in a private network."""
    keys: tuple[Name, ...] = ()
    """Names of app keys, each with a quota of its own; empty: the key in the environment."""
    user_agent: Annotated[
        str, Meta(pattern=r"\A[!-~]([ -~]{0,198}[!-~])?\Z", description="1 to 200 visible ASCII characters")
    ] = f"collector/{__version__}"


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """How the server counts requests, as far as the operator knows it."""

    scope: ScopeSetting = "learned"
    """`call`: each call of the API has a quota of its own. `key`: all calls of a key share one. `learned`: what
    `collector check --learn` stored for the host, if anything."""


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """Some targets as an operator writes them: each sector on each exchange."""

    market: Market
    sectors: Literal["all"] | Annotated[tuple[SectorCode, ...], Meta(min_length=1)]
    exchanges: Annotated[tuple[Exchange, ...], Meta(min_length=1)] = (Exchange.KRX,)


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A schedule's expressions as written; `collector.market.schedule` parses them."""

    universe: str
    every: str | None = None
    during: str | None = None
    at: str | None = None
    days: str | None = None
    grace: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """The retention of rows in days: 0 keeps them for ever, or never archives them."""

    keep_days: Annotated[
        int, Meta(ge=0, le=36_500, description="a whole number of days from 0 (for ever) to 36500")
    ] = 0
    archive_after_days: Annotated[
        int, Meta(ge=0, le=36_500, description="a whole number of days from 0 (never) to 36500")
    ] = 0
    raw_days: Annotated[
        int, Meta(ge=0, le=400, description="a whole number of days from 0 (never) to 400")
    ] = 7
    """Days that answers are kept as they came; 0: never."""


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """The place of archived days. The keys of an object store are in the environment."""

    to: str | None = None
    """A folder, or s3://BUCKET/FOLDER; None: `archive` under COLLECTOR_HOME."""
    endpoint_url: str | None = None
    """The server of an object store; None: AWS."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The address of the status page and the metrics; port 0 takes any free port."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"\A([a-zA-Z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):(0|[1-9][0-9]{0,4})\Z",
            description="HOST:PORT such as 127.0.0.1:8020 or [::1]:8020",
        ),
    ] = "127.0.0.1:8020"

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """The events that are told to people, how often and in which language.

    The services that get the messages are in COLLECTOR_NOTIFY_URLS, because their URLs hold tokens.
    """

    language: Literal["ko", "en"] = "ko"
    events: Literal["all"] | tuple[NoticeKind, ...] = "all"
    slots: Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")] = 3
    """Slots in a row without a complete sweep, from which on a schedule is behind."""
    quiet: timedelta = timedelta(hours=1)
    """The shortest time between two messages about the same event."""
    calendar_days: Annotated[int, Meta(ge=0, le=365, description="a whole number from 0 to 365")] = 30
    disk_days: Annotated[int, Meta(ge=0, le=365, description="a whole number from 0 to 365")] = 7
    summary: Annotated[
        str,
        Meta(
            pattern=r"\A(off|([01][0-9]|2[0-3]):[0-5][0-9])\Z",
            description="off, or HH:MM in Korean time such as 18:10",
        ),
    ] = "off"
    ping: str | None = field(default=None, repr=False)
    """The URL that is called after each complete sweep. Its path may hold a token, so only its host is shown."""

    def wants(self, kind: str) -> bool:
        """Whether an event of this kind is told."""
        return self.events == "all" or kind in self.events


@dataclass(frozen=True, slots=True)
class Config:
    """One complete, checked configuration; two are equal if their settings are equal, even from different files."""

    universes: Mapping[str, tuple[TargetSpec, ...]]
    api: ApiConfig = ApiConfig()
    quota: QuotaConfig = QuotaConfig()
    schedules: tuple[Schedule, ...] = ()
    schedule_specs: Mapping[str, ScheduleSpec] = field(default_factory=dict)
    """The same schedules as they were written, by name."""
    database: DatabaseConfig = DatabaseConfig()
    archive: ArchiveConfig = ArchiveConfig()
    web: WebConfig = WebConfig()
    repair: RepairMode = "off"
    """Whether the daemon reconstructs missed slots at night."""
    witness: Witnessing = "on"
    """Whether second sources are asked beside each sweep."""
    notify: NotifyConfig = NotifyConfig()
    origin: str = field(default="", compare=False)
    """The file of the configuration."""
    source: yaml_text.Mapping = field(default=yaml_text.Mapping(1), compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """Settings that are allowed and yet look wrong, one line each."""

    def format_error(self, path: Sequence[str | int], text: str) -> str:
        """Format an error as `FILE:LINE: text` for the key at a path such as ("schedules", "close", "at").

        If the key is absent, the line is that of the last existing key on the path.
        """
        return yaml_text.format_error(self.origin, yaml_text.line_of(self.source, path), text)
