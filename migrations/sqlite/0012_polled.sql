-- What pollers were told last: one row for each poller and alert that it told. A restarted server knows by
-- it what may be over. `question` is what was asked, and whom; `server_us` when the Alertmanager that told
-- had started, in microseconds since the epoch.
CREATE TABLE polled (
    poller    TEXT NOT NULL,
    delivery  TEXT NOT NULL,
    question  TEXT NOT NULL,
    server_us INTEGER,
    PRIMARY KEY (poller, delivery)
) WITHOUT ROWID;
CREATE INDEX polled_alerts ON polled (delivery);

-- By what an alert that arrives the other way, polled or sent, finds its investigation.
ALTER TABLE investigations ADD COLUMN kin_key TEXT;
CREATE INDEX investigations_by_kin ON investigations (kin_key, id) WHERE kin_key IS NOT NULL;
