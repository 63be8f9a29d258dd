-- Index values and flows of past days, which a backfill fetches.

ALTER TABLE collector.index_level
    ADD COLUMN source text NOT NULL DEFAULT 'ka20003' CHECK (source IN ('ka20003', 'ka20006'));
CREATE UNIQUE INDEX index_level_day ON collector.index_level (sector, slot) WHERE source = 'ka20006';

CREATE OR REPLACE VIEW public.index_level AS
SELECT slot, market, sector, (level * 0.01)::numeric(12, 2) AS level, (change * 0.01)::numeric(12, 2) AS change,
       (change_bp * 0.01)::numeric(9, 2) AS change_percent, sign, volume, turnover, members, traded, advancers,
       unchanged, decliners, limit_up, limit_down, received_at, source
FROM collector.index_level;
COMMENT ON VIEW public.index_level IS
    'Index values by sector: before and after each sweep with witness: on (ka20003), and of past days (ka20006)';
COMMENT ON COLUMN public.index_level.slot IS
    'the sweep that they were asked for; of a past day the close of KRX, with the closing level';
COMMENT ON COLUMN public.index_level.change IS
    'pred_pre, points against the previous close; of a past day computed from the bar before, NULL without one';
COMMENT ON COLUMN public.index_level.members IS
    'flo_stk_num; 001 leaves out ETF, ETN and the like. This and the counts are NULL for past days';
COMMENT ON COLUMN public.index_level.source IS 'ka20003 (a moment) or ka20006 (a day)';

COMMENT ON VIEW public.investor_flow IS
    'Net purchases of each kind of investor by sector and day (ka10051), filled by `collector backfill`';

-- Days for which a call was answered, so that a backfill asks once. A day without a row is one that the API does not
-- have: an index may be younger, and NXT opened in 2025.
CREATE TABLE collector.history_day (
    call         text NOT NULL,
    subject      text NOT NULL,
    trading_date date NOT NULL,
    rows         integer NOT NULL,
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (call, subject, trading_date)
);

-- The value of a moment goes before the closing level of a day, which has no counts.
CREATE OR REPLACE FUNCTION public.index_against_members(of_slot timestamptz, of_sector text)
RETURNS TABLE (
    level numeric, index_change_percent numeric, members_change_percent numeric, difference numeric,
    index_members integer, rows bigint
)
LANGUAGE sql STABLE
SET plan_cache_mode = force_custom_plan AS $$
    SELECT i.level, i.change_percent, b.cap_change_percent, i.change_percent - b.cap_change_percent, i.members,
           b.advancers + b.unchanged + b.decliners + b.untraded
    FROM (
        SELECT *
        FROM public.index_level AS k
        WHERE k.slot = of_slot AND k.sector = of_sector
        ORDER BY k.source, k.received_at DESC
        LIMIT 1
    ) AS i
    CROSS JOIN public.breadth_of(of_slot, of_sector) AS b
$$;

COMMENT ON VIEW public.witness IS 'The finding of each second source about each walk';
COMMENT ON VIEW public.api_fact IS 'Facts learned about a host of the API by `collector check --online --learn`';
