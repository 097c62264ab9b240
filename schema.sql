-- contenthubd: the tables, readable as a whole. A test proves that the migrations make exactly this.
--
-- PostgreSQL is the truth. Queues carry only task ids, webhooks are hints, the daemon's memory may vanish at any time.
-- Every state column is guarded three times: by the transition tables in contenthubd/domain (data), by the WHERE of
-- every write (state and attempt it leaves), and by the CHECKs below (rows that cannot be meant are refused).
--
-- account      where articles are published, with defaults
-- batch        tasks submitted together; `size` counts the requests it was made from
-- task         one piece of content to generate; `attempt` is the fence of every write and only ever grows,
--              `retry_count` counts charged failures, `deaths` counts daemons and workers that died over it, `asked` keeps
--              the request where an idempotency key may bring it again
-- attempt      one try: a row from claim to end. Open rows (ended_at IS NULL) are what occupies the creator:
--              the current ones and the abandoned ones, which we no longer wait for but which still run there.
--              `claimed_uptime` is when it began, in seconds since the machine booted (`claimed_boot_id`): the wall
--              clock may be set, this one is not. `charged` says whether it used up one of the task's tries
-- content      the article of a completed task, one per task
-- image        its images: first only an address that dies within a day, then a local file, or lost
-- publication  one content to one target; the publish pool is the set of them
-- fact         what happened, append-only, written in the same statement as the change it tells of
-- discarded_image the files of pruned contents, until they are removed
-- installation one row that names this database; what Redis keeps for it carries the name in its keys
-- instance     which daemon (by its state directory) each creator instance belongs to, and how long it is surely alive
-- schedule     a stored request that becomes a task at each due time. `checked_until` is the last slot that was decided and
--              only moves forward; `due_at` says when to look at it next and decides nothing
-- firing       what one slot came to, written in one transaction with its task; without a slot it was fired by hand.
--              `slots` counts the slots it stands for: the others were missed together with it
--
-- Times are timestamptz in UTC. Priority runs from 1 (first) to 10. A task's rank in the queue is
-- (priority, turn, sequence): turn is its account's place in the round robin, set at submit.

CREATE TABLE account (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    title text NOT NULL DEFAULT '',
    mode text CHECK (mode IN ('async', 'sync')),
    auto_approve boolean,
    tone text NOT NULL DEFAULT '',
    audience text NOT NULL DEFAULT '',
    requirements text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL
);

CREATE TABLE batch (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    idempotency_key text,
    created_at timestamptz NOT NULL,
    size integer CHECK (size > 0)
);
CREATE UNIQUE INDEX batch_idempotency ON batch (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX batch_created ON batch (created_at, id);

CREATE TABLE task (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    batch_id uuid REFERENCES batch,
    state text NOT NULL CHECK (state IN ('pending', 'submitting', 'submitted', 'running', 'retrying',
                                         'completed', 'failed', 'timeout', 'cancelled')),
    mode text NOT NULL CHECK (mode IN ('async', 'sync')),
    topic text NOT NULL,
    requirements text NOT NULL,
    keywords text[] NOT NULL DEFAULT '{}',
    min_chars integer NOT NULL,
    max_chars integer NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 10),
    turn bigint NOT NULL,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    auto_approve boolean NOT NULL,
    max_retries smallint NOT NULL CHECK (max_retries >= 0),
    timeout_seconds double precision NOT NULL CHECK (timeout_seconds > 0),
    idempotency_key text,
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    retry_count integer NOT NULL DEFAULT 0 CHECK (retry_count >= 0),
    deaths integer NOT NULL DEFAULT 0 CHECK (deaths >= 0),
    created_at timestamptz NOT NULL,
    claimed_at timestamptz,
    run_at timestamptz,
    finished_at timestamptz,
    error_kind text,
    error text,
    asked jsonb,
    CONSTRAINT finished_if_final CHECK (
        (finished_at IS NOT NULL) = (state IN ('completed', 'failed', 'timeout', 'cancelled'))),
    CONSTRAINT run_at_if_retrying CHECK ((run_at IS NOT NULL) = (state = 'retrying')),
    CONSTRAINT claimed_if_in_flight CHECK (
        state NOT IN ('submitting', 'submitted', 'running') OR (claimed_at IS NOT NULL AND attempt > 0)),
    CONSTRAINT error_if_failed CHECK (state NOT IN ('failed', 'timeout') OR error_kind IS NOT NULL),
    CONSTRAINT length_possible CHECK (min_chars BETWEEN 1 AND max_chars)
);
CREATE UNIQUE INDEX task_idempotency ON task (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX task_waiting ON task (priority, turn, sequence) WHERE state = 'pending';
CREATE INDEX task_waiting_by_mode ON task (mode, priority, turn, sequence) WHERE state = 'pending';
CREATE INDEX task_account_turn ON task (account_id, priority, turn) WHERE state = 'pending';
CREATE INDEX task_retrying ON task (run_at) WHERE state = 'retrying';
CREATE INDEX task_active ON task (state) WHERE state IN ('submitting', 'submitted', 'running');
CREATE INDEX task_listed ON task (sequence DESC);
CREATE INDEX task_listed_by_state ON task (state, sequence DESC);
CREATE INDEX task_listed_by_account ON task (account_id, sequence DESC);
CREATE INDEX task_listed_by_batch ON task (batch_id, sequence) WHERE batch_id IS NOT NULL;
-- People type the end of an id: those made together begin alike.
CREATE INDEX task_id_end ON task ((reverse(replace(CAST(id AS text), '-', '')) COLLATE "C"));
CREATE INDEX task_finished ON task (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX task_finished_by_state ON task (state, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX task_finished_of_account ON task (account_id, state, finished_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE attempt (
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    number integer NOT NULL CHECK (number > 0),
    mode text NOT NULL CHECK (mode IN ('async', 'sync')),
    instance text NOT NULL,
    owner text,
    leased_until timestamptz,
    creator_task_id text,
    child_pid integer,
    child_started bigint,
    child_boot_id text,
    claimed_at timestamptz NOT NULL,
    accepted_at timestamptz,
    requeued_at timestamptz,
    abandoned_at timestamptz,
    creator_ended_at timestamptz,
    ended_at timestamptz,
    outcome text,
    error_kind text,
    error text,
    exit_code integer,
    stderr_tail text,
    claimed_boot_id text,
    claimed_uptime double precision,
    charged boolean NOT NULL DEFAULT false,
    PRIMARY KEY (task_id, number),
    CONSTRAINT outcome_if_ended CHECK ((outcome IS NOT NULL) = (ended_at IS NOT NULL)),
    CONSTRAINT lease_has_owner CHECK ((owner IS NULL) = (leased_until IS NULL)),
    CONSTRAINT outcome_known CHECK (
        outcome IN ('succeeded', 'failed', 'timed_out', 'creator_sick', 'interrupted', 'dropped', 'died', 'given_up',
                    'late_success_dropped', 'instance_lost')),
    CONSTRAINT released_is_not_charged CHECK (
        NOT charged OR outcome IS NULL OR outcome NOT IN ('creator_sick', 'interrupted', 'dropped')),
    CONSTRAINT uptime_has_boot CHECK ((claimed_boot_id IS NULL) = (claimed_uptime IS NULL))
);
CREATE INDEX attempt_open ON attempt (instance) WHERE ended_at IS NULL;
CREATE INDEX attempt_leased ON attempt (leased_until) WHERE ended_at IS NULL AND leased_until IS NOT NULL;
CREATE INDEX attempt_succeeded ON attempt (ended_at DESC) WHERE outcome = 'succeeded';

CREATE TABLE content (
    id uuid PRIMARY KEY,
    task_id uuid NOT NULL UNIQUE REFERENCES task,
    account_id uuid NOT NULL REFERENCES account,
    state text NOT NULL CHECK (state IN ('pending_review', 'approved', 'rejected', 'published')),
    title text NOT NULL,
    body text NOT NULL CHECK (body <> ''),
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL,
    reviewed_at timestamptz,
    reviewed_by text,
    review_reason text,
    hold_reason text,
    CONSTRAINT review_has_reviewer CHECK ((reviewed_at IS NULL) = (reviewed_by IS NULL)),
    CONSTRAINT decided_is_reviewed CHECK (state = 'pending_review' OR reviewed_at IS NOT NULL)
);
CREATE INDEX content_id_end ON content ((reverse(replace(CAST(id AS text), '-', '')) COLLATE "C"));
CREATE INDEX content_listed ON content (sequence DESC);
CREATE INDEX content_listed_by_state ON content (state, sequence DESC);
CREATE INDEX content_listed_by_account ON content (account_id, sequence DESC);
CREATE INDEX content_created ON content (created_at);

CREATE TABLE image (
    content_id uuid NOT NULL REFERENCES content ON DELETE CASCADE,
    position smallint NOT NULL CHECK (position > 0),
    url text NOT NULL,
    prompt text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('pending', 'fetched', 'lost')),
    tries smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    path text,
    media_type text,
    bytes bigint,
    error text,
    PRIMARY KEY (content_id, position),
    CONSTRAINT path_if_fetched CHECK ((path IS NOT NULL) = (state = 'fetched'))
);
CREATE INDEX image_due ON image (due_at) WHERE state = 'pending';

CREATE TABLE publication (
    id uuid PRIMARY KEY,
    content_id uuid NOT NULL REFERENCES content,
    target text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'publishing', 'retrying', 'published', 'failed', 'unknown',
                                         'cancelled')),
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 10),
    due_at timestamptz NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    retry_count integer NOT NULL DEFAULT 0,
    owner text,
    remote_id text,
    location text,
    error text,
    created_at timestamptz NOT NULL,
    published_at timestamptz,
    UNIQUE (content_id, target),
    CONSTRAINT receipt_if_published CHECK (
        (state = 'published') = (published_at IS NOT NULL) AND (state <> 'published' OR location IS NOT NULL)),
    CONSTRAINT owner_while_publishing CHECK ((owner IS NOT NULL) = (state = 'publishing'))
);
CREATE INDEX publication_due ON publication (priority, due_at) WHERE state IN ('pending', 'retrying');
CREATE INDEX publication_publishing ON publication (owner) WHERE state = 'publishing';

CREATE TABLE fact (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    name text NOT NULL,
    task_id uuid,
    content_id uuid,
    data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX fact_of_task ON fact (task_id, id) WHERE task_id IS NOT NULL;
CREATE INDEX fact_by_name ON fact (name, id);

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

CREATE TABLE discarded_image (
    path text PRIMARY KEY
);
