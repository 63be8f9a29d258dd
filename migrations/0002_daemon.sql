-- What the daemon keeps: who may write for the schedules, how far they are accounted for, and how days go.

-- Any number of daemons may run; the one whose epoch stands here sweeps. `epoch` is part of a key on purpose:
-- changing it takes the row's strongest lock, which waits for every transaction that has checked the epoch
-- (FOR KEY SHARE), while a renewal leaves the epoch alone and waits for none of them.
CREATE TABLE collector.lease (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    epoch      bigint NOT NULL,
    taken_at   timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (name, epoch)
) WITH (fillfactor = 50);

-- Up to and with `until`, every slot of the schedule has its lines in the ledger.
CREATE TABLE collector.accounted (
    schedule text PRIMARY KEY,
    until    timestamptz NOT NULL
);

-- The days of Korea before `first` lose their partitions and what was in quarantine; the ledger stays.
-- Gives up after a second rather than make readers wait behind it; whoever calls it tries again later.
CREATE FUNCTION collector.drop_days(first date) RETURNS integer
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('collector.make_days'));
    FOR name IN
        SELECT c.relname
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'collector.snapshot'::regclass
          AND c.relname ~ '^snapshot_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < first
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE collector.%I', name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM collector.quarantine WHERE slot < first::timestamp AT TIME ZONE INTERVAL '9 hours';
    RETURN dropped;
END
$$;
