-- What a request with an idempotency key asked for, to tell a repetition from another request with a used key.
ALTER TABLE task ADD COLUMN asked jsonb;
ALTER TABLE batch ADD COLUMN size integer CHECK (size > 0);
