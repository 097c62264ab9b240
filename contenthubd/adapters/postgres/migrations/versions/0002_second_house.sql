-- One row that names this database: other things that keep something for it (Redis) put the name into their keys.
CREATE TABLE installation (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    only_one boolean NOT NULL DEFAULT true UNIQUE CHECK (only_one)
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE instance (
    name text PRIMARY KEY,
    state_id text NOT NULL,
    seen_until timestamptz NOT NULL
);

CREATE TABLE schedule (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    name text NOT NULL UNIQUE,
    cron text NOT NULL,
    time_zone text NOT NULL,
    request jsonb NOT NULL,
    catch_up text NOT NULL CHECK (catch_up IN ('skip', 'once', 'all')),
    overlap boolean NOT NULL,
    created_at timestamptz NOT NULL,
    paused_at timestamptz,
    checked_until timestamptz NOT NULL,
    due_at timestamptz NOT NULL
);
CREATE INDEX schedule_due ON schedule (due_at) WHERE paused_at IS NULL;
CREATE INDEX schedule_of_account ON schedule (account_id);

CREATE TABLE firing (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schedule_id uuid NOT NULL REFERENCES schedule ON DELETE CASCADE,
    slot_at timestamptz,
    at timestamptz NOT NULL,
    slots integer NOT NULL CHECK (slots > 0),
    outcome text NOT NULL CHECK (outcome IN ('fired', 'skipped')),
    reason text CHECK (reason IN ('missed', 'overlap', 'refused')),
    detail text NOT NULL DEFAULT '',
    task_id uuid REFERENCES task ON DELETE SET NULL,
    UNIQUE (schedule_id, slot_at),
    CHECK ((outcome = 'skipped') = (reason IS NOT NULL)),
    CHECK (outcome = 'fired' OR task_id IS NULL)
);
CREATE INDEX firing_of_schedule ON firing (schedule_id, id);
CREATE INDEX firing_of_task ON firing (task_id) WHERE task_id IS NOT NULL;

-- Pruning walks the final tasks of one state from the oldest on. The files of a removed content are noted here in the
-- same statement, so that none of them is forgotten if the daemon dies before it has removed them.
CREATE INDEX task_finished_by_state ON task (state, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE TABLE discarded_image (
    path text PRIMARY KEY
);

-- Contents since a time are few at the end of many: without it they are searched for among all.
CREATE INDEX content_created ON content (created_at);
-- The batch that was submitted last.
CREATE INDEX batch_created ON batch (created_at, id);
