-- An investigation that waits for a time. 0: it is worked on at once.
ALTER TABLE investigations ADD COLUMN due_us INTEGER NOT NULL DEFAULT 0;
DROP INDEX investigations_with_work;
CREATE INDEX investigations_with_work ON investigations (due_us, id) WHERE wants_work = 1;
