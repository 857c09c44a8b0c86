-- What nodes have told of months, with every revision and when it came. Numbers are a JSON list of the
-- names of counters and their numbers. Nothing is changed or removed.
CREATE TABLE told (
    node     TEXT    NOT NULL,
    place    TEXT    NOT NULL,
    month    TEXT    NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    at_ms    INTEGER NOT NULL,
    numbers  TEXT    NOT NULL,
    PRIMARY KEY (month, node, place, revision)
) STRICT, WITHOUT ROWID;

-- Nodes that have been connected: where they stand, and since when.
CREATE TABLE site (
    node     TEXT    NOT NULL PRIMARY KEY,
    place    TEXT    NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A bit for each hour of a day in which a node was connected; the day by when it begins.
CREATE TABLE presence (
    day_ms INTEGER NOT NULL,
    node   TEXT    NOT NULL,
    hours  INTEGER NOT NULL,
    PRIMARY KEY (day_ms, node)
) STRICT, WITHOUT ROWID;

-- When a document was handed over, of those that went into this inbox with it.
ALTER TABLE inbox ADD COLUMN handed_ms INTEGER;
