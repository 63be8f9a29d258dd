-- A restored day gets its indexes when all its rows are there, which tells the planner how many they are, and nothing
-- else of them: without statistics a question for one slot reads the whole day. So whoever has none is analysed.
CREATE OR REPLACE FUNCTION collector.tend_day(day date) RETURNS void
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
