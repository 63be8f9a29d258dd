-- Retention: nothing is dropped on the word of one clock, before it was announced for a day, or more than two days
-- at a time. The functions check all of that themselves; the program checks it before it calls them.

-- The newest observation is one of the three witnesses of the time. Few rows: one a walk.
CREATE INDEX walk_received ON collector.walk (received_at DESC) WHERE received_at IS NOT NULL;

-- What the operator was told: days before `first` will be dropped, a day after `announced_at` at the earliest.
-- Another `keep_days` is another announcement.
CREATE TABLE collector.retention (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    keep_days    integer NOT NULL CHECK (keep_days > 0),
    first        date NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Each day that was dropped for its age. It also counts how many days went in one night.
CREATE TABLE collector.dropped_day (
    day        date PRIMARY KEY,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

DROP FUNCTION collector.drop_days(date, boolean);

-- The days of Korea before `first` of which rows are left, oldest first. `has_rows`: there is a partition;
-- otherwise only quarantined rows are left.
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

-- Why nothing may be dropped or moved now; NULL: the three witnesses of the time agree to within a day.
-- `host` is what the caller's machine shows. Where nothing is stored there is no third witness, and nothing to lose.
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

-- Drops one day for its age: its partition and what was quarantined. The ledger stays. NULL: the day is gone, or the
-- reason why it stays, with its SQLSTATE. Refuses (an exception) what no caller may ask for.
-- Waits a second for readers at most, rather than make others wait behind it.
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
    -- Twenty hours: less than from one night to the next, more than a night.
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

-- Announces that days before `first` will be dropped. Returns since when that is announced: for the same
-- `keep_days` an earlier announcement stands.
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
