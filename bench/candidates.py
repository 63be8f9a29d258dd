"""The storage layouts that are weighed against each other, as SQL.

Each has a schema of its own and shows the same two views, `snapshot` and `latest`, so that a question is one
text for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench import streams
from bench.day import Walked


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layout: its table `quote`, its indexes, its views, and how a walk becomes a COPY stream."""

    key: str
    title: str
    table: str
    indexes: str
    views: str
    encode: Callable[[Walked], bytes]
    cut_by: str = "slot"
    """What daily partitions are cut by: slot, number, or nothing ("")."""

    @property
    def schema(self) -> str:
        return self.key.lower().replace("/", "_")


AROUND = """
CREATE TABLE target (
    id smallint PRIMARY KEY,
    market text NOT NULL,
    sector text NOT NULL,
    exchange text NOT NULL,
    UNIQUE (market, sector, exchange)
);
CREATE TABLE listing (
    id integer PRIMARY KEY,
    symbol text NOT NULL,
    name text NOT NULL,
    UNIQUE (symbol, name)
);
CREATE TABLE walk (
    slot timestamptz NOT NULL,
    target smallint NOT NULL,
    number bigint NOT NULL UNIQUE,
    status text NOT NULL,
    page_starts smallint[] NOT NULL,
    page_times timestamptz[] NOT NULL,
    PRIMARY KEY (slot, target)
);
CREATE INDEX walk_newest ON walk (target, slot DESC) WHERE status = 'complete';
"""

_VALUES = """
    listing integer NOT NULL,
    price integer NOT NULL,
    change integer NOT NULL,
    rate integer NOT NULL,
    ask integer NOT NULL,
    bid integer NOT NULL,
    open integer NOT NULL,
    high integer NOT NULL,
    low integer NOT NULL,
"""
_NARROW = f"""
CREATE TABLE quote (
    slot timestamptz NOT NULL,
    volume bigint NOT NULL,{_VALUES}
    target smallint NOT NULL,
    position smallint NOT NULL
) PARTITION BY RANGE (slot);
"""
_NUMBERED = f"""
CREATE TABLE quote (
    walk bigint NOT NULL,
    volume bigint NOT NULL,{_VALUES}
    position smallint NOT NULL
) PARTITION BY RANGE (walk);
"""
_SHORT = """
CREATE TABLE quote (
    volume bigint NOT NULL,
    walk integer NOT NULL,
    listing integer NOT NULL,
    price integer NOT NULL,
    change integer NOT NULL,
    ask integer NOT NULL,
    bid integer NOT NULL,
    open integer NOT NULL,
    high integer NOT NULL,
    low integer NOT NULL,
    position smallint NOT NULL,
    sign smallint NOT NULL
) PARTITION BY RANGE (walk);
"""
_NATURAL = """
CREATE TABLE quote (
    slot timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    volume bigint NOT NULL,
    market text NOT NULL,
    sector text NOT NULL,
    exchange text NOT NULL,
    symbol text NOT NULL,
    position integer NOT NULL,
    price integer,
    change integer NOT NULL,
    sign smallint NOT NULL,
    change_percent numeric(8, 2) NOT NULL,
    ask integer,
    bid integer,
    open integer,
    high integer,
    low integer
) PARTITION BY RANGE (slot);
"""
_ARRAYS = """
CREATE TABLE quote (
    slot timestamptz NOT NULL,
    target smallint NOT NULL,
    volume bigint[] NOT NULL,
    listing integer[] NOT NULL,
    price integer[] NOT NULL,
    change integer[] NOT NULL,
    rate integer[] NOT NULL,
    ask integer[] NOT NULL,
    bid integer[] NOT NULL,
    open integer[] NOT NULL,
    high integer[] NOT NULL,
    low integer[] NOT NULL
) PARTITION BY RANGE (slot);
"""
_LOADED = """
CREATE TABLE quote (
    slot timestamptz,
    market varchar,
    sector varchar,
    exchange varchar,
    position bigint,
    symbol varchar,
    name varchar,
    price bigint,
    change bigint,
    change_percent double precision,
    sign bigint,
    volume bigint,
    ask bigint,
    bid bigint,
    open bigint,
    high bigint,
    low bigint,
    received_at timestamptz,
    load_id varchar NOT NULL,
    row_id varchar NOT NULL
);
"""

_SHOWN = """t.market, t.sector, t.exchange, q.position, l.symbol, l.name,
    NULLIF(q.price, 0) AS price, q.change, (q.rate >> 3) * 0.01 AS change_percent,
    (q.rate & 7)::smallint AS sign, q.volume, NULLIF(q.ask, 0) AS ask, NULLIF(q.bid, 0) AS bid,
    NULLIF(q.open, 0) AS open, NULLIF(q.high, 0) AS high, NULLIF(q.low, 0) AS low,
    w.page_times[width_bucket(q.position::smallint, w.page_starts)] AS received_at"""
_SHOWN_SHORT = _SHOWN.replace(
    "(q.rate >> 3) * 0.01", "round(100.0 * q.change / NULLIF(q.price - q.change, 0), 2)"
).replace("(q.rate & 7)::smallint", "q.sign")
_SHOWN_NATURAL = """q.market, q.sector, q.exchange, q.position, q.symbol, l.name, q.price, q.change,
    q.change_percent, q.sign, q.volume, q.ask, q.bid, q.open, q.high, q.low, q.received_at"""

_UNNEST = """CROSS JOIN LATERAL unnest(
    a.volume, a.listing, a.price, a.change, a.rate, a.ask, a.bid, a.open, a.high, a.low
) WITH ORDINALITY AS q (volume, listing, price, change, rate, ask, bid, open, high, low, position)
"""
_NEWEST = """FROM target AS t
CROSS JOIN LATERAL (
    SELECT slot, number, page_starts, page_times
    FROM walk
    WHERE target = t.id AND status = 'complete'
    ORDER BY slot DESC
    LIMIT 1
) AS w
"""
_NAMED = "LEFT JOIN listing AS l ON l.id = q.listing\n"
_WALKED = (
    "LEFT JOIN target AS t ON t.id = q.target\nLEFT JOIN walk AS w ON w.slot = q.slot AND w.target = q.target"
)
_NUMBERED_WALKED = "JOIN walk AS w ON w.number = q.walk\nLEFT JOIN target AS t ON t.id = w.target"
# OFFSET 0 is the fence that makes each walk look up its own rows, in its own partition.
_OF_WALK = "CROSS JOIN LATERAL (SELECT * FROM quote WHERE slot = w.slot AND target = t.id OFFSET 0) AS q\n"
_OF_NUMBER = "CROSS JOIN LATERAL (SELECT * FROM quote WHERE walk = w.number OFFSET 0) AS q\n"
_OF_TEXTS = """CROSS JOIN LATERAL (
    SELECT *
    FROM quote
    WHERE slot = w.slot AND market = t.market AND sector = t.sector AND exchange = t.exchange
    OFFSET 0
) AS q
"""


def _views(shown: str, snapshot: str, latest: str) -> str:
    return f"""
CREATE VIEW snapshot AS SELECT {shown}
{snapshot};
CREATE VIEW latest AS SELECT {shown}
{latest};
"""


_BY_SLOT = _views(f"q.slot, {_SHOWN}", f"FROM quote AS q\n{_NAMED}{_WALKED}", f"{_NEWEST}{_OF_WALK}{_NAMED}")
_NUMBER = (f"FROM quote AS q\n{_NAMED}{_NUMBERED_WALKED}", f"{_NEWEST}{_OF_NUMBER}{_NAMED}")
_BY_NUMBER = _views(f"w.slot, {_SHOWN}", *_NUMBER)
_BY_SHORT = _views(f"w.slot, {_SHOWN_SHORT}", *_NUMBER)
_BY_TEXTS = _views(
    f"q.slot, {_SHOWN_NATURAL}",
    "FROM quote AS q\nLEFT JOIN listing AS l ON l.symbol = q.symbol",
    f"{_NEWEST}{_OF_TEXTS}LEFT JOIN listing AS l ON l.symbol = q.symbol",
)
_BY_WHOLE = _views(
    f"q.slot, {_SHOWN_NATURAL.replace('l.name', 'q.name')}", "FROM quote AS q", f"{_NEWEST}{_OF_TEXTS}"
)
_BY_ARRAY = _views(
    f"a.slot, {_SHOWN}",
    f"FROM quote AS a\n{_UNNEST}{_NAMED}{_WALKED.replace('q.', 'a.')}",
    f"{_NEWEST}{_OF_WALK.replace('AS q', 'AS a')}{_UNNEST}{_NAMED}",
)

_LISTING = "CREATE INDEX quote_listing ON quote (listing);"
_WALK = "CREATE INDEX quote_walk ON quote (walk);"


def _narrow(key: str, title: str, indexes: str) -> Candidate:
    return Candidate(key, f"narrow, {title}", _NARROW, indexes, _BY_SLOT, streams.narrow)


def _brin(pages: int) -> Candidate:
    options = f"pages_per_range = {pages}, autosummarize = on"
    index = f"CREATE INDEX quote_walk ON quote USING brin (slot, target) WITH ({options});"
    return _narrow(f"B2/{pages}", f"btree (listing), BRIN (slot, target) {pages}", _LISTING + index)


CANDIDATES = (
    Candidate(
        "A",
        "text keys, natural primary key",
        _NATURAL,
        "ALTER TABLE quote ADD PRIMARY KEY (slot, market, sector, exchange, symbol);",
        _BY_TEXTS,
        streams.natural,
    ),
    _narrow("B0", "no index", ""),
    _narrow(
        "B1",
        "btree (listing), btree (slot, target)",
        f"{_LISTING}CREATE INDEX quote_walk ON quote (slot, target);",
    ),
    _brin(8),
    _brin(16),
    _brin(32),
    _narrow("B3", "btree (listing)", _LISTING),
    Candidate(
        "C",
        "walk number, btree (listing), btree (walk)",
        _NUMBERED,
        _LISTING + _WALK,
        _BY_NUMBER,
        streams.numbered,
        cut_by="number",
    ),
    Candidate(
        "C4",
        "walk number in 4 bytes, percent computed",
        _SHORT,
        _LISTING + _WALK,
        _BY_SHORT,
        streams.short,
        cut_by="number",
    ),
    Candidate(
        "D",
        "one row of arrays a walk",
        _ARRAYS,
        "ALTER TABLE quote ADD PRIMARY KEY (slot, target);",
        _BY_ARRAY,
        streams.arrays,
    ),
    Candidate(
        "E",
        "as a generic loader types it",
        _LOADED,
        "ALTER TABLE quote ADD UNIQUE (row_id);",
        _BY_WHOLE,
        streams.loaded,
        cut_by="",
    ),
)
