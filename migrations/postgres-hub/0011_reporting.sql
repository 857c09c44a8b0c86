-- What nodes have told of months, with every revision and when it came. Numbers are a JSON list of the
-- names of counters and their numbers. Nothing is changed or removed.
CREATE TABLE told (
    node     text   COLLATE "C" NOT NULL,
    place    text   COLLATE "C" NOT NULL,
    month    text   COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    at_ms    bigint NOT NULL,
    numbers  text   COLLATE "C" NOT NULL,
    PRIMARY KEY (month, node, place, revision)
);

-- Nodes that have been connected: where they stand, and since when.
CREATE TABLE site (
    node     text   COLLATE "C" PRIMARY KEY,
    place    text   COLLATE "C" NOT NULL,
    since_ms bigint NOT NULL
);

-- A bit for each hour of a day in which a node was connected; the day by when it begins.
CREATE TABLE presence (
    day_ms bigint NOT NULL,
    node   text   COLLATE "C" NOT NULL,
    hours  bigint NOT NULL,
    PRIMARY KEY (day_ms, node)
);

-- When a document was handed over, of those that went into this inbox with it.
ALTER TABLE inbox ADD COLUMN handed_ms bigint;
