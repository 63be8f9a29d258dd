-- What a program remembers of this database ends with it: the ids of targets and listings have a generation, a
-- partition is looked at before rows go into it, and the lease tells one server from the next.

-- A new one with every change of an id. A transaction that stores rows compares it with the one its ids were read
-- under: a database that fell back to an older state and went on from there never has it again.
CREATE TABLE collector.registry_state (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO collector.registry_state DEFAULT VALUES;

-- Before the rows, and so in one order: two programs that register the same listings would wait for each other.
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

-- Eight bytes that stand for the symbols and names of a walk's rows, in their order: NULL in walks before this version.
ALTER TABLE collector.walk ADD COLUMN names bytea;

-- Where this session is: another server, another timeline of it or another database has another one. Empty where the
-- server does not tell.
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

-- Why rows of a slot must not go into the table of its day, '' if they may. Asked behind the lock: a DETACH waits from
-- here on until the rows are committed.
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

-- As before; a table of the day's name that is no partition is attached again, or the statement to run is said.
CREATE OR REPLACE FUNCTION collector.make_days(first date, days integer) RETURNS integer
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
