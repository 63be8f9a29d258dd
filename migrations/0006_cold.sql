-- The cold tier: days whose rows have moved into Parquet files. The ledger stays, so nothing here is needed to
-- know what was collected; this says where its rows are.
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

-- Keeps a day as it is until the transaction ends: readers may read, nobody writes. False: it has no partition.
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

-- Gives up after a second rather than make readers wait behind it; whoever calls it tries again.
CREATE FUNCTION collector.drop_day(day date) RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
BEGIN
    EXECUTE format('DROP TABLE collector.%I', 'snapshot_' || to_char(day, 'YYYYMMDD'));
END
$$;

-- A table for a day to be loaded into, apart until `attach_day`: so it may be loaded frozen, and its indexes are
-- made at once and not row by row. False: the day has a partition already.
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

-- As before; `archived` lets only those days go whose rows are in files.
DROP FUNCTION collector.drop_days(date);
CREATE FUNCTION collector.drop_days(first date, archived boolean DEFAULT false) RETURNS integer
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
DECLARE
    part    record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    FOR part IN
        SELECT c.relname AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'collector.snapshot'::regclass
          AND c.relname ~ '^snapshot_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < first
        ORDER BY c.relname
    LOOP
        CONTINUE WHEN archived AND NOT EXISTS (SELECT FROM collector.archive AS a WHERE a.day = part.day);
        EXECUTE format('DROP TABLE collector.%I', part.name);
        UPDATE collector.archive AS a SET restored_at = NULL WHERE a.day = part.day;
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM collector.quarantine WHERE slot < first::timestamp AT TIME ZONE INTERVAL '9 hours';
    RETURN dropped;
END
$$;

CREATE VIEW public.archive AS
SELECT day, exchange, file, rows, bytes, digest, archived_at, restored_at
FROM collector.archive;

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
