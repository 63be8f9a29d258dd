-- The schema of collector. Tables and helper functions are in the schema `collector`; users read the views and functions of
-- the schema `public`, which are a contract.

-- Rows are narrow to save disk space. The measurements of each alternative: docs/decisions/0002-storage-layout.md

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

-- One row for each name of a listing. A renamed listing gets a second row, so a snapshot keeps its name.
-- Every sweep updates last_seen; room on each page (fillfactor) keeps these updates in place.
CREATE TABLE collector.listing (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol     text NOT NULL,
    name       text NOT NULL,
    board      text,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    UNIQUE (symbol, name)
) WITH (fillfactor = 50);

-- The ledger: one row for each slot and target. The primary key makes a second load of a walk impossible.
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
    names        bytea, -- eight bytes for the symbols and names of the rows, in their order
    expected     integer, -- rows of the complete walk that this walk was judged by
    bad          integer NOT NULL DEFAULT 0, -- rows that did not decode
    PRIMARY KEY (slot, target)
);

CREATE INDEX walk_target ON collector.walk (target, slot DESC);

-- Fixed widths, no NULLs, eight-byte columns first: 56 bytes a row. A price of 0 stands for "no quote".
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
    reason text NOT NULL,
    symbol text NOT NULL DEFAULT '' -- the listing that the row is about; '' if its code does not decode
);

CREATE INDEX quarantine_slot ON collector.quarantine (slot, target);

-- One pass over a universe. A stopped `once` finds its unfinished sweep here.
CREATE TABLE collector.sweep (
    slot       timestamptz NOT NULL,
    universe   text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    PRIMARY KEY (slot, universe)
);

-- The source of the data: real, mock or simulated. A database holds one source only.
CREATE TABLE collector.origin (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    kind  text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The quota of a key. All programs with this key share it. `key` is a digest of the app key.
CREATE TABLE collector.quota (
    key        text NOT NULL,
    api_id     text NOT NULL,
    granted    integer CHECK (granted BETWEEN 1 AND 100),
    hold_until timestamptz NOT NULL DEFAULT '-infinity',
    round_trip double precision, -- seconds; the smallest that was seen
    urgent_until timestamptz NOT NULL DEFAULT '-infinity', -- a caller with priority waits until then
    granted_at timestamptz,
    PRIMARY KEY (key, api_id),
    CONSTRAINT quota_granted_at_check CHECK ((granted IS NULL) = (granted_at IS NULL))
);

-- The permits of a sliding window, one row each: free from `free_at` on, `booked` while a request is under way.
CREATE TABLE collector.place (
    key     text NOT NULL,
    api_id  text NOT NULL,
    number  integer NOT NULL,
    free_at timestamptz NOT NULL DEFAULT '-infinity',
    booked  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (key, api_id, number)
) WITH (fillfactor = 50);

-- The live token of a key, sealed with a key that is derived from the secret key.
CREATE TABLE collector.token (
    key        text PRIMARY KEY,
    sealed     bytea,
    issued_at  timestamptz,
    expires_at timestamptz,
    refused_at timestamptz,
    failures   integer NOT NULL DEFAULT 0,
    retry_at   timestamptz, -- no program asks for a token before this time
    failure    text
);

-- Records the members that the complete walks of a slot show, if they have changed. Returns the number of targets.
-- A listing with an undecoded row is still a member. A walk with an unreadable code has no digest of members and is
-- left out. `as_of` stays the first day with this membership.
CREATE FUNCTION collector.keep_membership(of_slot timestamptz) RETURNS integer
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    day   CONSTANT date := (of_slot AT TIME ZONE INTERVAL '9 hours')::date;
    walk  record;
    shown text[];
    kept  integer := 0;
BEGIN
    FOR walk IN
        SELECT w.target, w.members, m.as_of, m.symbols
        FROM collector.walk AS w
        LEFT JOIN LATERAL (
            SELECT k.as_of, k.symbols, k.digest
            FROM collector.membership AS k
            WHERE k.target = w.target AND k.as_of <= day
            ORDER BY k.as_of DESC
            LIMIT 1
        ) AS m ON true
        WHERE w.slot = of_slot AND w.status = 'complete' AND (w.bad = 0 OR w.members IS NOT NULL)
          AND w.members IS DISTINCT FROM m.digest
        ORDER BY w.target
    LOOP
        SELECT COALESCE(array_agg(present.symbol ORDER BY present.symbol COLLATE "C"), '{}') INTO shown
        FROM (
            SELECT l.symbol
            FROM collector.snapshot AS s
            JOIN collector.listing AS l ON l.id = s.listing
            WHERE s.slot = of_slot AND s.target = walk.target
            UNION ALL
            SELECT q.symbol
            FROM collector.quarantine AS q
            WHERE q.slot = of_slot AND q.target = walk.target AND q.symbol <> ''
        ) AS present;
        IF shown = walk.symbols THEN
            UPDATE collector.membership AS k
            SET digest = walk.members
            WHERE k.target = walk.target AND k.as_of = walk.as_of;
        ELSE
            INSERT INTO collector.membership (target, as_of, symbols, digest)
            VALUES (walk.target, day, shown, walk.members)
            ON CONFLICT (target, as_of) DO UPDATE SET symbols = EXCLUDED.symbols, digest = EXCLUDED.digest;
            kept := kept + 1;
        END IF;
    END LOOP;
    RETURN kept;
END
$$;

-- Summarises the BRIN index of a day, and analyses a partition without statistics: without them the planner reads the
-- whole day for one slot. A restored day has indexes and a row count, but no statistics.
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
    IF EXISTS (
        SELECT
        FROM pg_class AS c
        WHERE c.oid = part
          AND (c.reltuples < 1000 OR NOT EXISTS (
              SELECT FROM pg_stats AS s WHERE s.schemaname = 'collector' AND s.tablename = c.relname
          ))
    ) THEN
        EXECUTE format('ANALYZE %s (slot, target, listing)', part);
    END IF;
END
$$;

-- Makes the partitions of the days of Korea from `first` on. A partition is made aside and attached, because that
-- takes no lock that a running COPY or a reader would wait for. A detached partition is attached again; if another
-- table has its name, the error contains the statement to run.
CREATE FUNCTION collector.make_days(first date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day       date;
    name      text;
    statement text;
    made      integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    FOR day IN SELECT first + n FROM generate_series(0, days - 1) AS n LOOP
        name := 'snapshot_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN EXISTS (
            SELECT
            FROM pg_inherits AS i
            WHERE i.inhrelid = to_regclass('collector.' || name)
              AND i.inhparent = 'collector.snapshot'::regclass
              AND NOT i.inhdetachpending
        );
        statement := format(
            'ALTER TABLE collector.snapshot ATTACH PARTITION collector.%I FOR VALUES FROM (%L) TO (%L)',
            name,
            day::timestamp AT TIME ZONE INTERVAL '9 hours',
            (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
        );
        BEGIN
            IF to_regclass('collector.' || name) IS NULL THEN
                EXECUTE format('CREATE TABLE collector.%I (LIKE collector.snapshot INCLUDING DEFAULTS)', name);
            END IF;
            EXECUTE statement;
        EXCEPTION
            WHEN lock_not_available OR query_canceled OR insufficient_privilege OR disk_full THEN
                RAISE;
            WHEN OTHERS THEN
                RAISE EXCEPTION 'the table of % cannot be made a partition: %', day, SQLERRM
                    USING ERRCODE = 'KA001', HINT = format(
                        'move or rename what is in the way, or give the table its columns and bounds back; then: %s',
                        statement
                    );
        END;
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE VIEW public.walk AS
SELECT w.slot, t.market, t.sector, t.exchange, w.status, w.pages, w.rows, w.remarks, w.error, w.attempts,
       w.requested_at, w.received_at, w.committed_at
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target;

-- LEFT JOIN although each join has a match: the planner drops a left join if the query reads none of its columns.
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

-- The daemon's state: the lease, and how far each schedule is accounted for.

-- The daemon with this epoch sweeps; the others stand by. `epoch` is part of a key, so a change of it takes the row's
-- strongest lock and waits for every transaction that has checked it (FOR KEY SHARE). A renewal does not change the
-- epoch and waits for none of them.
CREATE TABLE collector.lease (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    epoch      bigint NOT NULL,
    taken_at   timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (name, epoch)
) WITH (fillfactor = 50);

-- Every slot of the schedule up to `until` has its lines in the ledger.
CREATE TABLE collector.accounted (
    schedule text PRIMARY KEY,
    until    timestamptz NOT NULL
);

-- Daily bars.

-- Fixed widths, eight-byte column first: 68 bytes a row. A price of 0 stands for "did not trade".
-- Adjusted prices are a second series under the same symbol. No query reads both.
CREATE TABLE collector.bar (
    volume       bigint NOT NULL,
    trading_date date NOT NULL,
    open         integer NOT NULL,
    high         integer NOT NULL,
    low          integer NOT NULL,
    close        integer NOT NULL,
    change       integer, -- NULL: not known
    adjusted     boolean NOT NULL,
    symbol       text COLLATE "C" NOT NULL,
    PRIMARY KEY (symbol, adjusted, trading_date)
);

-- The bars of walks that are not certified, apart from the certified bars.
CREATE TABLE collector.bar_suspect (LIKE collector.bar);

CREATE INDEX bar_suspect_symbol ON collector.bar_suspect (symbol, adjusted);

-- The ledger of bars: one row for each reading of a listing's history. A trading day within a complete reading is
-- settled, also if it has no bar (the listing was suspended, or is younger).
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

-- Trading days. Between `closes` and `shown_until` ka20002 shows the final state of KRX's regular session; before
-- `stands_until` the after-market has not opened.
CREATE TABLE collector.trading_day (
    trading_date date PRIMARY KEY,
    closes       timestamptz NOT NULL,
    stands_until timestamptz NOT NULL,
    shown_until  timestamptz NOT NULL,
    CHECK (closes < stands_until AND stands_until <= shown_until)
);

-- The members of a target, as a complete walk of that day showed them. One row for each change.
CREATE TABLE collector.membership (
    target  smallint NOT NULL REFERENCES collector.target,
    as_of   date NOT NULL,
    symbols text[] NOT NULL,
    digest  bytea,
    PRIMARY KEY (target, as_of)
);

-- Stores one reading of a history with its bars, as columns, oldest first: one transaction and one round trip. Days are
-- counted from 0001-01-01 = 1. Bars of settled days, and of days that were not asked for, are left out. Returns false if
-- another program has settled all days meanwhile; then nothing is changed.
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
        -- A split changes every adjusted price before it, also the price of the oldest day.
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

-- The walk with a trading day's final state on KRX: the newest complete walk between two regular sessions, if possible
-- from before the after-market, as long as its rows are in the database.
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

-- The days for which each membership is used: until the next one. The oldest one is used for all days before it.
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

-- The work queue of the sweeps under way: one row for each target that is still to be walked.
--
-- A row is inserted when a sweep begins. The transaction that writes the ledger line deletes it. Until `expires_at` the
-- target belongs to `holder`; after that any program may take it. Each taking has a new `number`, so a program that was
-- suspended and wakes up writes nothing. Decision: docs/decisions/0007-walks-are-claimed.md
CREATE TABLE collector.claim (
    slot         timestamptz NOT NULL,
    target       smallint NOT NULL,
    place        integer NOT NULL, -- its position in the sweep
    epoch        bigint, -- of the lease of its sweep; NULL: the sweep needs no lease
    offered_with text[] NOT NULL, -- the keys of the program that began the sweep
    number       bigint,
    holder       text,
    key          text, -- the key of the holder, as in collector.quota
    expires_at   timestamptz NOT NULL DEFAULT '-infinity',
    is_read      boolean NOT NULL DEFAULT false, -- read, to be judged after the other targets
    PRIMARY KEY (slot, target)
) WITH (fillfactor = 50);

CREATE SEQUENCE collector.taking;

-- The id of a target. An error if nothing was ever stored for it, because the name is probably misspelt.
CREATE FUNCTION collector.number_of(market text, sector text, exchange text) RETURNS smallint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    found smallint;
BEGIN
    SELECT t.id INTO found
    FROM collector.target AS t
    WHERE t.market = number_of.market AND t.sector = number_of.sector AND t.exchange = number_of.exchange;
    IF found IS NULL THEN
        RAISE EXCEPTION 'nothing was ever collected of %/%/%', market, sector, exchange
        USING ERRCODE = 'no_data_found', HINT = 'SELECT DISTINCT market, sector, exchange FROM walk shows what was';
    END IF;
    RETURN found;
END
$$;

-- The newest slot up to an instant with a complete walk of each of these targets; NULL if there is none.
CREATE FUNCTION collector.whole_at(targets smallint[], at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    others CONSTANT smallint[] := targets[2:];
    found  timestamptz := at + INTERVAL '1 microsecond';
BEGIN
    LOOP
        SELECT w.slot INTO found
        FROM collector.walk AS w
        WHERE w.target = targets[1] AND w.slot < found AND w.status = 'complete'
        ORDER BY w.slot DESC
        LIMIT 1;
        EXIT WHEN found IS NULL OR cardinality(others) = (
            SELECT count(*)
            FROM collector.walk AS w
            WHERE w.slot = found AND w.target = ANY (others) AND w.status = 'complete'
        );
    END LOOP;
    RETURN found;
END
$$;

-- The rows of one walk. A function, because planning over a year of partitions takes longer than reading the rows.
-- It runs with the rights of its owner: a reader of the views has no rights in this schema.
CREATE FUNCTION collector.walked(of_slot timestamptz, of_target smallint) RETURNS SETOF collector.snapshot
LANGUAGE plpgsql STABLE ROWS 500 SECURITY DEFINER
SET search_path = pg_catalog
SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM collector.snapshot AS s WHERE s.slot = of_slot AND s.target = of_target;
END
$$;

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
CROSS JOIN LATERAL collector.walked(w.slot, t.id) AS s
LEFT JOIN collector.listing AS l ON l.id = s.listing;

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
CROSS JOIN LATERAL collector.walked(c.slot, c.target) AS s
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

CREATE FUNCTION public.as_of(
    market text, sector text, exchange text DEFAULT 'KRX', at timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (
    slot timestamptz, "position" smallint, symbol text, name text, price integer, change integer,
    change_percent numeric, sign smallint, volume bigint, ask integer, bid integer, open integer, high integer,
    low integer, received_at timestamptz
)
LANGUAGE plpgsql STABLE ROWS 500
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    number smallint := collector.number_of(market, sector, exchange);
    whole  timestamptz := collector.whole_at(ARRAY[number], at);
    starts smallint[];
    times  timestamptz[];
BEGIN
    SELECT w.page_starts, w.page_times INTO starts, times
    FROM collector.walk AS w
    WHERE w.slot = whole AND w.target = number;
    RETURN QUERY
    SELECT s.slot, s.position, l.symbol, l.name, NULLIF(s.price, 0), s.change,
           (s.rate >> 3) * 0.01, (s.rate & 7)::smallint, s.volume,
           NULLIF(s.ask, 0), NULLIF(s.bid, 0), NULLIF(s.open, 0), NULLIF(s.high, 0), NULLIF(s.low, 0),
           times[width_bucket(s.position, starts)]
    FROM collector.snapshot AS s
    JOIN collector.listing AS l ON l.id = s.listing
    WHERE s.slot = whole AND s.target = number;
    IF NOT FOUND AND EXISTS (
        SELECT FROM collector.walk AS w WHERE w.slot = whole AND w.target = number AND w.rows > 0
    ) THEN
        RAISE WARNING 'the rows of %/%/% at % are not in the database any more', market, sector, exchange, whole
        USING HINT = 'the day was dropped (keep_days) or archived: collector restore brings an archived one back';
    END IF;
END
$$;

CREATE FUNCTION public.listing_day(
    symbol text, day date DEFAULT (clock_timestamp() AT TIME ZONE INTERVAL '9 hours')::date
) RETURNS TABLE (
    slot timestamptz, exchange text, name text, price integer, change integer, change_percent numeric,
    sign smallint, volume bigint, ask integer, bid integer, open integer, high integer, low integer,
    received_at timestamptz
)
LANGUAGE plpgsql STABLE ROWS 200
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    first    timestamptz := day::timestamp AT TIME ZONE INTERVAL '9 hours';
    until    timestamptz := (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours';
    listings integer[] := ARRAY(SELECT l.id FROM collector.listing AS l WHERE l.symbol = listing_day.symbol);
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (s.slot, t.exchange)
           s.slot, t.exchange, l.name, NULLIF(s.price, 0), s.change, (s.rate >> 3) * 0.01,
           (s.rate & 7)::smallint, s.volume, NULLIF(s.ask, 0), NULLIF(s.bid, 0),
           NULLIF(s.open, 0), NULLIF(s.high, 0), NULLIF(s.low, 0),
           w.page_times[width_bucket(s.position, w.page_starts)]
    FROM collector.snapshot AS s
    JOIN collector.target AS t ON t.id = s.target
    JOIN collector.listing AS l ON l.id = s.listing
    JOIN collector.walk AS w ON w.slot = s.slot AND w.target = s.target AND w.status = 'complete'
    WHERE s.listing = ANY (listings) AND s.slot >= first AND s.slot < until AND w.slot >= first AND w.slot < until
    ORDER BY s.slot, t.exchange, w.page_times[width_bucket(s.position, w.page_starts)] DESC;
END
$$;

-- Products as float8: fast, without overflow, and exact up to nine quadrillion.
CREATE FUNCTION public.breadth(
    market text, sector text, exchange text DEFAULT 'KRX',
    day date DEFAULT (clock_timestamp() AT TIME ZONE INTERVAL '9 hours')::date
) RETURNS TABLE (
    slot timestamptz, members integer, traded integer, advancers integer, decliners integer, unchanged integer,
    limit_up integer, limit_down integer, mean_percent numeric, weighted_percent numeric, volume numeric,
    turnover numeric
)
LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    number smallint := collector.number_of(market, sector, exchange);
    first  timestamptz := day::timestamp AT TIME ZONE INTERVAL '9 hours';
    until  timestamptz := (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours';
BEGIN
    RETURN QUERY
    SELECT b.slot, b.members, b.traded, b.advancers, b.decliners, b.traded - b.advancers - b.decliners,
           b.limit_up, b.limit_down, round(b.mean / 100, 4),
           round((b.weighted / NULLIF(b.volume, 0)::float8 / 100)::numeric, 4), b.volume, b.turnover::numeric
    FROM (
        SELECT s.slot, count(*)::integer AS members,
               (count(*) FILTER (WHERE s.volume > 0))::integer AS traded,
               (count(*) FILTER (WHERE s.volume > 0 AND s.change > 0))::integer AS advancers,
               (count(*) FILTER (WHERE s.volume > 0 AND s.change < 0))::integer AS decliners,
               (count(*) FILTER (WHERE (s.rate & 7) = 1))::integer AS limit_up,
               (count(*) FILTER (WHERE (s.rate & 7) = 4))::integer AS limit_down,
               avg(s.rate >> 3) FILTER (WHERE s.volume > 0) AS mean,
               sum(s.volume::float8 * (s.rate >> 3)) AS weighted,
               sum(s.volume) AS volume,
               sum(s.volume::float8 * s.price) AS turnover
        FROM collector.snapshot AS s
        WHERE s.target = number AND s.slot >= first AND s.slot < until
        GROUP BY s.slot
    ) AS b
    JOIN collector.walk AS w ON w.slot = b.slot AND w.target = number AND w.status = 'complete'
    ORDER BY b.slot;
END
$$;

CREATE FUNCTION public.krx_nxt(
    market text, sector text, at timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (
    slot timestamptz, symbol text, name text, krx_price integer, nxt_price integer, premium integer,
    premium_percent numeric, krx_spread integer, nxt_spread integer, krx_volume bigint, nxt_volume bigint,
    nxt_share numeric
)
LANGUAGE plpgsql STABLE ROWS 200
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    krx   smallint := collector.number_of(market, sector, 'KRX');
    nxt   smallint := collector.number_of(market, sector, 'NXT');
    whole timestamptz := collector.whole_at(ARRAY[nxt, krx], at);
BEGIN
    RETURN QUERY
    WITH here AS MATERIALIZED (
        SELECT l.symbol, l.name, s.price, s.ask, s.bid, s.volume
        FROM collector.snapshot AS s
        JOIN collector.listing AS l ON l.id = s.listing
        WHERE s.slot = whole AND s.target = krx
    ), there AS MATERIALIZED (
        SELECT l.symbol, s.price, s.ask, s.bid, s.volume
        FROM collector.snapshot AS s
        JOIN collector.listing AS l ON l.id = s.listing
        WHERE s.slot = whole AND s.target = nxt
    )
    SELECT whole, k.symbol, k.name, NULLIF(k.price, 0), NULLIF(n.price, 0),
           NULLIF(n.price, 0) - NULLIF(k.price, 0),
           round(100.0 * (NULLIF(n.price, 0) - k.price) / NULLIF(k.price, 0), 2),
           NULLIF(k.ask, 0) - NULLIF(k.bid, 0), NULLIF(n.ask, 0) - NULLIF(n.bid, 0), k.volume, n.volume,
           round(100.0 * n.volume / NULLIF(k.volume + n.volume, 0), 2)
    FROM there AS n
    JOIN here AS k ON k.symbol = n.symbol;
END
$$;

CREATE FUNCTION public.consolidated_check(
    market text, sector text, at timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (
    slot timestamptz, symbol text, name text, krx_volume bigint, nxt_volume bigint, consolidated_volume bigint,
    difference bigint, apart interval
)
LANGUAGE plpgsql STABLE ROWS 500
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    krx   smallint := collector.number_of(market, sector, 'KRX');
    nxt   smallint := collector.number_of(market, sector, 'NXT');
    one   smallint := collector.number_of(market, sector, 'CONSOLIDATED');
    whole timestamptz := collector.whole_at(ARRAY[one, krx, nxt], at);
BEGIN
    RETURN QUERY
    WITH seen AS (
        SELECT l.symbol, l.name, s.target, s.volume,
               w.page_times[width_bucket(s.position, w.page_starts)] AS received_at
        FROM collector.snapshot AS s
        JOIN collector.listing AS l ON l.id = s.listing
        JOIN collector.walk AS w ON w.slot = whole AND w.target = s.target
        WHERE s.slot = whole AND s.target IN (krx, nxt, one)
    ), beside AS (
        SELECT s.symbol, max(s.name) AS name,
               max(s.volume) FILTER (WHERE s.target = krx) AS on_krx,
               max(s.volume) FILTER (WHERE s.target = nxt) AS on_nxt,
               max(s.volume) FILTER (WHERE s.target = one) AS on_all,
               max(s.received_at) - min(s.received_at) AS apart
        FROM seen AS s
        GROUP BY s.symbol
    )
    SELECT whole, b.symbol, b.name, b.on_krx, b.on_nxt, b.on_all,
           COALESCE(b.on_all, 0) - COALESCE(b.on_krx, 0) - COALESCE(b.on_nxt, 0), b.apart
    FROM beside AS b;
END
$$;

CREATE FUNCTION public.movers(
    market text, sector text, exchange text, since timestamptz, until timestamptz DEFAULT clock_timestamp()
) RETURNS TABLE (
    symbol text, name text, first_slot timestamptz, last_slot timestamptz, first_price integer,
    last_price integer, percent numeric, volume bigint
)
LANGUAGE plpgsql STABLE ROWS 500
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    number smallint := collector.number_of(market, sector, exchange);
    before timestamptz := collector.whole_at(ARRAY[number], since);
    after  timestamptz := collector.whole_at(ARRAY[number], until);
    is_day boolean := (before AT TIME ZONE INTERVAL '9 hours')::date = (after AT TIME ZONE INTERVAL '9 hours')::date;
BEGIN
    RETURN QUERY
    WITH earlier AS (
        SELECT l.symbol, s.price, s.volume
        FROM collector.snapshot AS s
        JOIN collector.listing AS l ON l.id = s.listing
        WHERE s.slot = before AND s.target = number AND s.price > 0
    ), later AS (
        SELECT l.symbol, l.name, s.price, s.volume
        FROM collector.snapshot AS s
        JOIN collector.listing AS l ON l.id = s.listing
        WHERE s.slot = after AND s.target = number AND s.price > 0
    )
    SELECT b.symbol, b.name, before, after, a.price, b.price,
           round(100.0 * (b.price - a.price) / a.price, 2) AS moved,
           CASE WHEN is_day THEN b.volume - a.volume END
    FROM earlier AS a
    JOIN later AS b ON b.symbol = a.symbol
    ORDER BY moved DESC, b.symbol;
END
$$;

-- LATERAL, so that a query for one target unfolds only its memberships.
CREATE VIEW public.membership AS
SELECT t.market, t.sector, t.exchange, stay.symbol, stay.valid_from, stay.valid_to
FROM collector.target AS t
CROSS JOIN LATERAL (
    SELECT i.symbol, min(i.as_of) AS valid_from, NULLIF(max(i.until), 'infinity') AS valid_to
    FROM (
        SELECT v.as_of, v.until, shown.symbol,
               v.number - row_number() OVER (PARTITION BY shown.symbol ORDER BY v.number) AS stay
        FROM (
            SELECT m.as_of, m.symbols,
                   COALESCE(lead(m.as_of) OVER (ORDER BY m.as_of), 'infinity') AS until,
                   row_number() OVER (ORDER BY m.as_of) AS number
            FROM collector.membership AS m
            WHERE m.target = t.id
        ) AS v
        CROSS JOIN LATERAL unnest(v.symbols) AS shown (symbol)
    ) AS i
    GROUP BY i.symbol, i.stay
) AS stay;

CREATE FUNCTION public.membership_changes(since date, until date) RETURNS TABLE (
    market text, sector text, exchange text, symbol text, change text
)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT t.market, t.sector, t.exchange, COALESCE(moved.new, moved.old) AS symbol,
           CASE WHEN moved.old IS NULL THEN 'joined' ELSE 'left' END AS change
    FROM collector.target AS t
    CROSS JOIN LATERAL (
        SELECT m.as_of, m.symbols FROM collector.membership AS m
        WHERE m.target = t.id AND m.as_of <= since
        ORDER BY m.as_of DESC
        LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
        SELECT m.as_of, m.symbols FROM collector.membership AS m
        WHERE m.target = t.id AND m.as_of <= until
        ORDER BY m.as_of DESC
        LIMIT 1
    ) AS last
    CROSS JOIN LATERAL (
        SELECT o.symbol AS old, n.symbol AS new
        FROM unnest(first.symbols) AS o (symbol)
        FULL JOIN unnest(last.symbols) AS n (symbol) ON n.symbol = o.symbol
        WHERE o.symbol IS NULL OR n.symbol IS NULL
    ) AS moved
    WHERE first.as_of <> last.as_of
    ORDER BY t.market, t.sector, t.exchange, change, symbol
$$;

-- Archived days: their rows are in Parquet files. The ledger of these days stays in the database.
CREATE TABLE collector.archive (
    day         date NOT NULL,
    exchange    text NOT NULL,
    file        text NOT NULL,
    rows        bigint NOT NULL,
    bytes       bigint NOT NULL,
    digest      text NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    restored_at timestamptz,
    PRIMARY KEY (day, exchange)
);

-- Locks a day against writers until the transaction ends. False: the day has no partition.
CREATE FUNCTION collector.hold_day(day date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'snapshot_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('collector.' || name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE collector.%I IN SHARE MODE', name);
    RETURN true;
END
$$;

-- Gives up after a second, so that readers do not wait behind it. The caller tries again.
CREATE FUNCTION collector.drop_day(day date) RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
BEGIN
    EXECUTE format('DROP TABLE collector.%I', 'snapshot_' || to_char(day, 'YYYYMMDD'));
END
$$;

-- Makes a table for the rows of a restored day. It is attached later (`attach_day`), so its rows are loaded frozen and
-- its indexes are built once. False: the day has a partition already.
CREATE FUNCTION collector.open_day(day date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'snapshot_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('collector.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE collector.%I (LIKE collector.snapshot INCLUDING DEFAULTS)', name);
    RETURN true;
END
$$;

CREATE FUNCTION collector.attach_day(day date) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'ALTER TABLE collector.snapshot ATTACH PARTITION collector.%I FOR VALUES FROM (%L) TO (%L)',
        'snapshot_' || to_char(day, 'YYYYMMDD'),
        day::timestamp AT TIME ZONE INTERVAL '9 hours',
        (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
    );
END
$$;

CREATE VIEW public.archive AS
SELECT day, exchange, file, rows, bytes, digest, archived_at, restored_at
FROM collector.archive;

-- Retention. Three conditions hold for each drop: three clocks agree, the drop was announced a day earlier, and at most
-- two days go in one night. These functions check the conditions, in addition to the program.

-- The newest received_at is one of the three clocks.
CREATE INDEX walk_received ON collector.walk (received_at DESC) WHERE received_at IS NOT NULL;

-- The announcement: days before `first` will be dropped, one day after `announced_at` at the earliest.
-- A changed `keep_days` starts a new announcement.
CREATE TABLE collector.retention (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    keep_days    integer NOT NULL CHECK (keep_days > 0),
    first        date NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The days that were dropped because of their age. The table also counts the drops of one night.
CREATE TABLE collector.dropped_day (
    day        date PRIMARY KEY,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The days of Korea before `first` with rows, oldest first. `has_rows` is false if only quarantined rows are left.
CREATE FUNCTION collector.days_before(first date) RETURNS TABLE (day date, has_rows boolean)
LANGUAGE sql STABLE AS $$
    WITH parts AS (
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'collector.snapshot'::regclass AND c.relname ~ '^snapshot_[0-9]{8}$'
    ),
    odd AS (
        SELECT DISTINCT (slot AT TIME ZONE INTERVAL '9 hours')::date AS day
        FROM collector.quarantine
        WHERE slot < first::timestamp AT TIME ZONE INTERVAL '9 hours'
    )
    SELECT day, bool_or(has_rows)
    FROM (SELECT day, true AS has_rows FROM parts UNION ALL SELECT day, false FROM odd) AS found
    WHERE day < first
    GROUP BY day
    ORDER BY day
$$;

-- The reason against dropping or moving anything now; NULL if the three clocks agree to within a day. `host` is the
-- caller's clock. An empty database has no third clock, and no data to lose.
CREATE FUNCTION collector.why_kept(host timestamptz) RETURNS text
LANGUAGE sql VOLATILE AS $$
    SELECT CASE
        WHEN greatest(host, shown, COALESCE(newest, shown)) - least(host, shown, COALESCE(newest, shown))
             > INTERVAL '1 day'
        THEN format('the caller shows %s, the database %s, the newest stored walk %s', host, shown, newest)
    END
    FROM (
        SELECT clock_timestamp() AS shown, (SELECT max(received_at) FROM collector.walk) AS newest
    ) AS witnesses
$$;

-- Drops one old day: its partition and its quarantined rows. The ledger stays. Returns no row if the day is gone, else the
-- SQLSTATE and the reason. Raises an exception if a condition of the retention is not met. Waits for readers for one
-- second at most, so that other readers do not wait behind it.
CREATE FUNCTION collector.drop_old_day(day date, host timestamptz, keep_days integer)
RETURNS TABLE (state text, trouble text)
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    part  text := 'snapshot_' || to_char(day, 'YYYYMMDD');
    why   text := collector.why_kept(host);
    more  text;
    today date := (least(host, clock_timestamp()) AT TIME ZONE INTERVAL '9 hours')::date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'the clocks do not agree, so no day is dropped: %', why;
    END IF;
    IF keep_days < 1 OR day >= today - keep_days THEN
        RAISE EXCEPTION '% is not older than % days, so it is not dropped', day, keep_days;
    END IF;
    IF NOT EXISTS (
        SELECT FROM collector.retention AS r
        WHERE r.keep_days = drop_old_day.keep_days AND r.announced_at <= clock_timestamp() - INTERVAL '1 day'
    ) THEN
        RAISE EXCEPTION 'dropping days older than % days was not announced a day ago', keep_days;
    END IF;
    -- Twenty hours: longer than a night, shorter than the time from one night to the next.
    IF (
        SELECT count(*) FROM collector.dropped_day AS d
        WHERE d.dropped_at > clock_timestamp() - INTERVAL '20 hours'
    ) >= 2 THEN
        RAISE EXCEPTION 'two days were dropped within 20 hours, so no other is';
    END IF;
    BEGIN
        EXECUTE format('DROP TABLE IF EXISTS collector.%I', part);
    EXCEPTION
        WHEN dependent_objects_still_exist OR lock_not_available OR insufficient_privilege OR wrong_object_type
            OR object_in_use OR raise_exception THEN
            GET STACKED DIAGNOSTICS more = PG_EXCEPTION_DETAIL;
            RETURN QUERY SELECT SQLSTATE::text, concat_ws(': ', SQLERRM, NULLIF(split_part(more, E'\n', 1), ''));
            RETURN;
    END;
    DELETE FROM collector.quarantine
    WHERE slot >= day::timestamp AT TIME ZONE INTERVAL '9 hours'
      AND slot < (day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours';
    UPDATE collector.archive AS a SET restored_at = NULL WHERE a.day = drop_old_day.day;
    INSERT INTO collector.dropped_day AS d (day) VALUES (drop_old_day.day)
    ON CONFLICT ON CONSTRAINT dropped_day_pkey DO UPDATE SET dropped_at = EXCLUDED.dropped_at;
END
$$;

-- Announces that days before `first` will be dropped. Returns the time of the announcement; for the same `keep_days` an
-- earlier announcement stands.
CREATE FUNCTION collector.announce_retention(keep_days integer, first date) RETURNS timestamptz
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO collector.retention AS r (keep_days, first) VALUES ($1, $2)
    ON CONFLICT (one) DO UPDATE
    SET keep_days = EXCLUDED.keep_days, first = EXCLUDED.first, announced_at = EXCLUDED.announced_at
    WHERE r.keep_days <> EXCLUDED.keep_days OR r.announced_at > clock_timestamp();
    RETURN (SELECT announced_at FROM collector.retention);
END
$$;

-- Guards against a database that was replaced or restored under a running program.

-- The generation of the ids of targets and listings. Each change of an id makes a new one. A transaction that stores rows
-- compares it with the generation of the ids in memory. A database that fell back to an older state never has the same
-- generation again.
CREATE TABLE collector.registry_state (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO collector.registry_state DEFAULT VALUES;

-- Locks before the rows change, always in this order: otherwise two programs that register the same listings could deadlock.
CREATE FUNCTION collector.begin_registry_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM collector.registry_state FOR UPDATE;
    RETURN NULL;
END
$$;

CREATE FUNCTION collector.end_registry_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE collector.registry_state SET generation = gen_random_uuid();
    RETURN NULL;
END
$$;

CREATE TRIGGER registry_change_begins BEFORE INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, symbol, name
    ON collector.listing FOR EACH STATEMENT EXECUTE FUNCTION collector.begin_registry_change();

CREATE TRIGGER registry_change_ends AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, symbol, name
    ON collector.listing FOR EACH STATEMENT EXECUTE FUNCTION collector.end_registry_change();

CREATE TRIGGER registry_change_begins BEFORE INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, market, sector, exchange
    ON collector.target FOR EACH STATEMENT EXECUTE FUNCTION collector.begin_registry_change();

CREATE TRIGGER registry_change_ends AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, market, sector, exchange
    ON collector.target FOR EACH STATEMENT EXECUTE FUNCTION collector.end_registry_change();

-- The identity of the database: system identifier, timeline and database id. Empty if the server does not tell them.
CREATE FUNCTION collector.identity() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    timeline text := '';
BEGIN
    IF NOT pg_is_in_recovery() THEN
        timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
    END IF;
    RETURN concat_ws(
        '/',
        (SELECT system_identifier FROM pg_control_system()),
        timeline,
        (SELECT oid FROM pg_database WHERE datname = current_database())
    );
EXCEPTION WHEN OTHERS THEN
    RETURN '';
END
$$;

-- The reason against storing rows of a slot into the table of its day; '' if there is none. The lock that this function
-- takes makes a DETACH wait until the rows are committed.
CREATE FUNCTION collector.partition_trouble(of_slot timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'snapshot_' || to_char(of_slot AT TIME ZONE INTERVAL '9 hours', 'YYYYMMDD');
    part record;
BEGIN
    IF to_regclass('collector.' || name) IS NULL THEN
        RETURN format('collector.%I does not exist', name);
    END IF;
    EXECUTE format('LOCK TABLE collector.%I IN ROW EXCLUSIVE MODE', name);
    SELECT c.relpersistence, i.inhrelid IS NOT NULL AS is_attached
    INTO part
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i
        ON i.inhrelid = c.oid AND i.inhparent = 'collector.snapshot'::regclass AND NOT i.inhdetachpending
    WHERE c.oid = to_regclass('collector.' || name);
    RETURN CASE
        WHEN part.is_attached IS NOT TRUE THEN format('collector.%I is no partition of collector.snapshot', name)
        WHEN part.relpersistence <> 'p' THEN format('collector.%I is not logged: a crash would empty it', name)
        ELSE ''
    END;
END
$$;

CREATE VIEW public.quarantine AS
SELECT q.slot, t.market, t.sector, t.exchange, q.page, q.raw, q.reason, NULLIF(q.symbol, '') AS symbol
FROM collector.quarantine AS q
JOIN collector.target AS t ON t.id = q.target;

-- Later judgements of walks. The ledger holds the status in force; this table holds the author, the time, and the earlier
-- status and remarks. No foreign key: the judgement stays if its ledger line goes.
CREATE TABLE collector.judgement (
    slot      timestamptz NOT NULL,
    target    smallint NOT NULL REFERENCES collector.target,
    judged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    judged_by text NOT NULL,
    verdict   text NOT NULL,
    status    text NOT NULL,
    remarks   text[] NOT NULL
);

CREATE INDEX judgement_slot ON collector.judgement (slot, target);

CREATE VIEW public.judgement AS
SELECT j.slot, t.market, t.sector, t.exchange, j.judged_at, j.judged_by, j.verdict, j.status, j.remarks
FROM collector.judgement AS j
JOIN collector.target AS t ON t.id = j.target;

-- Changes the status of stored walks of a target, adds a remark, and records the earlier state. Returns the number of walks.
CREATE FUNCTION collector.judge_again(
    of_target smallint, slots timestamptz[], old_status text, new_status text, new_verdict text, by text
) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    changed integer;
BEGIN
    WITH was AS (
        SELECT w.slot, w.target, w.status, w.remarks
        FROM collector.walk AS w
        WHERE w.target = of_target AND w.slot = ANY (slots) AND w.status = old_status
        ORDER BY w.slot
        FOR UPDATE
    ), judged AS (
        UPDATE collector.walk AS w
        SET status = new_status, remarks = array_append(w.remarks, new_verdict)
        FROM was
        WHERE w.slot = was.slot AND w.target = was.target
        RETURNING was.slot, was.target, was.status, was.remarks
    )
    INSERT INTO collector.judgement (slot, target, judged_by, verdict, status, remarks)
    SELECT j.slot, j.target, by, new_verdict, j.status, j.remarks
    FROM judged AS j;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

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
COMMENT ON COLUMN public.daily.source IS 'ka20002: a certified closing walk; ka10081: a certified bar';
COMMENT ON COLUMN public.daily.members_as_of IS
    'The day whose members these are. With ka10081 usually a later one: listings that have left the sector since,'
    ' or the exchange, are not among them (survivorship)';
COMMENT ON COLUMN collector.membership.digest IS 'walk.members of a walk that showed it; NULL: not known';
COMMENT ON FUNCTION public.as_of IS
    'A target as its newest complete walk not later than an instant showed it; columns as in the view snapshot.'
    ' Example: SELECT * FROM as_of(''KOSPI'', ''013'', ''KRX'', ''2026-11-20 11:02+09'')';
COMMENT ON FUNCTION public.listing_day IS
    'A listing''s day on each exchange: a row for each slot and exchange, from complete walks; a listing that stands'
    ' in several sectors is shown once, as the newest page showed it.'
    ' Example: SELECT * FROM listing_day(''005930'', ''2026-11-20'')';
COMMENT ON FUNCTION public.breadth IS
    'A sector''s day by slot, from complete walks: advancers, decliners and unchanged of those that have traded, those'
    ' at their limits; the mean change of those that have traded, and the change weighted by volume, both in percent;'
    ' shares and won traded so far. Example: SELECT * FROM breadth(''KOSPI'', ''013'', ''KRX'', ''2026-11-20'')';
COMMENT ON FUNCTION public.krx_nxt IS
    'The listings of a sector on KRX and NXT side by side, at the newest slot not later than an instant at which both'
    ' walks are complete: what NXT asks above KRX (won and percent), ask less bid on each, and NXT''s percentage of'
    ' the volume of both. Example: SELECT * FROM krx_nxt(''KOSPI'', ''001'', ''2026-11-20 11:02+09'')';
COMMENT ON FUNCTION public.consolidated_check IS
    'Whether CONSOLIDATED is KRX and NXT together: volumes by listing at the newest slot not later than an instant at'
    ' which all three walks are complete, what CONSOLIDATED has above the sum, and how far apart the rows arrived:'
    ' while a market is open, that is what may have been traded in between.'
    ' Example: SELECT * FROM consolidated_check(''KOSPI'', ''001'') WHERE difference <> 0';
COMMENT ON FUNCTION public.movers IS
    'What the listings of a target moved by between two instants, the strongest first: each instant stands for the'
    ' newest complete walk not later than it. Prices as they were, splits included; volume is what was traded in'
    ' between, NULL where the two are not of one day.'
    ' Example: SELECT * FROM movers(''KOSPI'', ''001'', ''KRX'', ''2026-11-20 10:00+09'', ''2026-11-20 11:00+09'')';
COMMENT ON FUNCTION public.membership_changes IS
    'Who joined and who left which target between two days, by the complete walks up to the end of each; targets of'
    ' which nothing was known on the first day are left out.'
    ' Example: SELECT * FROM membership_changes(''2026-11-19'', ''2026-11-20'')';
COMMENT ON VIEW public.membership IS 'Who belonged to a target from when to when, as complete walks showed it';
COMMENT ON COLUMN public.membership.market IS 'mrkt_tp: 0 KOSPI, 1 KOSDAQ, 2 KOSPI200, 4 KOSPI100, 7 KRX100';
COMMENT ON COLUMN public.membership.sector IS 'inds_cd, three characters';
COMMENT ON COLUMN public.membership.exchange IS 'stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED';
COMMENT ON COLUMN public.membership.symbol IS 'stk_cd without the suffix of the exchange';
COMMENT ON COLUMN public.membership.valid_from IS
    'the first day in Korea on which a complete walk showed it; for the oldest memberships the day from which on they'
    ' are known, not the day on which they began';
COMMENT ON COLUMN public.membership.valid_to IS
    'the first day on which a complete walk did not show it any more; NULL: it is still a member';
COMMENT ON VIEW public.archive IS 'Days whose rows are in files; `collector restore DAY` brings one back';
COMMENT ON COLUMN public.archive.day IS 'of Korea';
COMMENT ON COLUMN public.archive.exchange IS 'stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED';
COMMENT ON COLUMN public.archive.file IS 'where the file was put, on the machine that put it there';
COMMENT ON COLUMN public.archive.rows IS 'rows in the file, as many as the ledger says';
COMMENT ON COLUMN public.archive.bytes IS 'size of the file';
COMMENT ON COLUMN public.archive.digest IS 'SHA-256 of the rows, which the file names as well';
COMMENT ON COLUMN public.archive.archived_at IS 'by the clock of the database';
COMMENT ON COLUMN public.archive.restored_at IS
    'since when the rows are in the database as well; NULL: they are in the file alone';
COMMENT ON COLUMN public.quarantine.symbol IS
    'the listing that the row is about, without the suffix of the exchange; NULL: its code does not decode';
COMMENT ON VIEW public.judgement IS 'Judgements of walks after the first: what changed their status in the ledger';
COMMENT ON COLUMN public.judgement.judged_at IS 'by the clock of the database; walk.committed_at stays as it was';
COMMENT ON COLUMN public.judgement.judged_by IS
    'the instant of the later walk that bore it out or spoke against it, or the name of the operator who accepted it';
COMMENT ON COLUMN public.judgement.verdict IS 'borne_out, accepted or same_as_krx: the remark that was added';
COMMENT ON COLUMN public.judgement.status IS 'status before the judgement';
COMMENT ON COLUMN public.judgement.remarks IS 'remarks before the judgement';
COMMENT ON COLUMN public.daily.change IS
    'pred_pre, won against the close before; where ka10081 leaves it out, the difference to the bar before; NULL: not known';
