-- Changes that were begun: one row each, changed in the transaction that writes the entries that tell
-- of it. Policy counts them. Times are microseconds since the epoch, UTC.

CREATE TABLE deeds (
    id            TEXT PRIMARY KEY,
    investigation TEXT NOT NULL,
    started_us    INTEGER NOT NULL,
    tool          TEXT NOT NULL,
    resource      TEXT NOT NULL,
    namespace     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    helped        INTEGER
) WITHOUT ROWID;
CREATE INDEX deeds_of_resource ON deeds (resource, started_us);
CREATE INDEX deeds_in_namespace ON deeds (namespace, started_us);
CREATE INDEX deeds_of_kind ON deeds (kind, started_us);
