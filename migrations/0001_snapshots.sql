-- The layout: narrow rows under the schema `collector`, read through the views in `public`.
-- Why it looks like this, with the bytes of each alternative: docs/decisions/0002-storage-layout.md

CREATE TABLE collector.target (
    id       smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    market   text NOT NULL,
    sector   text NOT NULL,
    exchange text NOT NULL,
    UNIQUE (market, sector, exchange)
);

CREATE TABLE collector.sector (
    code       text NOT NULL,
    market     text NOT NULL,
    name_ko    text NOT NULL,
    name_en    text NOT NULL DEFAULT '',
    kind       text NOT NULL DEFAULT '',
    members    integer,
    index_only boolean NOT NULL DEFAULT false,
    valid_from date NOT NULL,
    valid_to   date,
    PRIMARY KEY (code, valid_from)
);

-- A listing under one name: a renamed one gets a second row, so that a snapshot keeps the name it was seen with.
CREATE TABLE collector.listing (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol     text NOT NULL,
    name       text NOT NULL,
    board      text,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    UNIQUE (symbol, name)
);

-- The ledger: one row a slot and target, however it ended. Its key is what makes a second load impossible.
CREATE TABLE collector.walk (
    slot         timestamptz NOT NULL,
    target       smallint NOT NULL REFERENCES collector.target,
    status       text NOT NULL CHECK (status IN ('complete', 'suspect', 'failed', 'missed')),
    pages        integer NOT NULL DEFAULT 0,
    rows         integer NOT NULL DEFAULT 0,
    remarks      text[] NOT NULL DEFAULT '{}',
    error        text,
    attempts     integer NOT NULL DEFAULT 0,
    requested_at timestamptz,
    received_at  timestamptz,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    page_starts  smallint[] NOT NULL DEFAULT '{}',
    page_times   timestamptz[] NOT NULL DEFAULT '{}',
    members      bytea,
    digest       bytea,
    PRIMARY KEY (slot, target)
);
CREATE INDEX walk_target ON collector.walk (target, slot DESC);

-- No NULLs and fixed widths, eight-byte columns first: 56 bytes a row. A price of 0 stands for "no quote".
-- rate = change in hundredths of a percent × 8 + sign.
CREATE TABLE collector.snapshot (
    slot     timestamptz NOT NULL,
    volume   bigint NOT NULL,
    listing  integer NOT NULL,
    price    integer NOT NULL,
    change   integer NOT NULL,
    rate     integer NOT NULL,
    ask      integer NOT NULL,
    bid      integer NOT NULL,
    open     integer NOT NULL,
    high     integer NOT NULL,
    low      integer NOT NULL,
    target   smallint NOT NULL,
    position smallint NOT NULL
) PARTITION BY RANGE (slot);
CREATE INDEX snapshot_listing ON collector.snapshot (listing);
CREATE INDEX snapshot_slot ON collector.snapshot USING brin (slot, target)
    WITH (pages_per_range = 8, autosummarize = on);

CREATE TABLE collector.quarantine (
    slot   timestamptz NOT NULL,
    target smallint NOT NULL,
    page   integer NOT NULL,
    raw    text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX quarantine_slot ON collector.quarantine (slot, target);

-- One pass over a universe: lets a stopped `once` be taken up again.
CREATE TABLE collector.sweep (
    slot       timestamptz NOT NULL,
    universe   text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    PRIMARY KEY (slot, universe)
);

-- Whose data this database holds: real, mock or simulated. They are never mixed.
CREATE TABLE collector.origin (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    kind  text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The quota of a key, shared by every program that uses it. `key` is a digest of the app key.
CREATE TABLE collector.quota (
    key        text NOT NULL,
    api_id     text NOT NULL,
    granted    integer,
    hold_until timestamptz NOT NULL DEFAULT '-infinity',
    round_trip double precision, -- seconds; the smallest that was seen
    PRIMARY KEY (key, api_id)
);

-- One row a place in the sliding window of a quota: free from `free_at` on; `booked` while a request is under way.
CREATE TABLE collector.place (
    key     text NOT NULL,
    api_id  text NOT NULL,
    number  integer NOT NULL,
    free_at timestamptz NOT NULL DEFAULT '-infinity',
    booked  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (key, api_id, number)
) WITH (fillfactor = 50);

-- The one live token of a key, sealed with a key derived from the secret key.
CREATE TABLE collector.token (
    key        text PRIMARY KEY,
    sealed     bytea,
    issued_at  timestamptz,
    expires_at timestamptz,
    refused_at timestamptz
);

-- The days of Korea from `first` on get their partitions; those that exist stay as they are.
-- Made aside and attached: that takes no lock that a running COPY or a reader would wait for.
CREATE FUNCTION collector.make_days(first date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    FOR day IN SELECT first + n FROM generate_series(0, days - 1) AS n LOOP
        name := 'snapshot_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('collector.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE collector.%I (LIKE collector.snapshot INCLUDING DEFAULTS)', name);
        EXECUTE format(
            'ALTER TABLE collector.snapshot ATTACH PARTITION collector.%I FOR VALUES FROM (%L) TO (%L)',
            name,
            day::timestamp AT TIME ZONE INTERVAL '9 hours',
            (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- What the BRIN of a day needs after a sweep: it serves only what is summarised, and the planner believes in it
-- only once the table was analysed. Later growth is autovacuum's to note.
CREATE FUNCTION collector.tend_day(day date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    part regclass := to_regclass('collector.snapshot_' || to_char(day, 'YYYYMMDD'));
BEGIN
    PERFORM brin_summarize_new_values(i.indexrelid)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam
    WHERE i.indrelid = part AND a.amname = 'brin';
    IF EXISTS (SELECT FROM pg_class WHERE oid = part AND reltuples < 1000) THEN
        EXECUTE format('ANALYZE %s (slot, target, listing)', part);
    END IF;
END
$$;

CREATE VIEW public.walk AS
SELECT w.slot, t.market, t.sector, t.exchange, w.status, w.pages, w.rows, w.remarks, w.error, w.attempts,
       w.requested_at, w.received_at, w.committed_at
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target;

-- Outer joins, though none is ever empty: the planner leaves out those whose columns nobody asks for, and turns
-- them into inner ones where a predicate names them.
CREATE VIEW public.snapshot AS
SELECT s.slot, t.market, t.sector, t.exchange, s.position, l.symbol, l.name,
       NULLIF(s.price, 0) AS price,
       s.change,
       ((s.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent,
       (s.rate & 7)::smallint AS sign,
       s.volume,
       NULLIF(s.ask, 0) AS ask,
       NULLIF(s.bid, 0) AS bid,
       NULLIF(s.open, 0) AS open,
       NULLIF(s.high, 0) AS high,
       NULLIF(s.low, 0) AS low,
       w.page_times[width_bucket(s.position, w.page_starts)] AS received_at
FROM collector.snapshot AS s
LEFT JOIN collector.target AS t ON t.id = s.target
LEFT JOIN collector.listing AS l ON l.id = s.listing
LEFT JOIN collector.walk AS w ON w.slot = s.slot AND w.target = s.target;

-- OFFSET 0 keeps the planner from joining all days first and looking for the newest slots afterwards.
CREATE VIEW public.latest AS
SELECT s.slot, t.market, t.sector, t.exchange, s.position, l.symbol, l.name,
       NULLIF(s.price, 0) AS price,
       s.change,
       ((s.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent,
       (s.rate & 7)::smallint AS sign,
       s.volume,
       NULLIF(s.ask, 0) AS ask,
       NULLIF(s.bid, 0) AS bid,
       NULLIF(s.open, 0) AS open,
       NULLIF(s.high, 0) AS high,
       NULLIF(s.low, 0) AS low,
       w.page_times[width_bucket(s.position, w.page_starts)] AS received_at
FROM collector.target AS t
CROSS JOIN LATERAL (
    SELECT slot, page_starts, page_times
    FROM collector.walk
    WHERE target = t.id AND status = 'complete'
    ORDER BY slot DESC
    LIMIT 1
) AS w
CROSS JOIN LATERAL (
    SELECT *
    FROM collector.snapshot
    WHERE slot = w.slot AND target = t.id
    OFFSET 0
) AS s
LEFT JOIN collector.listing AS l ON l.id = s.listing;

CREATE VIEW public.quarantine AS
SELECT q.slot, t.market, t.sector, t.exchange, q.page, q.raw, q.reason
FROM collector.quarantine AS q
JOIN collector.target AS t ON t.id = q.target;

CREATE VIEW public.sector AS
SELECT code, market, name_ko, name_en, kind, members, index_only, valid_from
FROM collector.sector
WHERE valid_to IS NULL;

CREATE VIEW public.listing AS
SELECT DISTINCT ON (symbol)
       symbol, name, board,
       min(first_seen) OVER (PARTITION BY symbol) AS first_seen,
       max(last_seen) OVER (PARTITION BY symbol) AS last_seen
FROM collector.listing
ORDER BY symbol, last_seen DESC, id DESC;

COMMENT ON VIEW public.snapshot IS 'Rows of complete and suspect walks; public.walk says which is which';
COMMENT ON VIEW public.latest IS 'Rows of the newest complete walk of each target';
COMMENT ON COLUMN public.snapshot.slot IS 'the instant that the sweep stands for';
COMMENT ON COLUMN public.snapshot.market IS 'mrkt_tp: 0 KOSPI, 1 KOSDAQ, 2 KOSPI200, 4 KOSPI100, 7 KRX100';
COMMENT ON COLUMN public.snapshot.sector IS 'inds_cd, three characters';
COMMENT ON COLUMN public.snapshot.exchange IS 'stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED';
COMMENT ON COLUMN public.snapshot.position IS 'place in the walk, from 1';
COMMENT ON COLUMN public.snapshot.symbol IS 'stk_cd without the suffix of the exchange';
COMMENT ON COLUMN public.snapshot.name IS 'stk_nm, as it was when seen';
COMMENT ON COLUMN public.snapshot.price IS 'cur_prc in won, without direction; NULL: no trade';
COMMENT ON COLUMN public.snapshot.change IS 'pred_pre in won against the previous close';
COMMENT ON COLUMN public.snapshot.change_percent IS 'flu_rt in percent';
COMMENT ON COLUMN public.snapshot.sign IS 'pred_pre_sig: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down';
COMMENT ON COLUMN public.snapshot.volume IS 'now_trde_qty: shares traded so far today';
COMMENT ON COLUMN public.snapshot.ask IS 'sel_bid in won; NULL: no quote';
COMMENT ON COLUMN public.snapshot.bid IS 'buy_bid in won; NULL: no quote';
COMMENT ON COLUMN public.snapshot.open IS 'open_pric in won; NULL: no trade';
COMMENT ON COLUMN public.snapshot.high IS 'high_pric in won; NULL: no trade';
COMMENT ON COLUMN public.snapshot.low IS 'low_pric in won; NULL: no trade';
COMMENT ON COLUMN public.snapshot.received_at IS 'when the page with this row arrived';
COMMENT ON COLUMN public.latest.slot IS 'the instant that the sweep stands for';
COMMENT ON COLUMN public.latest.market IS 'mrkt_tp: 0 KOSPI, 1 KOSDAQ, 2 KOSPI200, 4 KOSPI100, 7 KRX100';
COMMENT ON COLUMN public.latest.sector IS 'inds_cd, three characters';
COMMENT ON COLUMN public.latest.exchange IS 'stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED';
COMMENT ON COLUMN public.latest.position IS 'place in the walk, from 1';
COMMENT ON COLUMN public.latest.symbol IS 'stk_cd without the suffix of the exchange';
COMMENT ON COLUMN public.latest.name IS 'stk_nm, as it was when seen';
COMMENT ON COLUMN public.latest.price IS 'cur_prc in won, without direction; NULL: no trade';
COMMENT ON COLUMN public.latest.change IS 'pred_pre in won against the previous close';
COMMENT ON COLUMN public.latest.change_percent IS 'flu_rt in percent';
COMMENT ON COLUMN public.latest.sign IS 'pred_pre_sig: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down';
COMMENT ON COLUMN public.latest.volume IS 'now_trde_qty: shares traded so far today';
COMMENT ON COLUMN public.latest.ask IS 'sel_bid in won; NULL: no quote';
COMMENT ON COLUMN public.latest.bid IS 'buy_bid in won; NULL: no quote';
COMMENT ON COLUMN public.latest.open IS 'open_pric in won; NULL: no trade';
COMMENT ON COLUMN public.latest.high IS 'high_pric in won; NULL: no trade';
COMMENT ON COLUMN public.latest.low IS 'low_pric in won; NULL: no trade';
COMMENT ON COLUMN public.latest.received_at IS 'when the page with this row arrived';
COMMENT ON VIEW public.walk IS 'The ledger: how each due slot and target ended';
COMMENT ON COLUMN public.walk.slot IS 'the instant that the sweep stands for';
COMMENT ON COLUMN public.walk.market IS 'mrkt_tp: 0 KOSPI, 1 KOSDAQ, 2 KOSPI200, 4 KOSPI100, 7 KRX100';
COMMENT ON COLUMN public.walk.sector IS 'inds_cd, three characters';
COMMENT ON COLUMN public.walk.exchange IS 'stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED';
COMMENT ON COLUMN public.walk.status IS 'complete, suspect (rows stored, not certified), failed or missed (nothing stored)';
COMMENT ON COLUMN public.walk.pages IS 'answers of ka20002 read';
COMMENT ON COLUMN public.walk.rows IS 'rows stored';
COMMENT ON COLUMN public.walk.remarks IS 'why a walk is suspect';
COMMENT ON COLUMN public.walk.error IS 'what failed it, or why it was missed';
COMMENT ON COLUMN public.walk.attempts IS 'requests sent, retries included';
COMMENT ON COLUMN public.walk.requested_at IS 'first request sent';
COMMENT ON COLUMN public.walk.received_at IS 'last page arrived';
COMMENT ON COLUMN public.walk.committed_at IS 'by the clock of the database';
