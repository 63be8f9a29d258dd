-- A rate that the server named when it refused (유량=N) is believed from `granted_at` on, and tried again upwards after
-- a while. It never raises what is configured.
ALTER TABLE collector.quota
    ADD COLUMN granted_at timestamptz;

UPDATE collector.quota
SET granted = CASE WHEN granted BETWEEN 1 AND 100 THEN granted END,
    granted_at = CASE WHEN granted BETWEEN 1 AND 100 THEN clock_timestamp() END;

ALTER TABLE collector.quota
    ADD CONSTRAINT quota_granted_check CHECK (granted BETWEEN 1 AND 100),
    ADD CONSTRAINT quota_granted_at_check CHECK ((granted IS NULL) = (granted_at IS NULL));

-- While the token call fails, one program asks for everybody: nobody asks again before `retry_at`.
ALTER TABLE collector.token
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN retry_at timestamptz,
    ADD COLUMN failure  text;
