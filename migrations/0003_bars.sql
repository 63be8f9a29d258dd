-- Daily bars: what the past still gives. Narrow rows under `collector`, read through the views in `public`.

-- Fixed widths and no NULLs, eight-byte column first: 68 bytes a row. A price of 0 stands for "did not trade".
-- Adjusted prices are another series under the same symbol; nothing ever reads both at once.
CREATE TABLE collector.bar (
    volume       bigint NOT NULL,
    trading_date date NOT NULL,
    open         integer NOT NULL,
    high         integer NOT NULL,
    low          integer NOT NULL,
    close        integer NOT NULL,
    change       integer NOT NULL,
    adjusted     boolean NOT NULL,
    symbol       text COLLATE "C" NOT NULL,
    PRIMARY KEY (symbol, adjusted, trading_date)
);

-- The bars of walks that are not certified: kept, and out of the way of whoever reads `bar`.
CREATE TABLE collector.bar_suspect (LIKE collector.bar);
CREATE INDEX bar_suspect_symbol ON collector.bar_suspect (symbol, adjusted);

-- The ledger of bars: one row a walk of one listing's history. A trading day that lies within a complete one
-- is settled, whether it has a bar or the listing had none (suspended, or younger).
CREATE TABLE collector.bar_walk (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol       text COLLATE "C" NOT NULL,
    adjusted     boolean NOT NULL,
    from_date    date NOT NULL,
    to_date      date NOT NULL,
    as_of        date NOT NULL,
    status       text NOT NULL CHECK (status IN ('complete', 'suspect', 'failed')),
    remarks      text[] NOT NULL DEFAULT '{}',
    error        text,
    attempts     integer NOT NULL DEFAULT 0,
    pages        integer NOT NULL DEFAULT 0,
    rows         integer NOT NULL DEFAULT 0,
    requested_at timestamptz NOT NULL,
    received_at  timestamptz,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (from_date <= to_date AND to_date <= as_of)
);
CREATE INDEX bar_walk_settled ON collector.bar_walk (symbol, adjusted) WHERE status = 'complete';

CREATE TABLE collector.bar_quarantine (
    walk   bigint NOT NULL REFERENCES collector.bar_walk,
    page   integer NOT NULL,
    raw    text NOT NULL,
    reason text NOT NULL
);

-- Trading days as far as a backfill has looked at them: from `closes` on and before `shown_until`, ka20002
-- shows the final state of KRX's regular session; before `stands_until` not even the after-market has opened.
CREATE TABLE collector.trading_day (
    trading_date date PRIMARY KEY,
    closes       timestamptz NOT NULL,
    stands_until timestamptz NOT NULL,
    shown_until  timestamptz NOT NULL,
    CHECK (closes < stands_until AND stands_until <= shown_until)
);

-- Who belonged to a target, as a complete walk of that day showed it. A row only where it changed.
CREATE TABLE collector.membership (
    target  smallint NOT NULL REFERENCES collector.target,
    as_of   date NOT NULL,
    symbols text[] NOT NULL,
    PRIMARY KEY (target, as_of)
);

-- Enters a walk of a history with its bars, a column each, oldest first: one statement, so one transaction and one
-- round trip. Days are counted from 0001-01-01 as 1. Bars of days that are settled already, or that were not
-- wanted, are left out. False: somebody else has settled the whole stretch, and nothing was changed.
CREATE FUNCTION collector.enter_bars(
    new collector.bar_walk, days integer[], opens integer[], highs integer[], lows integer[], closes integer[],
    volumes bigint[], changes integer[], bad_pages integer[], bad_rows text[], bad_reasons text[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    before  CONSTANT date := DATE '0001-01-01' - 1;
    stretch datemultirange := datemultirange(daterange(new.from_date, new.to_date, '[]'));
    settled datemultirange;
    oldest  collector.bar;
    walk    bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.bar'), hashtext(new.symbol));
    SELECT COALESCE(range_agg(daterange(w.from_date, w.to_date, '[]')), '{}') INTO settled
    FROM collector.bar_walk AS w
    WHERE w.symbol = new.symbol AND w.adjusted = new.adjusted AND w.status = 'complete';
    IF settled @> stretch THEN
        RETURN false;
    END IF;
    INSERT INTO collector.bar_walk (
        symbol, adjusted, from_date, to_date, as_of, status, remarks, error, attempts, pages, rows,
        requested_at, received_at
    )
    VALUES (
        new.symbol, new.adjusted, new.from_date, new.to_date, new.as_of, new.status, new.remarks, new.error,
        new.attempts, new.pages, new.rows, new.requested_at, new.received_at
    )
    RETURNING id INTO walk;
    IF new.status = 'failed' THEN
        RETURN true;
    END IF;
    INSERT INTO collector.bar_quarantine (walk, page, raw, reason)
    SELECT walk, page, raw, reason
    FROM unnest(bad_pages, bad_rows, bad_reasons) AS bad (page, raw, reason);
    DELETE FROM collector.bar_suspect AS s
    WHERE s.symbol = new.symbol AND s.adjusted = new.adjusted
      AND s.trading_date BETWEEN new.from_date AND new.to_date;
    IF new.status = 'suspect' THEN
        INSERT INTO collector.bar_suspect (
            symbol, adjusted, trading_date, open, high, low, close, volume, change
        )
        SELECT new.symbol, new.adjusted, before + b.day, b.open, b.high, b.low, b.close, b.volume, b.change
        FROM unnest(days, opens, highs, lows, closes, volumes, changes)
             AS b (day, open, high, low, close, volume, change)
        WHERE stretch @> before + b.day;
        RETURN true;
    END IF;
    IF new.adjusted THEN
        -- A split changes every adjusted price before it, so that of the oldest day as well.
        SELECT * INTO oldest
        FROM collector.bar AS b
        WHERE b.symbol = new.symbol AND b.adjusted
        ORDER BY b.trading_date
        LIMIT 1;
        IF FOUND AND NOT EXISTS (
            SELECT
            FROM unnest(days, opens, highs, lows, closes, volumes) AS b (day, open, high, low, close, volume)
            WHERE before + b.day = oldest.trading_date
              AND (b.open, b.high, b.low, b.close, b.volume)
                  = (oldest.open, oldest.high, oldest.low, oldest.close, oldest.volume)
        ) THEN
            DELETE FROM collector.bar AS b WHERE b.symbol = new.symbol AND b.adjusted;
            stretch := stretch + settled;
            settled := '{}';
        END IF;
    END IF;
    stretch := stretch - settled;
    INSERT INTO collector.bar (symbol, adjusted, trading_date, open, high, low, close, volume, change)
    SELECT new.symbol, new.adjusted, before + b.day, b.open, b.high, b.low, b.close, b.volume, b.change
    FROM unnest(days, opens, highs, lows, closes, volumes, changes)
         AS b (day, open, high, low, close, volume, change)
    WHERE stretch @> before + b.day;
    RETURN true;
END
$$;

CREATE VIEW public.bar AS
SELECT b.symbol, b.trading_date,
       NULLIF(b.open, 0) AS open,
       NULLIF(b.high, 0) AS high,
       NULLIF(b.low, 0) AS low,
       b.close,
       b.volume,
       'ka10081'::text AS source
FROM collector.bar AS b
WHERE NOT b.adjusted;

CREATE VIEW public.bar_adjusted AS
SELECT b.symbol, b.trading_date,
       NULLIF(b.open, 0) AS open,
       NULLIF(b.high, 0) AS high,
       NULLIF(b.low, 0) AS low,
       b.close,
       b.volume,
       'ka10081'::text AS source,
       w.as_of AS adjusted_as_of
FROM collector.bar AS b
JOIN (
    SELECT symbol, max(as_of) AS as_of
    FROM collector.bar_walk
    WHERE adjusted AND status = 'complete'
    GROUP BY symbol
) AS w ON w.symbol = b.symbol
WHERE b.adjusted;

CREATE VIEW public.bar_walk AS
SELECT symbol, adjusted, from_date, to_date, as_of, status, remarks, error, attempts, pages, rows,
       requested_at, received_at, committed_at
FROM collector.bar_walk;

-- The walk that shows a trading day's final state on KRX: the newest complete one between two regular sessions,
-- if possible from before the after-market, as long as its rows are kept.
CREATE VIEW collector.closing AS
SELECT d.trading_date, t.id AS target, t.market, t.sector, w.slot
FROM collector.trading_day AS d
CROSS JOIN collector.target AS t
CROSS JOIN LATERAL (
    SELECT w.slot
    FROM collector.walk AS w
    WHERE w.target = t.id AND w.status = 'complete' AND w.slot >= d.closes AND w.slot < d.shown_until
    ORDER BY w.slot < d.stands_until DESC, w.slot DESC
    LIMIT 1
) AS w
WHERE t.exchange = 'KRX'
  AND to_regclass('collector.snapshot_' || to_char(w.slot AT TIME ZONE INTERVAL '9 hours', 'YYYYMMDD')) IS NOT NULL;

-- From when to when each membership is used: until the next one, and the oldest one for everything before it.
CREATE VIEW collector.member AS
SELECT m.target, t.market, t.sector, m.as_of, listed.symbol,
       CASE WHEN EXISTS (
           SELECT FROM collector.membership AS o WHERE o.target = m.target AND o.as_of < m.as_of
       ) THEN m.as_of ELSE '-infinity'::date END AS used_from,
       COALESCE((
           SELECT min(n.as_of) FROM collector.membership AS n WHERE n.target = m.target AND n.as_of > m.as_of
       ), 'infinity'::date) AS used_before
FROM collector.membership AS m
JOIN collector.target AS t ON t.id = m.target
CROSS JOIN LATERAL unnest(m.symbols) AS listed (symbol)
WHERE t.exchange = 'KRX';

-- OFFSET 0, as in `latest`: each closing looks up its own rows, in its own partition.
CREATE VIEW public.daily AS
SELECT c.trading_date, c.market, c.sector, l.symbol,
       NULLIF(s.open, 0) AS open,
       NULLIF(s.high, 0) AS high,
       NULLIF(s.low, 0) AS low,
       NULLIF(s.price, 0) AS close,
       s.volume,
       s.change,
       'ka20002'::text AS source,
       c.trading_date AS members_as_of
FROM collector.closing AS c
CROSS JOIN LATERAL (
    SELECT *
    FROM collector.snapshot
    WHERE slot = c.slot AND target = c.target
    OFFSET 0
) AS s
JOIN collector.listing AS l ON l.id = s.listing
UNION ALL
SELECT b.trading_date, m.market, m.sector, m.symbol,
       NULLIF(b.open, 0),
       NULLIF(b.high, 0),
       NULLIF(b.low, 0),
       NULLIF(b.close, 0),
       b.volume,
       b.change,
       'ka10081'::text,
       m.as_of
FROM collector.member AS m
JOIN collector.bar AS b
  ON b.symbol = m.symbol AND NOT b.adjusted AND b.trading_date >= m.used_from AND b.trading_date < m.used_before
WHERE NOT EXISTS (
    SELECT FROM collector.closing AS c WHERE c.target = m.target AND c.trading_date = b.trading_date
);

-- Who may not wait goes first: until then nobody patient takes a place of this quota.
ALTER TABLE collector.quota ADD COLUMN urgent_until timestamptz NOT NULL DEFAULT '-infinity';

COMMENT ON VIEW public.bar IS 'Certified daily bars of KRX as traded (ka10081 with upd_stkpc_tp 0)';
COMMENT ON COLUMN public.bar.symbol IS 'stk_cd as asked: six characters, KRX';
COMMENT ON COLUMN public.bar.trading_date IS 'dt: the trading day in Korea';
COMMENT ON COLUMN public.bar.open IS 'open_pric, won as traded; NULL on a day without a trade';
COMMENT ON COLUMN public.bar.high IS 'high_pric, won as traded; NULL on a day without a trade';
COMMENT ON COLUMN public.bar.low IS 'low_pric, won as traded; NULL on a day without a trade';
COMMENT ON COLUMN public.bar.close IS 'cur_prc, won as traded: the close of the day';
COMMENT ON COLUMN public.bar.volume IS 'trde_qty, shares';
COMMENT ON COLUMN public.bar.source IS 'the call that it came from: ka10081';

COMMENT ON VIEW public.bar_adjusted IS
    'Certified daily bars of KRX in adjusted prices (ka10081 with upd_stkpc_tp 1), never mixed with those of bar';
COMMENT ON COLUMN public.bar_adjusted.symbol IS 'stk_cd as asked: six characters, KRX';
COMMENT ON COLUMN public.bar_adjusted.trading_date IS 'dt: the trading day in Korea';
COMMENT ON COLUMN public.bar_adjusted.open IS 'open_pric, adjusted won; NULL on a day without a trade';
COMMENT ON COLUMN public.bar_adjusted.high IS 'high_pric, adjusted won; NULL on a day without a trade';
COMMENT ON COLUMN public.bar_adjusted.low IS 'low_pric, adjusted won; NULL on a day without a trade';
COMMENT ON COLUMN public.bar_adjusted.close IS 'cur_prc, adjusted won: the close of the day';
COMMENT ON COLUMN public.bar_adjusted.volume IS 'trde_qty, shares, adjusted where the API adjusts them';
COMMENT ON COLUMN public.bar_adjusted.source IS 'the call that it came from: ka10081';
COMMENT ON COLUMN public.bar_adjusted.adjusted_as_of IS
    'base_dt: splits up to this day are in the prices, later ones are not; one day for the whole listing';

COMMENT ON VIEW public.bar_walk IS 'The ledger of bars: each time that a listing''s history was read, and how it ended';
COMMENT ON COLUMN public.bar_walk.adjusted IS 'upd_stkpc_tp: whether adjusted prices were asked for';
COMMENT ON COLUMN public.bar_walk.from_date IS 'the first trading day that was wanted';
COMMENT ON COLUMN public.bar_walk.to_date IS 'the last trading day that was wanted';
COMMENT ON COLUMN public.bar_walk.as_of IS 'base_dt: the day that was read back from';
COMMENT ON COLUMN public.bar_walk.status IS
    'complete: every trading day of the stretch is settled; suspect: kept apart; failed: nothing was stored';
COMMENT ON COLUMN public.bar_walk.remarks IS
    'why it is suspect; suspended and younger say why a complete one has fewer bars than there are trading days';
COMMENT ON COLUMN public.bar_walk.error IS 'class, code and text of what failed it';
COMMENT ON COLUMN public.bar_walk.attempts IS 'requests sent, retries included';
COMMENT ON COLUMN public.bar_walk.rows IS 'bars of the stretch that were read';

COMMENT ON VIEW public.daily IS
    'Sector × trading day × listing on KRX: the closing walk of ka20002 where there is a complete one, else the'
    ' bar of ka10081. Members of past days are not to be had, see members_as_of: who left before is not in here.';
COMMENT ON COLUMN public.daily.open IS 'open_pric, won as traded; NULL on a day without a trade';
COMMENT ON COLUMN public.daily.high IS 'high_pric, won as traded; NULL on a day without a trade';
COMMENT ON COLUMN public.daily.low IS 'low_pric, won as traded; NULL on a day without a trade';
COMMENT ON COLUMN public.daily.close IS 'cur_prc, won as traded';
COMMENT ON COLUMN public.daily.volume IS 'now_trde_qty or trde_qty, shares';
COMMENT ON COLUMN public.daily.change IS 'pred_pre, won against the close before';
COMMENT ON COLUMN public.daily.source IS 'ka20002: a certified closing walk; ka10081: a certified bar';
COMMENT ON COLUMN public.daily.members_as_of IS
    'The day whose members these are. With ka10081 usually a later one: listings that have left the sector since,'
    ' or the exchange, are not among them (survivorship)';
