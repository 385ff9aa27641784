-- What a survey found to be one workload with the thing that an investigation is about: alerts on one of these
-- belong to it. One row for each, found by the thing, the newest investigation last.
CREATE TABLE investigation_things (
    thing         TEXT NOT NULL,
    investigation TEXT NOT NULL REFERENCES investigations (id),
    PRIMARY KEY (thing, investigation)
) WITHOUT ROWID;
