-- What was found around or in an article that a person should look at before it is published.
ALTER TABLE content ADD COLUMN hold_reason text;
