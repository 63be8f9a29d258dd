-- Two programs that end one slot at the same moment write the same memberships: in the same order, or each waits for
-- the other.
CREATE OR REPLACE FUNCTION collector.keep_membership(of_slot timestamptz) RETURNS integer
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
        ORDER BY w.target
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
