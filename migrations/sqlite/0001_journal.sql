-- What survives a crash. Times are microseconds since the epoch, UTC.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- One row per alert episode (source, fingerprint, startsAt).
CREATE TABLE events (
    id            TEXT PRIMARY KEY,
    delivery      TEXT NOT NULL UNIQUE,
    source        TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    subject       TEXT NOT NULL,
    severity      TEXT NOT NULL,
    status        TEXT NOT NULL,
    fate          TEXT NOT NULL,
    investigation TEXT,
    deliveries    INTEGER NOT NULL DEFAULT 1,
    received_us   INTEGER NOT NULL,
    seen_us       INTEGER NOT NULL,
    json          TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_by_fingerprint ON events (source, fingerprint, id);

-- One row per investigation: what lists show, the head of its chain, and who works on it.
CREATE TABLE investigations (
    id              TEXT PRIMARY KEY,
    correlation_key TEXT NOT NULL,
    resource_key    TEXT,
    route           TEXT NOT NULL,
    subject         TEXT NOT NULL,
    state           TEXT NOT NULL,
    risk            TEXT,
    closed_us       INTEGER,
    seq             INTEGER NOT NULL,
    hash            TEXT NOT NULL,
    view            TEXT NOT NULL,
    wants_work      INTEGER NOT NULL,
    owner           TEXT,
    epoch           INTEGER NOT NULL DEFAULT 0,
    lease_until_us  INTEGER
) WITHOUT ROWID;
CREATE INDEX investigations_by_key ON investigations (correlation_key, id);
CREATE INDEX investigations_by_resource ON investigations (resource_key, id) WHERE resource_key IS NOT NULL;
CREATE INDEX investigations_with_work ON investigations (id) WHERE wants_work = 1;

-- The chains.
CREATE TABLE entries (
    chain TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    json  TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
) WITHOUT ROWID;

-- Payloads, by their salted commitment.
CREATE TABLE blobs (
    commitment TEXT PRIMARY KEY,
    salt       BLOB NOT NULL,
    bytes      BLOB NOT NULL
) WITHOUT ROWID;

-- What arrived for an investigation and is no entry yet.
CREATE TABLE signals (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    investigation TEXT NOT NULL,
    sender        TEXT NOT NULL,
    json          TEXT NOT NULL,
    at_us         INTEGER NOT NULL
);
CREATE INDEX signals_of ON signals (investigation, number);

-- Bodies in which nothing was recognised.
CREATE TABLE dead_letters (
    digest      TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    body        TEXT NOT NULL,
    received_us INTEGER NOT NULL,
    times       INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
