-- Questions that people ask, as functions. Each first looks up the one slot or day that it is about and then asks for
-- it by value, planned anew each time: so it reads one partition, and plans for one, however many there are.

-- A membership also says from which walk it is: one that lists the same symbols need not be looked into.
ALTER TABLE collector.membership ADD COLUMN digest bytea;
COMMENT ON COLUMN collector.membership.digest IS 'walk.members of a walk that showed it; NULL: not known';

-- Every sweep writes down when listings were seen last: with room on the page this leaves nothing to clean up.
ALTER TABLE collector.listing SET (fillfactor = 50);

-- Who the complete walks of a slot show, where that has changed. How many targets that were.
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
        WHERE w.slot = of_slot AND w.status = 'complete' AND w.members IS DISTINCT FROM m.digest
    LOOP
        SELECT COALESCE(array_agg(l.symbol ORDER BY l.symbol COLLATE "C"), '{}') INTO shown
        FROM collector.snapshot AS s
        JOIN collector.listing AS l ON l.id = s.listing
        WHERE s.slot = of_slot AND s.target = walk.target;
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

-- The number of a target; an error for one of which nothing was ever stored, since it is more likely misspelt.
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

-- The newest slot not later than an instant at which all of these targets have a complete walk; NULL if there is none.
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

-- The rows of one walk, for who looks up many: a plan over a year of partitions takes longer than all of them.
-- With its owner's rights, since views call it, and who may read those need not be let into this schema.
CREATE FUNCTION collector.walked(of_slot timestamptz, of_target smallint) RETURNS SETOF collector.snapshot
LANGUAGE plpgsql STABLE ROWS 500 SECURITY DEFINER
SET search_path = pg_catalog
SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM collector.snapshot AS s WHERE s.slot = of_slot AND s.target = of_target;
END
$$;

CREATE OR REPLACE VIEW public.latest AS
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

CREATE OR REPLACE VIEW public.daily AS
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

-- Products as float8: quick, without overflow, and exact as long as they add up to less than nine quadrillion.
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

-- LATERAL, so that who names a target has only its memberships unfolded.
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
