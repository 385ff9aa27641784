-- Questions to people as lists show them: one row each, changed in the transaction that writes the
-- entries that tell of it. Times are microseconds since the epoch, UTC.

CREATE TABLE approvals (
    id            TEXT PRIMARY KEY,
    investigation TEXT NOT NULL,
    state         TEXT NOT NULL,
    requested_us  INTEGER NOT NULL,
    expires_us    INTEGER NOT NULL,
    view          TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX approvals_of ON approvals (investigation, id);
CREATE INDEX approvals_in_state ON approvals (state, id);
