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
