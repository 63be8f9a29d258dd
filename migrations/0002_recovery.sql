-- Recovery, part 1: the answers of ka20002 are kept as they came, so that a later program can read them again.

-- One row an attempt to walk a target. `state` 1: `answers` is as it came. `state` 2: it is packed, against the walk at
-- `base` if that is not NULL. `checksum` is the Adler-32 of the unpacked bytes. A partition a day, dropped whole.
-- EXTERNAL: the server does not compress; what is packed would not get smaller, and the rest stays for a day only.
CREATE TABLE collector.raw_walk (
    slot        timestamptz NOT NULL,
    target      smallint NOT NULL,
    received_at timestamptz NOT NULL,
    base        timestamptz,
    checksum    bigint NOT NULL,
    size        integer NOT NULL,
    state       smallint NOT NULL CHECK (state IN (1, 2)),
    program     text NOT NULL,
    answers     bytea NOT NULL
) PARTITION BY RANGE (slot);
ALTER TABLE collector.raw_walk ALTER COLUMN answers SET STORAGE EXTERNAL;
CREATE INDEX raw_walk_target ON collector.raw_walk (target, slot);

-- Answers that nothing could be read from; kept for sixty days, each compressed by itself.
CREATE TABLE collector.raw_unreadable (
    slot        timestamptz NOT NULL,
    target      smallint NOT NULL,
    received_at timestamptz NOT NULL,
    error       text NOT NULL,
    answer      bytea NOT NULL
);
CREATE INDEX raw_unreadable_slot ON collector.raw_unreadable (slot, target);

CREATE FUNCTION collector.make_raw_days(first date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    FOR day IN SELECT first + n FROM generate_series(0, days - 1) AS n LOOP
        name := 'raw_walk_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('collector.' || name) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE collector.%I PARTITION OF collector.raw_walk FOR VALUES FROM (%L) TO (%L)',
            name,
            day::timestamp AT TIME ZONE INTERVAL '9 hours',
            (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION collector.raw_days() RETURNS TABLE (day date)
LANGUAGE sql STABLE AS $$
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD')
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'collector.raw_walk'::regclass AND c.relname ~ '^raw_walk_[0-9]{8}$'
    ORDER BY 1
$$;

-- When days of answers were dropped: two within twenty hours at most, as with rows.
CREATE TABLE collector.dropped_raw_day (
    day        date PRIMARY KEY,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Drops the oldest day of answers that is older than `keep_days`, and unreadable answers older than `keep_unreadable`
-- days. The day, or NULL if none went. Refuses where the clocks do not agree. Waits a second for readers at most.
CREATE FUNCTION collector.drop_old_answers(host timestamptz, keep_days integer, keep_unreadable integer) RETURNS date
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
DECLARE
    today  date := (least(host, clock_timestamp()) AT TIME ZONE INTERVAL '9 hours')::date;
    why    text := collector.why_kept(host);
    oldest date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'the clocks do not agree, so no answer is dropped: %', why;
    END IF;
    IF keep_days < 0 OR keep_unreadable < 1 THEN
        RAISE EXCEPTION 'answers cannot be kept for % and % days', keep_days, keep_unreadable;
    END IF;
    DELETE FROM collector.raw_unreadable AS r
    WHERE r.slot < (today - keep_unreadable)::timestamp AT TIME ZONE INTERVAL '9 hours'
      AND r.slot >= (today - keep_unreadable - 400)::timestamp AT TIME ZONE INTERVAL '9 hours';
    IF (
        SELECT count(*) FROM collector.dropped_raw_day AS d
        WHERE d.dropped_at > clock_timestamp() - INTERVAL '20 hours'
    ) >= 2 THEN
        RETURN NULL;
    END IF;
    SELECT min(r.day) INTO oldest FROM collector.raw_days() AS r WHERE r.day < today - keep_days;
    IF oldest IS NOT NULL THEN
        EXECUTE format('DROP TABLE collector.%I', 'raw_walk_' || to_char(oldest, 'YYYYMMDD'));
        INSERT INTO collector.dropped_raw_day AS d (day) VALUES (oldest)
        ON CONFLICT (day) DO UPDATE SET dropped_at = EXCLUDED.dropped_at;
    END IF;
    RETURN oldest;
END
$$;

-- What a walk was before a replay replaced it. No foreign key: a line of the ledger may go, this stays.
CREATE TABLE collector.replay (
    slot        timestamptz NOT NULL,
    target      smallint NOT NULL REFERENCES collector.target,
    replayed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    program     text NOT NULL,
    status      text NOT NULL,
    rows        integer NOT NULL,
    remarks     text[] NOT NULL,
    error       text,
    digest      bytea,
    members     bytea,
    names       bytea
);
CREATE INDEX replay_slot ON collector.replay (slot, target);

CREATE VIEW public.replay AS
SELECT r.slot, t.market, t.sector, t.exchange, r.replayed_at, r.program, r.status, r.rows, r.remarks, r.error, r.digest
FROM collector.replay AS r
JOIN collector.target AS t ON t.id = r.target;
COMMENT ON VIEW public.replay IS 'Walks that `collector replay` replaced: what the ledger said of each before';
COMMENT ON COLUMN public.replay.program IS 'version of the program that read the kept answers again';
COMMENT ON COLUMN public.replay.digest IS 'digest of the rows before; NULL: there were none';

-- Part 2: missed slots, reconstructed from the minute bars of ka10080.

ALTER TABLE collector.walk ADD COLUMN repaired_at timestamptz;

-- Rows for slots that nothing observed. Bid and ask are unknown. One transaction a listing, exchange and day.
CREATE TABLE collector.reconstructed (
    slot             timestamptz NOT NULL,
    symbol           text NOT NULL,
    exchange         text NOT NULL,
    price            integer NOT NULL,
    change           integer NOT NULL,
    rate             integer NOT NULL,
    volume           bigint,
    open             integer,
    high             integer,
    low              integer,
    source           text NOT NULL,
    reconstructed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (slot, exchange, symbol)
);

-- Which listings a missed slot of a target had, by the membership of its day.
CREATE TABLE collector.repaired_member (
    slot   timestamptz NOT NULL,
    target smallint NOT NULL REFERENCES collector.target,
    symbol text NOT NULL,
    PRIMARY KEY (slot, target, symbol)
);

-- One line a listing, exchange and day that was asked for. `equal_*` of `compared`: observed slots of the day with
-- the same price and the same volume as the reconstruction of that slot.
CREATE TABLE collector.repair (
    trading_date   date NOT NULL,
    symbol         text NOT NULL,
    exchange       text NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('repaired', 'empty', 'failed')),
    reason         text NOT NULL DEFAULT '',
    bars           integer NOT NULL DEFAULT 0,
    rows           integer NOT NULL DEFAULT 0,
    compared       integer NOT NULL DEFAULT 0,
    equal_prices   integer NOT NULL DEFAULT 0,
    equal_volumes  integer NOT NULL DEFAULT 0,
    slots          timestamptz[] NOT NULL DEFAULT '{}',
    repaired_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (trading_date, exchange, symbol)
);

CREATE VIEW public.repair AS
SELECT trading_date, exchange,
       count(*) AS listings,
       count(*) FILTER (WHERE outcome = 'repaired') AS repaired,
       count(*) FILTER (WHERE outcome = 'empty') AS empty,
       count(*) FILTER (WHERE outcome = 'failed') AS failed,
       sum(rows) AS rows,
       sum(compared) AS compared,
       round(100.0 * sum(equal_prices) / NULLIF(sum(compared), 0), 2) AS equal_prices_percent,
       round(100.0 * sum(equal_volumes) / NULLIF(sum(compared), 0), 2) AS equal_volumes_percent,
       COALESCE(sum(equal_prices) < 0.98 * sum(compared) OR sum(equal_volumes) < 0.98 * sum(compared), false) AS doubtful
FROM collector.repair
GROUP BY trading_date, exchange;
COMMENT ON VIEW public.repair IS 'What `collector repair` did on each day, and how it agrees with what was observed';
COMMENT ON COLUMN public.repair.doubtful IS
    'less than 98 % of the observed prices or volumes equal their reconstruction';

CREATE VIEW public.reconstructed AS
SELECT r.slot, t.market, t.sector, t.exchange, r.symbol,
       (SELECT l.name FROM collector.listing AS l WHERE l.symbol = r.symbol ORDER BY l.last_seen DESC, l.id DESC LIMIT 1)
           AS name,
       r.price, r.change,
       ((r.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent,
       (r.rate & 7)::smallint AS sign,
       r.volume, r.open, r.high, r.low, r.source, r.reconstructed_at
FROM collector.repaired_member AS m
JOIN collector.target AS t ON t.id = m.target
JOIN collector.reconstructed AS r ON r.slot = m.slot AND r.exchange = t.exchange AND r.symbol = m.symbol;
COMMENT ON VIEW public.reconstructed IS
    'Rows of missed slots, computed from minute bars: never observed, never certified, without bid and ask';
COMMENT ON COLUMN public.reconstructed.source IS 'where the row comes from: ka10080';
COMMENT ON COLUMN public.reconstructed.volume IS
    'shares traded until the slot; NULL: the bars do not say it';
COMMENT ON COLUMN public.reconstructed.reconstructed_at IS 'by the clock of the database';

-- The view gets one more column, whatever columns it has by now.
DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW public.walk AS ' || regexp_replace(
        pg_get_viewdef('public.walk'::regclass), E'\n   FROM ', E', w.repaired_at\n   FROM '
    );
END
$$;
COMMENT ON COLUMN public.walk.repaired_at IS
    'when reconstructed rows of the slot were stored; the status stays what it was';

-- A day of a target: observed rows where a walk was stored, reconstructed ones elsewhere. `origin` says which.
CREATE FUNCTION public.filled(of_market text, of_sector text, of_exchange text, of_day date)
RETURNS TABLE (
    slot timestamptz, symbol text, name text, price integer, change integer, change_percent numeric, sign smallint,
    volume bigint, ask integer, bid integer, open integer, high integer, low integer, origin text
)
LANGUAGE sql STABLE AS $$
    SELECT s.slot, s.symbol, s.name, s.price, s.change, s.change_percent, s.sign, s.volume, s.ask, s.bid,
           s.open, s.high, s.low, 'observed'
    FROM public.snapshot AS s
    WHERE s.market = of_market AND s.sector = of_sector AND s.exchange = of_exchange
      AND s.slot >= of_day::timestamp AT TIME ZONE INTERVAL '9 hours'
      AND s.slot < (of_day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
    UNION ALL
    SELECT r.slot, r.symbol, r.name, r.price, r.change, r.change_percent, r.sign, r.volume, NULL, NULL,
           r.open, r.high, r.low, r.source
    FROM public.reconstructed AS r
    WHERE r.market = of_market AND r.sector = of_sector AND r.exchange = of_exchange
      AND r.slot >= of_day::timestamp AT TIME ZONE INTERVAL '9 hours'
      AND r.slot < (of_day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
      AND NOT EXISTS (
          SELECT FROM public.walk AS w
          WHERE w.slot = r.slot AND w.market = of_market AND w.sector = of_sector AND w.exchange = of_exchange
            AND w.status IN ('complete', 'suspect')
      )
    ORDER BY 1, 2
$$;
COMMENT ON FUNCTION public.filled IS
    'A day of a target: rows as observed, and for slots that were missed as reconstructed from minute bars; origin says'
    ' which of the two. Example: SELECT * FROM filled(''KOSPI'', ''013'', ''KRX'', ''2026-11-20'')';
