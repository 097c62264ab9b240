-- Frozen: what 0006_attempts_in_time.py runs. schema.sql says what the tables are now.

ALTER TABLE attempt ADD COLUMN claimed_boot_id text;
ALTER TABLE attempt ADD COLUMN claimed_uptime double precision;
ALTER TABLE attempt ADD COLUMN charged boolean NOT NULL DEFAULT false;

UPDATE attempt SET charged = true
WHERE (error_kind = 'timed_out' AND (outcome IS NULL OR outcome IN ('timed_out', 'failed', 'given_up', 'succeeded',
                                                                    'late_success_dropped')))
   OR (outcome = 'failed' AND error_kind NOT IN ('stopped', 'worker_gone', 'worker_deaf', 'creator_redis_down',
                                                 'instance_lost'))
   OR ((outcome IS NULL OR outcome NOT IN ('creator_sick', 'interrupted', 'dropped')) AND EXISTS (
        SELECT 1 FROM fact WHERE fact.task_id = attempt.task_id AND fact.name IN ('attempt_failed', 'task_gave_up')
            AND fact.data ->> 'attempt' = CAST(attempt.number AS text) AND fact.data ->> 'charged' = 'true'));

ALTER TABLE attempt ADD CONSTRAINT outcome_known CHECK (
    outcome IN ('succeeded', 'failed', 'timed_out', 'creator_sick', 'interrupted', 'dropped', 'died', 'given_up',
                'late_success_dropped', 'instance_lost'));
ALTER TABLE attempt ADD CONSTRAINT released_is_not_charged CHECK (
    NOT charged OR outcome IS NULL OR outcome NOT IN ('creator_sick', 'interrupted', 'dropped'));
ALTER TABLE attempt ADD CONSTRAINT uptime_has_boot CHECK ((claimed_boot_id IS NULL) = (claimed_uptime IS NULL));
