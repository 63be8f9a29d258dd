"""Defines the domain values: targets, quotes, pages, walks, certificates, bars and sweeps."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from typing import NamedTuple, TypeAlias

KST = timezone(timedelta(hours=9), "KST")
"""Korean Standard Time. Korea has had no daylight saving since 1988, so a fixed offset is exact and needs no
tz database."""


Column: TypeAlias = "array[int]"
"""One field of many rows."""


class Market(StrEnum):
    """The index families of the sectors that ka20002 serves (mrkt_tp)."""

    KOSPI = "KOSPI"
    KOSDAQ = "KOSDAQ"
    KOSPI200 = "KOSPI200"
    KOSPI100 = "KOSPI100"
    KRX100 = "KRX100"


class Exchange(StrEnum):
    """The source of the quotes (stex_tp); CONSOLIDATED (통합) is KRX and NXT together."""

    KRX = "KRX"
    NXT = "NXT"
    CONSOLIDATED = "CONSOLIDATED"


class Target(NamedTuple):
    """The subject of one walk: one sector of a market on one exchange. Prints as `KOSPI/001/KRX`."""

    market: Market
    sector: str
    exchange: Exchange

    def __str__(self) -> str:
        return f"{self.market}/{self.sector}/{self.exchange}"

    @classmethod
    def of(cls, market: str, sector: str, exchange: str) -> "Target":
        """Build a target from three texts; ValueError if the market or the exchange is unknown."""
        return cls(Market(market), sector, Exchange(exchange))


class Quote(NamedTuple):
    """One listing as one page showed it.

    Prices are won without direction, None if there is no quote or no trade. `change` is won against the
    previous close, `change_bp` the same in basis points (1/100 of a percent, the API's two decimals), `sign`
    1–5 as the API gives it: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down.
    """

    symbol: str
    name: str
    price: int | None
    change: int
    change_bp: int
    sign: int
    volume: int
    ask: int | None
    bid: int | None
    open: int | None
    high: int | None
    low: int | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PageListings:
    """The symbols and names of a page, in its order.

    Pages with the same list share one instance, sweep after sweep. Facts about the list, such as the ids of
    its listings, are computed once and cached by this instance.
    """

    symbol: tuple[str, ...] = ()
    name: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuoteColumns:
    """The quotes of a page, one array for each column: they are read, judged and stored in this form instead
    of many tuples.

    The columns are those of Quote, all of one length. A price of 0 stands for None, as in the tables;
    iteration yields Quote rows with None.
    """

    listings: PageListings
    price: Column
    change: Column
    change_bp: Column
    sign: Column
    volume: Column
    ask: Column
    bid: Column
    open: Column
    high: Column
    low: Column

    @property
    def symbol(self) -> Sequence[str]:
        return self.listings.symbol

    def __len__(self) -> int:
        return len(self.listings.symbol)

    def __iter__(self) -> Iterator[Quote]:
        price, *quotes = ([amount or None for amount in column] for column in (self.price, *self.quotes()))
        return map(
            Quote,
            *(self.listings.symbol, self.listings.name, price),
            *(self.change, self.change_bp, self.sign, self.volume),
            *quotes,
        )

    def quotes(self) -> tuple[Column, ...]:
        """The price columns from ask to low."""
        return self.ask, self.bid, self.open, self.high, self.low


class BadRow(NamedTuple):
    """A row that does not decode: its raw JSON text and the reason. It goes to quarantine and is never
    discarded."""

    raw: str
    reason: str
    symbol: str = ""
    """The row's listing without the exchange's suffix; "" if its code does not decode."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of ka20002: its rows in the order served, and the key of the next page (None: the last
    page)."""

    rows: QuoteColumns
    next_key: str | None
    bad: Sequence[BadRow] = ()
    wrong_suffix: int = 0
    """Symbols without the suffix of the requested exchange. They are decoded all the same."""
    surplus: int = 0
    """Number of undocumented fields. The count makes a change of the schema visible."""
    decorated: int = 0
    """Numbers in an unusual but readable form (`--714`, `1,234`, blanks, zero padding)."""
    announced: int | None = None
    """Rows of this page according to the server (resp-cnt); None if the header is absent."""
    end_unsaid: bool = False
    """The page is taken as the last one only because the answer had no cont-yn."""
    size: int = field(init=False, repr=False, compare=False)
    """Rows as the server sent them, readable or not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.rows) + len(self.bad))


class Status(StrEnum):
    """The end state of a due slot × target: exactly one of these."""

    COMPLETE = "complete"
    SUSPECT = "suspect"
    FAILED = "failed"
    MISSED = "missed"


class Remark(StrEnum):
    """The reason a walk is not certified. From LATE on: a note for readers of a certified walk.

    UNDECODED can be either: see `certify.is_note`.
    """

    REPEATED_KEY = "repeated_key"
    SHORT_PAGE = "short_page"
    EMPTY_PAGE = "empty_page"
    PAGE_CAP = "page_cap"
    PAGE_COUNT = "page_count"
    PAGE_ORDER = "page_order"
    NO_END = "no_end"
    UNDECODED = "undecoded"
    DUPLICATE_SYMBOL = "duplicate_symbol"
    WRONG_SUFFIX = "wrong_suffix"
    FOREIGN = "foreign"
    ROW_COUNT = "row_count"
    MEMBERSHIP = "membership"
    EMPTY = "empty"
    STALE = "stale"
    AHEAD_OF_TIME = "ahead_of_time"
    SAME_AS_KRX = "same_as_krx"
    WITNESS_MEMBERS = "witness_members"
    WITNESS_COUNT = "witness_count"
    WITNESS_DATE = "witness_date"
    DATE_ORDER = "date_order"
    CLOSED_DAY = "closed_day"
    ABSENT_DAYS = "absent_days"
    ABSURD = "absurd"
    LATE = "late"
    AFTER_HOURS = "after_hours"
    SUSPENDED = "suspended"
    YOUNGER = "younger"
    BORNE_OUT = "borne_out"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The verdict on a walk's completeness."""

    status: Status
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class WalkResult:
    """A walk after fetching and before judgement: all pages in order, with the arrival time of each.

    `stopped` is the reason the walk ended before the server said so (None: the server sent `cont-yn: N`).
    `attempts` counts requests sent, retries included.
    """

    target: Target
    slot: datetime
    pages: Sequence[Page]
    requested_at: datetime
    page_times: Sequence[datetime]
    attempts: int
    stopped: Remark | None = None
    row_count: int = field(init=False, repr=False, compare=False)
    bad_count: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Counted once: both are asked for a dozen times while a walk is judged and stored.
        object.__setattr__(self, "row_count", sum(len(page.rows) for page in self.pages))
        object.__setattr__(self, "bad_count", sum(len(page.bad) for page in self.pages))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The ledger's line of one slot × target, without the rows."""

    target: Target
    slot: datetime
    status: Status
    pages: int = 0
    rows: int = 0
    remarks: tuple[str, ...] = ()
    error: str = ""
    """Class, code and text of the error of a failed walk, or the reason of a missed one; "" for a stored
    walk."""
    attempts: int = 0
    began: float = 0.0
    ended: float = 0.0
    """Seconds since the sweep began; both are 0 for a walk from an earlier run."""
    expected: int | None = None
    """Rows of the complete walk used as the baseline; None if there was none."""
    bad: int = 0
    """Rows that did not decode; they are in quarantine."""
    testimony: str = ""
    """The numbers of the witnesses that contradict the walk."""

    @property
    def is_whole(self) -> bool:
        """Stored complete, and every row of it decoded."""
        return self.status is Status.COMPLETE and not self.bad


@dataclass(frozen=True, slots=True)
class Baseline:
    """Facts of earlier walks of a target. The certificate judges a new walk by them."""

    rows: int | None = None
    """Rows of the last complete walk of the last ten days, undecoded ones included; None if there is none."""
    day: date | None = None
    """The day (KST) of that walk."""
    members: bytes | None = None
    """Its members digest, see `certify.members_digest`."""
    none_there: bool = False
    """On NXT: none of the sector's KRX members trades there, according to complete walks."""


@dataclass(frozen=True, slots=True)
class EarlierWalk:
    """A stored walk (complete or suspect) before the judged walk, as `certify.bear_out` needs it."""

    slot: datetime
    status: Status
    remarks: Sequence[str]
    symbols: tuple[str, ...]
    """Its members in the order served; those of undecoded rows come last."""
    bad: int = 0
    """Rows that did not decode."""
    has_gap: bool = False
    """Whether a page before the last was empty."""


@dataclass(frozen=True, slots=True)
class History:
    """The earlier walks of a target, newest first: ten days at most, back to the last complete walk."""

    walks: Sequence[EarlierWalk] = ()
    krx: tuple[str, ...] | None = None
    """Members of the day's newest walk of the same sector on KRX; None if there is no such walk."""


@dataclass(frozen=True, slots=True)
class Sector:
    """An industry code (업종코드) with its entry in the sector table."""

    code: str
    market: Market
    name_ko: str
    name_en: str = ""
    kind: str = ""
    members: int | None = None
    """Expected number of listings; None if it is unknown."""
    index_only: bool = False
    """The sector has no members by nature (a volatility or futures index), so an empty answer is complete."""


class Bar(NamedTuple):
    """One listing's day: won as integers, volume in shares; None if nothing traded.

    `change` is won against the close of the trading day before, or against its adjusted value after a split;
    None if the API does not give it.
    """

    symbol: str
    trading_date: date
    open: int | None
    high: int | None
    low: int | None
    close: int | None
    volume: int
    change: int | None


@dataclass(frozen=True, slots=True)
class BarPage:
    """One answer of ka10081: bars newest first, and the key of the next page (None: the last page)."""

    bars: Sequence[Bar]
    next_key: str | None
    bad: Sequence[BadRow] = ()
    announced: int | None = None
    """Rows of this page according to the server (resp-cnt); None if the header is absent."""
    end_unsaid: bool = False
    """The page is taken as the last one only because the answer had no cont-yn."""

    @property
    def size(self) -> int:
        """Rows as the server sent them, readable or not."""
        return len(self.bars) + len(self.bad)


@dataclass(frozen=True, slots=True)
class BarReading:
    """A listing's bars after fetching and before judgement: all pages, newest bar first.

    `newest` is the requested start day, `oldest` the day at which reading was complete. `stopped` is the
    reason reading ended before that and before the server said so (None: it did not).
    """

    symbol: str
    newest: date
    oldest: date
    pages: Sequence[BarPage]
    requested_at: datetime
    received_at: datetime
    attempts: int
    stopped: Remark | None = None

    @property
    def bars(self) -> Sequence[Bar]:
        if len(self.pages) == 1:
            return self.pages[0].bars
        return [bar for page in self.pages for bar in page.bars]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The result of one pass over the targets due at a slot."""

    slot: datetime
    outcomes: Sequence[Outcome] = field(default_factory=tuple)
    requests: int = 0
    seconds: float = 0.0
    session: date | None = None
    """The day of the session that the API shows, by a second source; None if that did not say."""

    @property
    def is_whole(self) -> bool:
        """Every requested target is stored and complete."""
        return all(outcome.is_whole for outcome in self.outcomes)

    def count(self, status: Status) -> int:
        return sum(outcome.status is status for outcome in self.outcomes)
