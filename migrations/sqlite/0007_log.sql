-- The log: every entry of every chain, in the order in which they were committed. The tree of
-- checkpoints stands over it. What was written before there was a log stands in it by chain.
CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    chain    TEXT NOT NULL,
    seq      INTEGER NOT NULL
);
INSERT INTO log (chain, seq) SELECT chain, seq FROM entries ORDER BY chain, seq;
CREATE TRIGGER entries_are_logged AFTER INSERT ON entries BEGIN
    INSERT INTO log (chain, seq) VALUES (NEW.chain, NEW.seq);
END;
CREATE TRIGGER log_stays BEFORE UPDATE ON log BEGIN
    SELECT RAISE(ABORT, 'the log is only added to');
END;
CREATE TRIGGER log_loses_nothing BEFORE DELETE ON log BEGIN
    SELECT RAISE(ABORT, 'the log is only added to');
END;

-- Signed notes over the first `size` lines of the log, and what is needed to go on from there.
CREATE TABLE checkpoints (
    size     INTEGER PRIMARY KEY,
    note     TEXT NOT NULL,
    frontier BLOB NOT NULL
);
CREATE TRIGGER checkpoints_go_forward BEFORE INSERT ON checkpoints
WHEN NEW.size <= (SELECT COALESCE(MAX(size), 0) FROM checkpoints) BEGIN
    SELECT RAISE(ABORT, 'a checkpoint only goes forward');
END;
CREATE TRIGGER checkpoints_stay BEFORE UPDATE ON checkpoints BEGIN
    SELECT RAISE(ABORT, 'checkpoints are only added to');
END;
CREATE TRIGGER checkpoints_lose_nothing BEFORE DELETE ON checkpoints BEGIN
    SELECT RAISE(ABORT, 'checkpoints are only added to');
END;

-- How far the payloads of a chain were deleted, as retention demands.
CREATE TABLE retired (
    chain TEXT NOT NULL,
    kind  TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (chain, kind)
) WITHOUT ROWID;
CREATE INDEX investigations_closed ON investigations (closed_us) WHERE closed_us IS NOT NULL;
