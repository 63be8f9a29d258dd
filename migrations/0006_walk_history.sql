-- What changed a line of the ledger after the first judgement: later walks, witnesses, operators, replays and repairs.
CREATE VIEW public.walk_history AS
SELECT j.slot, t.market, t.sector, t.exchange, j.judged_at AS changed_at, j.verdict AS event, j.judged_by AS changed_by,
       j.status, j.remarks
FROM collector.judgement AS j
JOIN collector.target AS t ON t.id = j.target
UNION ALL
SELECT r.slot, t.market, t.sector, t.exchange, r.replayed_at, 'replayed', 'collector ' || r.program, r.status, r.remarks
FROM collector.replay AS r
JOIN collector.target AS t ON t.id = r.target
UNION ALL
SELECT w.slot, t.market, t.sector, t.exchange, w.repaired_at, 'repaired', 'ka10080', w.status, w.remarks
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.repaired_at IS NOT NULL;
COMMENT ON VIEW public.walk_history IS
    'Changes of a line of the ledger after the first judgement, one line a change: judged again, replayed, repaired';
COMMENT ON COLUMN public.walk_history.changed_at IS 'by the clock of the database';
COMMENT ON COLUMN public.walk_history.event IS
    'the remark that was added by a later judgement (view judgement), or replayed, or repaired';
COMMENT ON COLUMN public.walk_history.changed_by IS
    'the later walk, the witness, the operator, the version of the program, or the call of the API';
COMMENT ON COLUMN public.walk_history.status IS 'status before the change; a repair leaves it as it is';
COMMENT ON COLUMN public.walk_history.remarks IS 'remarks before the change';
