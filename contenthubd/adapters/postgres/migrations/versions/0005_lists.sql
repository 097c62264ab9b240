-- An account's finished tasks, by state, the latest end first.
CREATE INDEX task_finished_of_account ON task (account_id, state, finished_at, id) WHERE finished_at IS NOT NULL;
