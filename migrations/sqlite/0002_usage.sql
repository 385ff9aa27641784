-- What was spent, by UTC day, route and model: counted from the entries, in the transaction that
-- writes them. The empty model is what no model did. Days are written 2026-01-31.
CREATE TABLE usage (
    day            TEXT NOT NULL,
    route          TEXT NOT NULL,
    model          TEXT NOT NULL,
    investigations INTEGER NOT NULL,
    with_model     INTEGER NOT NULL,
    turns          INTEGER NOT NULL,
    tool_calls     INTEGER NOT NULL,
    tokens_in      INTEGER NOT NULL,
    tokens_cached  INTEGER NOT NULL,
    tokens_out     INTEGER NOT NULL,
    cost_usd       REAL NOT NULL,
    PRIMARY KEY (day, route, model)
) WITHOUT ROWID;

-- The last request of each investigation to each model. An open one counts as spent in full.
CREATE TABLE model_requests (
    investigation TEXT NOT NULL,
    model         TEXT NOT NULL,
    seq           INTEGER NOT NULL,
    day           TEXT NOT NULL,
    route         TEXT NOT NULL,
    open          INTEGER NOT NULL,
    tokens_in     INTEGER NOT NULL,
    tokens_out    INTEGER NOT NULL,
    cost_usd      REAL NOT NULL,
    PRIMARY KEY (investigation, model)
) WITHOUT ROWID;
CREATE INDEX model_requests_open ON model_requests (day) WHERE open = 1;
