-- Notices: the events that people are told of. Messages are derived from these rows, so a restart repeats none.

CREATE TABLE collector.notice (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL,
    subject     text NOT NULL,
    began_at    timestamptz NOT NULL,
    facts       jsonb NOT NULL DEFAULT '{}',
    noted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    quiet_until timestamptz,
    told_at     timestamptz,
    ended_at    timestamptz,
    end_told_at timestamptz,
    tries       integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE collector.notice IS 'Events that people are told of, with what they were told';
COMMENT ON COLUMN collector.notice.kind IS 'behind, failure, denied, quota, clocks, calendar, disk, contradicted or summary';
COMMENT ON COLUMN collector.notice.subject IS 'schedule, schedule and kind of failure, key, host or day';
COMMENT ON COLUMN collector.notice.began_at IS 'since when the event lasts';
COMMENT ON COLUMN collector.notice.facts IS 'the values of its message';
COMMENT ON COLUMN collector.notice.quiet_until IS 'not told before: the same event was told shortly before; NULL: told at once';
COMMENT ON COLUMN collector.notice.told_at IS 'when a service accepted the message of the beginning';
COMMENT ON COLUMN collector.notice.ended_at IS 'when the event was over; NULL: it lasts';
COMMENT ON COLUMN collector.notice.end_told_at IS 'when a service accepted the message of the end, or no message was wanted';
COMMENT ON COLUMN collector.notice.tries IS 'attempts to send that no service accepted';
COMMENT ON COLUMN collector.notice.next_try_at IS 'no process sends it before; set ahead while a process sends it';

-- One event lasts once. Two daemons that notice it at the same moment make one row.
CREATE UNIQUE INDEX notice_lasting ON collector.notice (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX notice_told ON collector.notice (kind, subject, told_at);
CREATE INDEX notice_noted ON collector.notice (noted_at);

-- Free space where COLLECTOR_HOME is, once an hour for each host, for the forecast.
CREATE TABLE collector.disk_sample (
    host       text NOT NULL,
    taken_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    free_bytes bigint NOT NULL,
    PRIMARY KEY (host, taken_at)
);
