-- How walks are judged: what they were judged by, what did not decode, and each judgement after the first.

-- `expected`: rows of the complete walk that a walk was judged by. `bad`: its rows that did not decode.
ALTER TABLE collector.walk ADD COLUMN expected integer, ADD COLUMN bad integer NOT NULL DEFAULT 0;
UPDATE collector.walk AS w
SET bad = q.bad
FROM (SELECT slot, target, count(*) AS bad FROM collector.quarantine GROUP BY slot, target) AS q
WHERE w.slot = q.slot AND w.target = q.target;

-- The listing that an undecoded row is about; '' where its code does not decode either.
ALTER TABLE collector.quarantine ADD COLUMN symbol text NOT NULL DEFAULT '';

CREATE OR REPLACE VIEW public.quarantine AS
SELECT q.slot, t.market, t.sector, t.exchange, q.page, q.raw, q.reason, NULLIF(q.symbol, '') AS symbol
FROM collector.quarantine AS q
JOIN collector.target AS t ON t.id = q.target;
COMMENT ON COLUMN public.quarantine.symbol IS
    'the listing that the row is about, without the suffix of the exchange; NULL: its code does not decode';

-- Judgements after the first. The ledger holds the status that counts; this says who changed it, when, and what the
-- status and the remarks were until then. No foreign key: a line of the ledger may go, the judgement stays.
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
COMMENT ON VIEW public.judgement IS 'Judgements of walks after the first: what changed their status in the ledger';
COMMENT ON COLUMN public.judgement.judged_at IS 'by the clock of the database; walk.committed_at stays as it was';
COMMENT ON COLUMN public.judgement.judged_by IS
    'the instant of the later walk that bore it out or spoke against it, or the name of the operator who accepted it';
COMMENT ON COLUMN public.judgement.verdict IS 'borne_out, accepted or same_as_krx: the remark that was added';
COMMENT ON COLUMN public.judgement.status IS 'status before the judgement';
COMMENT ON COLUMN public.judgement.remarks IS 'remarks before the judgement';

-- Changes the status of stored walks of a target, adds a remark, and writes down what they were. How many changed.
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

-- A listing whose row does not decode is still a member; a walk with a row whose code does not decode tells nothing
-- of the members, and has no digest of them. `as_of` of a membership is kept as the first day that showed it.
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

-- What a bar changed by is not always said, and not always to be computed.
ALTER TABLE collector.bar ALTER COLUMN change DROP NOT NULL;
ALTER TABLE collector.bar_suspect ALTER COLUMN change DROP NOT NULL;
COMMENT ON COLUMN public.daily.change IS
    'pred_pre, won against the close before; where ka10081 leaves it out, the difference to the bar before; NULL: not known';
