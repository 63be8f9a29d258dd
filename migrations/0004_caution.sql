-- How much of a round trip the rate limiter counts as the way to the server, learned from refusals.
-- docs/decisions/0004-the-pace-lives-in-the-database.md says how it changes.

ALTER TABLE collector.quota
    ADD COLUMN caution double precision NOT NULL DEFAULT 1 CHECK (caution > 0),
    ADD COLUMN trials integer NOT NULL DEFAULT 0 CHECK (trials >= 0),
    ADD COLUMN refused_at timestamptz;

COMMENT ON COLUMN collector.quota.caution IS
    'share of the varying part of a round trip before the server counts: 1 all of it; above 1, round trips are doubted';
COMMENT ON COLUMN collector.quota.trials IS 'requests since the last change of the caution that tested it and were not refused';
COMMENT ON COLUMN collector.quota.refused_at IS 'the newest refusal that raised the caution';
