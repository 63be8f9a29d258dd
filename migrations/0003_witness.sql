-- Second sources for the walks of a sweep: their answers, their known offsets, and the data that came with them.

ALTER TABLE collector.walk
    ADD COLUMN corroboration text NOT NULL DEFAULT 'unchecked'
    CHECK (corroboration IN ('corroborated', 'contradicted', 'unchecked'));

CREATE OR REPLACE VIEW public.walk AS
SELECT w.slot, t.market, t.sector, t.exchange, w.status, w.pages, w.rows, w.remarks, w.error, w.attempts,
       w.requested_at, w.received_at, w.committed_at, w.repaired_at, w.corroboration
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target;
COMMENT ON COLUMN public.walk.corroboration IS
    'what ka10099, ka20003 and ka20009 say: corroborated, contradicted, or unchecked (silent, behind, odd or not asked)';

-- What one witness said of one walk. Counts are those of the witness, not of the walk.
CREATE TABLE collector.witness (
    slot       timestamptz NOT NULL,
    target     smallint NOT NULL REFERENCES collector.target,
    source     text NOT NULL,
    members    integer,
    traded     integer,
    advancers  integer,
    unchanged  integer,
    decliners  integer,
    volume     bigint,
    asked_at   timestamptz NOT NULL,
    verdict    text NOT NULL CHECK (verdict IN ('corroborated', 'contradicted', 'unchecked')),
    detail     text NOT NULL DEFAULT '',
    PRIMARY KEY (slot, target, source)
);

CREATE VIEW public.witness AS
SELECT w.slot, t.market, t.sector, w.source, w.members, w.traded, w.advancers, w.unchanged, w.decliners, w.volume,
       w.asked_at, w.verdict, t.exchange, w.detail
FROM collector.witness AS w
JOIN collector.target AS t ON t.id = w.target;
COMMENT ON VIEW public.witness IS 'What a second source said of each walk, and what came of it';
COMMENT ON COLUMN public.witness.source IS 'the call: ka10099 (members), ka20003 (counts) or ka20009 (date)';
COMMENT ON COLUMN public.witness.members IS 'ka10099: listings that belong to the sector; ka20003: flo_stk_num';
COMMENT ON COLUMN public.witness.traded IS 'rising + stdns + fall of ka20003: members that have traded';
COMMENT ON COLUMN public.witness.advancers IS 'rising of ka20003, those at the upper limit included';
COMMENT ON COLUMN public.witness.unchanged IS 'stdns of ka20003; members that have not traded are not in it';
COMMENT ON COLUMN public.witness.decliners IS 'fall of ka20003, those at the lower limit included';
COMMENT ON COLUMN public.witness.volume IS 'trde_qty of ka20003 in shares (it comes in thousands)';
COMMENT ON COLUMN public.witness.asked_at IS 'when the answer arrived';
COMMENT ON COLUMN public.witness.verdict IS 'of this source alone; walk.corroboration is that of all';
COMMENT ON COLUMN public.witness.detail IS 'the numbers, and the codes that one side lacks';

-- How a witness differs from the walks of a target for good, see collector/sweep/corroborate.py.
CREATE TABLE collector.witness_offset (
    target    smallint NOT NULL REFERENCES collector.target,
    source    text NOT NULL,
    settled   text[],
    candidate text[] NOT NULL,
    seen      integer NOT NULL,
    days      integer NOT NULL,
    last_day  date NOT NULL,
    PRIMARY KEY (target, source)
);

-- The listings of a board as ka10099 gave them. The facts of each are in listing_fact.
CREATE TABLE collector.board_list (
    board    text NOT NULL,
    asked_at timestamptz NOT NULL,
    symbols  text[] NOT NULL,
    is_whole boolean NOT NULL,
    PRIMARY KEY (board, asked_at)
);

CREATE TABLE collector.listing_fact (
    symbol     text NOT NULL,
    as_of      date NOT NULL,
    name       text NOT NULL,
    kind       text NOT NULL
        CHECK (kind IN ('share', 'preferred', 'etf', 'etn', 'reit', 'spac', 'infra', 'other')),
    market     text NOT NULL,
    code       text NOT NULL,
    industry   text NOT NULL,
    size       text NOT NULL,
    department text NOT NULL,
    shares     bigint NOT NULL,
    listed_on  date,
    state      text NOT NULL,
    nxt        boolean NOT NULL,
    PRIMARY KEY (symbol, as_of)
);

CREATE VIEW public.listing_fact AS
SELECT symbol, as_of, name, kind, market, NULLIF(industry, '') AS industry, NULLIF(size, '') AS size, shares,
       listed_on, NULLIF(state, '') AS state, nxt
FROM collector.listing_fact;
COMMENT ON VIEW public.listing_fact IS 'What ka10099 says of each listing; a change is a new line';
COMMENT ON COLUMN public.listing_fact.symbol IS 'code';
COMMENT ON COLUMN public.listing_fact.as_of IS 'first day (KST) on which ka10099 said so';
COMMENT ON COLUMN public.listing_fact.name IS 'name';
COMMENT ON COLUMN public.listing_fact.kind IS
    'share, preferred, etf, etn, reit, spac, infra or other: from marketCode (0, 10, 8, 60, 6, 2), code and name';
COMMENT ON COLUMN public.listing_fact.market IS 'the board: mrkt_tp 0 is KOSPI, 10 is KOSDAQ';
COMMENT ON COLUMN public.listing_fact.industry IS 'upName';
COMMENT ON COLUMN public.listing_fact.size IS 'upSizeName';
COMMENT ON COLUMN public.listing_fact.shares IS 'listCount: shares listed';
COMMENT ON COLUMN public.listing_fact.listed_on IS 'regDay';
COMMENT ON COLUMN public.listing_fact.state IS 'state: margin, credit, suspension, as the API words it';
COMMENT ON COLUMN public.listing_fact.nxt IS 'nxtEnable: trades on NXT';

-- Levels and changes are hundredths of a point.
CREATE TABLE collector.index_level (
    slot        timestamptz NOT NULL,
    market      text NOT NULL,
    sector      text NOT NULL,
    level       integer NOT NULL,
    change      integer,
    change_bp   integer,
    sign        smallint,
    volume      bigint NOT NULL,
    turnover    bigint NOT NULL,
    members     integer,
    traded      integer,
    advancers   integer,
    unchanged   integer,
    decliners   integer,
    limit_up    integer,
    limit_down  integer,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (slot, sector, received_at)
);

CREATE VIEW public.index_level AS
SELECT slot, market, sector, (level * 0.01)::numeric(12, 2) AS level, (change * 0.01)::numeric(12, 2) AS change,
       (change_bp * 0.01)::numeric(9, 2) AS change_percent, sign, volume, turnover, members, traded, advancers,
       unchanged, decliners, limit_up, limit_down, received_at
FROM collector.index_level;
COMMENT ON VIEW public.index_level IS
    'Index values by sector: before and after each sweep with witness: on (ka20003)';
COMMENT ON COLUMN public.index_level.slot IS 'the sweep that they were asked for';
COMMENT ON COLUMN public.index_level.level IS 'cur_prc, without direction';
COMMENT ON COLUMN public.index_level.change IS 'pred_pre, points against the previous close';
COMMENT ON COLUMN public.index_level.change_percent IS 'flu_rt';
COMMENT ON COLUMN public.index_level.sign IS 'pre_sig: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down';
COMMENT ON COLUMN public.index_level.volume IS 'trde_qty in shares (it comes in thousands), KRX alone';
COMMENT ON COLUMN public.index_level.turnover IS 'trde_prica in won (it comes in millions), KRX alone';
COMMENT ON COLUMN public.index_level.members IS 'flo_stk_num; 001 leaves out ETF, ETN and the like';
COMMENT ON COLUMN public.index_level.traded IS 'rising + stdns + fall: members that have traded';
COMMENT ON COLUMN public.index_level.advancers IS 'rising, those at the upper limit included';
COMMENT ON COLUMN public.index_level.unchanged IS 'stdns; members that have not traded are not in it';
COMMENT ON COLUMN public.index_level.decliners IS 'fall, those at the lower limit included';
COMMENT ON COLUMN public.index_level.limit_up IS 'upl';
COMMENT ON COLUMN public.index_level.limit_down IS 'lst';
COMMENT ON COLUMN public.index_level.received_at IS 'when the answer arrived';

CREATE TABLE collector.investor_flow (
    trading_date date NOT NULL,
    market       text NOT NULL,
    sector       text NOT NULL,
    exchange     text NOT NULL,
    investor     text NOT NULL,
    net_amount   bigint NOT NULL,
    PRIMARY KEY (trading_date, sector, exchange, investor)
);

CREATE VIEW public.investor_flow AS
SELECT trading_date, market, sector, exchange, investor, net_amount
FROM collector.investor_flow;
COMMENT ON VIEW public.investor_flow IS 'Net purchases of each kind of investor by sector and day (ka10051); no command fills it yet';
COMMENT ON COLUMN public.investor_flow.trading_date IS 'base_dt';
COMMENT ON COLUMN public.investor_flow.sector IS 'inds_cd';
COMMENT ON COLUMN public.investor_flow.exchange IS 'stex_tp: 1 KRX, 2 NXT, 3 CONSOLIDATED';
COMMENT ON COLUMN public.investor_flow.investor IS
    'frgnr_netprps is foreigner, ind_netprps individual, orgn_netprps institution (a sum of others), …';
COMMENT ON COLUMN public.investor_flow.net_amount IS 'won (it comes in 100 million won), negative for net sales';

CREATE TABLE collector.api_fact (
    host      text NOT NULL,
    fact      text NOT NULL,
    value     text NOT NULL,
    learnt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (host, fact)
);

CREATE VIEW public.api_fact AS
SELECT host, fact, value, learnt_at FROM collector.api_fact;
COMMENT ON VIEW public.api_fact IS 'Facts learned about a host of the API; no command fills it yet';

-- Sets what the witnesses of a walk came to. A complete walk that they contradict becomes suspect with their remarks,
-- each of which stands in the history of judgements.
CREATE FUNCTION collector.corroborate(
    of_slot timestamptz, of_target smallint, verdict text, remarks text[], by text
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    remark  text;
    was     text;
BEGIN
    UPDATE collector.walk AS w
    SET corroboration = verdict
    WHERE w.slot = of_slot AND w.target = of_target;
    FOREACH remark IN ARRAY remarks LOOP
        SELECT w.status INTO was
        FROM collector.walk AS w
        WHERE w.slot = of_slot AND w.target = of_target AND w.status IN ('complete', 'suspect')
          AND NOT (remark = ANY (w.remarks)) AND NOT ('accepted' = ANY (w.remarks));
        IF FOUND THEN
            PERFORM collector.judge_again(of_target, ARRAY[of_slot], was, 'suspect', remark, by);
        END IF;
    END LOOP;
END
$$;

COMMENT ON COLUMN public.judgement.judged_by IS
    'the instant of the later walk, or the call of Kiwoom that spoke against it, or the operator who accepted it';
COMMENT ON COLUMN public.judgement.verdict IS
    'borne_out, accepted, same_as_krx, witness_members, witness_count or witness_date: the remark that was added';

-- Breadth of a sector at a slot, each member weighed by its market value, or (shares_only) without ETF and ETN each alike.
-- Listings without a fact of ka10099 on the day have no weight.
CREATE FUNCTION public.breadth_of(of_slot timestamptz, of_sector text, of_exchange text DEFAULT 'KRX')
RETURNS TABLE (
    advancers bigint, unchanged bigint, decliners bigint, untraded bigint,
    share_advancers bigint, share_unchanged bigint, share_decliners bigint,
    cap_advancing numeric, cap_declining numeric, cap_change_percent numeric
)
LANGUAGE sql STABLE
SET plan_cache_mode = force_custom_plan AS $$
    WITH row AS (
        SELECT s.sign, s.volume > 0 AS has_traded, s.price::numeric AS price, s.change, f.shares,
               COALESCE(f.kind, 'other') IN ('share', 'preferred') AS is_share
        FROM public.snapshot AS s
        LEFT JOIN LATERAL (
            SELECT k.shares, k.kind
            FROM collector.listing_fact AS k
            WHERE k.symbol = s.symbol AND k.as_of <= (of_slot AT TIME ZONE INTERVAL '9 hours')::date
            ORDER BY k.as_of DESC
            LIMIT 1
        ) AS f ON true
        WHERE s.slot = of_slot AND s.sector = of_sector AND s.exchange = of_exchange
    )
    SELECT count(*) FILTER (WHERE has_traded AND sign IN (1, 2)),
           count(*) FILTER (WHERE has_traded AND sign = 3),
           count(*) FILTER (WHERE has_traded AND sign IN (4, 5)),
           count(*) FILTER (WHERE NOT has_traded),
           count(*) FILTER (WHERE has_traded AND is_share AND sign IN (1, 2)),
           count(*) FILTER (WHERE has_traded AND is_share AND sign = 3),
           count(*) FILTER (WHERE has_traded AND is_share AND sign IN (4, 5)),
           sum(price * shares) FILTER (WHERE has_traded AND sign IN (1, 2)),
           sum(price * shares) FILTER (WHERE has_traded AND sign IN (4, 5)),
           round(100 * sum(change * shares) / NULLIF(sum((price - change) * shares), 0), 2)
    FROM row
$$;
COMMENT ON FUNCTION public.breadth_of IS
    'breadth of a sector: by listings, by shares alone (no ETF, ETN, REIT), and weighed by market value (won)';

-- The index of a sector beside its members: the change of the index, and that of the members weighed by market value.
CREATE FUNCTION public.index_against_members(of_slot timestamptz, of_sector text)
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
        ORDER BY k.received_at DESC
        LIMIT 1
    ) AS i
    CROSS JOIN public.breadth_of(of_slot, of_sector) AS b
$$;
COMMENT ON FUNCTION public.index_against_members IS
    'the change of an index beside that of its members by market value; an index leaves out what it does not count';

CREATE FUNCTION public.flows_between(first date, last date, of_exchange text DEFAULT 'KRX')
RETURNS TABLE (market text, sector text, investor text, days bigint, net_amount numeric)
LANGUAGE sql STABLE AS $$
    SELECT f.market, f.sector, f.investor, count(*), sum(f.net_amount)
    FROM collector.investor_flow AS f
    WHERE f.trading_date BETWEEN first AND last AND f.exchange = of_exchange
    GROUP BY f.market, f.sector, f.investor
$$;
COMMENT ON FUNCTION public.flows_between IS 'net purchases by sector and investor over a period, in won';
