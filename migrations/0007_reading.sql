-- Reading: the sectors of a day at once, names beside symbols, and a role that only reads.

-- Where a line of the sector table comes from: the shipped list (`collector migrate`) or ka10101 (`sectors --refresh`).
ALTER TABLE collector.sector ADD COLUMN source text NOT NULL DEFAULT 'ka10101'
    CHECK (source IN ('shipped', 'ka10101'));

CREATE OR REPLACE VIEW public.sector AS
SELECT code, market, name_ko, name_en, kind, members, index_only, valid_from, code AS sector, source
FROM collector.sector
WHERE valid_to IS NULL;

-- NULL and a warning for a target that was never collected: one unknown sector must not end a query over many.
CREATE OR REPLACE FUNCTION collector.number_of(market text, sector text, exchange text) RETURNS smallint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    number smallint;
BEGIN
    SELECT t.id INTO number
    FROM collector.target AS t
    WHERE t.market = number_of.market AND t.sector = number_of.sector AND t.exchange = number_of.exchange;
    IF number IS NULL THEN
        RAISE WARNING 'nothing was ever collected of %/%/%', market, sector, exchange
        USING HINT = 'SELECT DISTINCT market, sector, exchange FROM walk shows what was';
    END IF;
    RETURN number;
END
$$;

-- NULL at once if one of the targets is unknown: otherwise the search would go through the whole history.
CREATE OR REPLACE FUNCTION collector.whole_at(targets smallint[], at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    others CONSTANT smallint[] := targets[2:];
    whole  timestamptz := at + INTERVAL '1 microsecond';
BEGIN
    IF array_position(targets, NULL) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    LOOP
        SELECT w.slot INTO whole
        FROM collector.walk AS w
        WHERE w.target = targets[1] AND w.slot < whole AND w.status = 'complete'
        ORDER BY w.slot DESC
        LIMIT 1;
        EXIT WHEN whole IS NULL OR cardinality(others) = (
            SELECT count(*)
            FROM collector.walk AS w
            WHERE w.slot = whole AND w.target = ANY (others) AND w.status = 'complete'
        );
    END LOOP;
    RETURN whole;
END
$$;

-- Sweeps of many sectors share their slot, so each slot is aggregated once, from one partition, for all its sectors.
CREATE FUNCTION public.sector_days(
    market text DEFAULT NULL, exchange text DEFAULT 'KRX',
    from_day date DEFAULT (clock_timestamp() AT TIME ZONE INTERVAL '9 hours')::date, to_day date DEFAULT NULL
) RETURNS TABLE (
    day date, slot timestamptz, market_name text, sector text, sector_name text, members integer, traded integer,
    advancers integer, decliners integer, unchanged integer, limit_up integer, limit_down integer,
    mean_percent numeric, weighted_percent numeric, volume numeric, turnover numeric
)
LANGUAGE plpgsql STABLE ROWS 500
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    last_day CONSTANT date := COALESCE(to_day, from_day);
    number   CONSTANT smallint[] := ARRAY(
        SELECT t.id
        FROM collector.target AS t
        WHERE (sector_days.market IS NULL OR t.market = sector_days.market) AND t.exchange = sector_days.exchange
    );
    of_day   date := from_day;
    part     record;
BEGIN
    IF cardinality(number) = 0 THEN
        RAISE WARNING 'nothing was ever collected of %/…/%', COALESCE(market, '…'), exchange
        USING HINT = 'SELECT DISTINCT market, sector, exchange FROM walk shows what was';
    END IF;
    WHILE of_day <= last_day LOOP
        FOR part IN
            SELECT w.slot, array_agg(t.id) AS targets
            FROM unnest(number) AS t (id)
            LEFT JOIN collector.trading_day AS d ON d.trading_date = of_day AND sector_days.exchange = 'KRX'
            CROSS JOIN LATERAL (
                SELECT k.slot
                FROM collector.walk AS k
                WHERE k.target = t.id AND k.status = 'complete'
                  AND k.slot >= of_day::timestamp AT TIME ZONE INTERVAL '9 hours'
                  AND k.slot < (of_day + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
                ORDER BY COALESCE(k.slot >= d.closes AND k.slot < d.stands_until, false) DESC, k.slot DESC
                LIMIT 1
            ) AS w
            GROUP BY w.slot
            ORDER BY w.slot
        LOOP
            RETURN QUERY
            SELECT of_day, part.slot, t.market, t.sector, n.name_ko, b.members, b.traded, b.advancers, b.decliners,
                   b.traded - b.advancers - b.decliners, b.limit_up, b.limit_down, round(b.mean / 100, 4),
                   round((b.weighted / NULLIF(b.volume, 0)::float8 / 100)::numeric, 4), b.volume, b.turnover::numeric
            FROM (
                SELECT s.target, count(*)::integer AS members,
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
                WHERE s.slot = part.slot AND s.target = ANY (part.targets)
                GROUP BY s.target
            ) AS b
            JOIN collector.target AS t ON t.id = b.target
            LEFT JOIN collector.sector AS n ON n.code = t.sector AND n.market = t.market AND n.valid_to IS NULL
            ORDER BY t.market, t.sector;
            IF NOT FOUND AND EXISTS (
                SELECT FROM collector.walk AS w
                WHERE w.slot = part.slot AND w.target = ANY (part.targets) AND w.rows > 0
            ) THEN
                RAISE WARNING 'the rows of % are not in the database any more', of_day
                USING HINT = 'the day was dropped (keep_days) or archived: collector restore brings an archived one back';
            END IF;
        END LOOP;
        of_day := of_day + 1;
    END LOOP;
END
$$;

CREATE FUNCTION public.rotation(
    market text DEFAULT NULL, exchange text DEFAULT 'KRX',
    from_day date DEFAULT (clock_timestamp() AT TIME ZONE INTERVAL '9 hours')::date - 30,
    to_day date DEFAULT (clock_timestamp() AT TIME ZONE INTERVAL '9 hours')::date
) RETURNS TABLE (
    day date, market_name text, sector text, sector_name text, mean_percent numeric, total_percent numeric,
    day_rank integer, total_rank integer
)
LANGUAGE sql STABLE ROWS 2000 AS $$
    SELECT c.day, c.market_name, c.sector, c.sector_name, c.mean_percent, round(c.total, 4),
           (rank() OVER (PARTITION BY c.day ORDER BY c.mean_percent DESC NULLS LAST))::integer,
           (rank() OVER (PARTITION BY c.day ORDER BY c.total DESC))::integer
    FROM (
        SELECT s.day, s.market_name, s.sector, s.sector_name, s.mean_percent,
               100 * (exp(sum(ln(1 + COALESCE(s.mean_percent, 0) / 100))
                          OVER (PARTITION BY s.market_name, s.sector ORDER BY s.day)) - 1) AS total
        FROM public.sector_days(market, exchange, from_day, to_day) AS s
    ) AS c
    ORDER BY c.day, 8, c.market_name, c.sector
$$;

CREATE VIEW public.membership_named AS
SELECT m.market, m.sector, n.name_ko AS sector_name, m.exchange, m.symbol, l.name, m.valid_from, m.valid_to
FROM public.membership AS m
LEFT JOIN collector.sector AS n ON n.code = m.sector AND n.market = m.market AND n.valid_to IS NULL
LEFT JOIN (
    SELECT DISTINCT ON (k.symbol) k.symbol, k.name
    FROM collector.listing AS k
    ORDER BY k.symbol, k.last_seen DESC, k.id DESC
) AS l ON l.symbol = m.symbol;

-- As before, with the names: of the sector, and of the listing as it was seen last.
DROP FUNCTION public.membership_changes(date, date);
CREATE FUNCTION public.membership_changes(since date, until date) RETURNS TABLE (
    market text, sector text, exchange text, symbol text, change text, sector_name text, name text
)
LANGUAGE sql STABLE ROWS 100 AS $$
    SELECT t.market, t.sector, t.exchange, COALESCE(moved.new, moved.old) AS symbol,
           CASE WHEN moved.old IS NULL THEN 'joined' ELSE 'left' END AS change,
           n.name_ko,
           (
               SELECT k.name FROM collector.listing AS k
               WHERE k.symbol = COALESCE(moved.new, moved.old)
               ORDER BY k.last_seen DESC, k.id DESC
               LIMIT 1
           )
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
    LEFT JOIN collector.sector AS n ON n.code = t.sector AND n.market = t.market AND n.valid_to IS NULL
    WHERE first.as_of <> last.as_of
    ORDER BY t.market, t.sector, t.exchange, change, symbol
$$;

-- Makes the role `collector_reader` if this session may, and lets it read. Returns the statements that are left for an
-- administrator; none if all is done. Safe to call again: what came since is granted too.
CREATE FUNCTION collector.grant_reading() RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    statements text[] := ARRAY[
        'GRANT USAGE ON SCHEMA public, collector TO collector_reader',
        'GRANT SELECT ON collector.target, collector.listing, collector.walk, collector.snapshot,'
        ' collector.membership, collector.sector, collector.trading_day, collector.listing_fact,'
        ' collector.investor_flow TO collector_reader'
    ] || ARRAY(
        SELECT DISTINCT format('GRANT SELECT ON public.%I TO collector_reader', v.relname)
        FROM pg_class AS v
        JOIN pg_rewrite AS r ON r.ev_class = v.oid
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        JOIN pg_class AS beneath ON beneath.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
        WHERE v.relnamespace = 'public'::regnamespace AND v.relkind = 'v'
          AND beneath.relnamespace = 'collector'::regnamespace
        ORDER BY 1
    );
    may_create CONSTANT boolean := (SELECT r.rolsuper OR r.rolcreaterole FROM pg_roles AS r WHERE r.rolname = current_user);
    statement  text;
BEGIN
    -- Roles belong to the whole server: another database of it may be migrated at this moment.
    PERFORM pg_advisory_xact_lock(hashtext('collector.grant_reading'));
    IF to_regrole('collector_reader') IS NULL THEN
        IF NOT may_create THEN
            RETURN 'CREATE ROLE collector_reader NOLOGIN'
                   || format('GRANT collector_reader TO %I', current_user) || statements;
        END IF;
        BEGIN
            CREATE ROLE collector_reader NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- made meanwhile, from another database
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'collector_reader', 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT collector_reader TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RETURN ARRAY[format('GRANT collector_reader TO %I', current_user)];
        END;
    END IF;
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    RETURN '{}';
END
$$;

COMMENT ON COLUMN public.sector.sector IS 'the same as code, under the name that every other view has';
COMMENT ON COLUMN public.sector.source IS
    'shipped: the list that comes with the program; ka10101: fetched by `collector sectors --refresh`';
COMMENT ON FUNCTION public.sector_days IS
    'The breadth of every sector at once, a row a sector and day: from the newest complete walk of the day, on KRX from'
    ' the one that shows the close where there is one. The columns are those of breadth; market NULL is every market.'
    ' Example: SELECT * FROM sector_days(''KOSPI'', ''KRX'', ''2026-11-02'', ''2026-11-20'')';
COMMENT ON FUNCTION public.rotation IS
    'How the sectors take turns: for each day its mean change, the change since the first day (the days'' mean changes'
    ' multiplied), and the rank by either. Example: SELECT * FROM rotation(''KOSPI'', ''KRX'', ''2026-11-02'', ''2026-11-20'')';
COMMENT ON VIEW public.membership_named IS 'The view membership with the names of sectors and listings';
COMMENT ON COLUMN public.membership_named.sector_name IS 'inds_nm';
COMMENT ON COLUMN public.membership_named.name IS 'stk_nm, as it was seen last';
COMMENT ON FUNCTION public.membership_changes IS
    'Who joined and who left which target between two days, by the complete walks up to the end of each; targets of'
    ' which nothing was known on the first day are left out.'
    ' Example: SELECT * FROM membership_changes(''2026-11-19'', ''2026-11-20'')';
