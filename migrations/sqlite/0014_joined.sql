-- What alerts that join cost. Times are microseconds since the epoch, UTC.

-- How many belong to it: what has too many takes no more.
ALTER TABLE investigations ADD COLUMN alerts INTEGER NOT NULL DEFAULT 1;
UPDATE investigations SET alerts = max(1, coalesce(view ->> '$.alerts', 1)) WHERE json_valid(view);
-- When alerts that join last woke it, or will: what joins soon after waits until then.
ALTER TABLE investigations ADD COLUMN woken_us INTEGER NOT NULL DEFAULT 0;
