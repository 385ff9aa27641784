-- What bounds a storm, and what could not be read. Times are microseconds since the epoch, UTC. What was
-- written before counts as opened long ago.

-- When it was opened, and, of a storm, when an alert last joined it.
ALTER TABLE investigations ADD COLUMN opened_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE investigations ADD COLUMN joined_us INTEGER NOT NULL DEFAULT 0;
CREATE INDEX investigations_opened ON investigations (opened_us);

-- When the episode began: an alert that does so again and again opens nothing of its own.
ALTER TABLE events ADD COLUMN starts_us INTEGER;

-- What could not be read: bodies in which nothing was recognised, and single alerts out of others. Each is
-- kept once.
CREATE TABLE letters (
    id           TEXT PRIMARY KEY,
    digest       TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    source       TEXT NOT NULL,
    reason       TEXT NOT NULL,
    body         TEXT NOT NULL,
    received_us  INTEGER NOT NULL,
    times        INTEGER NOT NULL DEFAULT 1,
    replayed     TEXT
) WITHOUT ROWID;
INSERT INTO letters (id, digest, kind, source, reason, body, received_us, times)
    -- Ids grow with time, as UUIDs of version 7 do.
    SELECT 'evt_' || substr(printf('%012x', received_us / 1000), 1, 8) || '-' ||
           substr(printf('%012x', received_us / 1000), 9, 4) || '-7' || substr(digest, 17, 3) || '-8' ||
           substr(digest, 21, 3) || '-' || substr(digest, 28, 12),
           digest, 'body', source, reason, body, received_us, times
      FROM dead_letters;
DROP TABLE dead_letters;
