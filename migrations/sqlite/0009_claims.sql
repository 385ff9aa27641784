-- Who is worked on next: what was begun, then the most dangerous, by the level that was judged, before
-- that by the severity that opened it, and of those the one that waits longest. A route may be full; what
-- was looked at and waits for a place in it stands in line.
ALTER TABLE investigations ADD COLUMN severity TEXT;
ALTER TABLE investigations ADD COLUMN in_line INTEGER NOT NULL DEFAULT 0;
-- When it is to be looked at, in line or not: a change is to be watched, a question runs out.
ALTER TABLE investigations ADD COLUMN look_us INTEGER;
CREATE INDEX investigations_to_look_at ON investigations (look_us) WHERE in_line = 1 AND look_us IS NOT NULL;
-- Who holds its lease works on it in a place of its route; others only look at it.
ALTER TABLE investigations ADD COLUMN placed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE investigations ADD COLUMN urgency INTEGER AS (CASE
    WHEN state = 'running' THEN 0
    WHEN risk IN ('CRITICAL', 'HIGH') THEN 1
    WHEN risk = 'MEDIUM' THEN 2
    WHEN risk = 'LOW' THEN 3
    WHEN severity IN ('critical', 'error') THEN 1
    WHEN severity = 'info' THEN 3
    ELSE 2 END) VIRTUAL;
DROP INDEX investigations_with_work;
CREATE INDEX investigations_with_work ON investigations (route, in_line, urgency, due_us, id) WHERE wants_work = 1;
CREATE INDEX investigations_worked_on ON investigations (route) WHERE lease_until_us IS NOT NULL;
