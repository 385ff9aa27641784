-- What happened before to the same thing, and how changes fared against the same alert: policy counts
-- both. What was written before counts from its next alert on. Times are microseconds since the epoch, UTC.

-- The thing that an alert is about, whether it says that something is down, and when it ended.
ALTER TABLE events ADD COLUMN thing TEXT;
ALTER TABLE events ADD COLUMN down INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN ended_us INTEGER;
CREATE INDEX events_of_thing ON events (thing, received_us) WHERE thing IS NOT NULL;

-- The name of the alert that opened it.
ALTER TABLE investigations ADD COLUMN alert TEXT NOT NULL DEFAULT '';

-- What a change was made against, what it does to the world, and whether it was made at all.
ALTER TABLE deeds ADD COLUMN thing TEXT NOT NULL DEFAULT '';
ALTER TABLE deeds ADD COLUMN alert TEXT NOT NULL DEFAULT '';
ALTER TABLE deeds ADD COLUMN effect TEXT NOT NULL DEFAULT '';
ALTER TABLE deeds ADD COLUMN made INTEGER;
CREATE INDEX deeds_of_thing ON deeds (thing, started_us);
CREATE INDEX deeds_of_alert ON deeds (alert, started_us);

CREATE INDEX approvals_denied ON approvals (requested_us) WHERE state = 'denied';
