-- Studies that lie in a PACS behind the node, as it last answered for them.

-- told: the study as it is published, JSON; empty where gone. day: the study date it was asked by.
-- number: its place in the feed of changes; a change moves it to the end.
CREATE TABLE behind (
    study  TEXT    NOT NULL,
    pacs   TEXT    NOT NULL,
    day    TEXT    NOT NULL,
    number INTEGER NOT NULL,
    gone   INTEGER NOT NULL DEFAULT 0,
    told   TEXT    NOT NULL,
    PRIMARY KEY (study, pacs)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX behind_number ON behind (number);
CREATE INDEX behind_day ON behind (pacs, day) WHERE gone = 0;

-- The feed: epoch tells it from that of another database, number is its end.
CREATE TABLE behind_feed (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    epoch  TEXT    NOT NULL,
    number INTEGER NOT NULL
) STRICT;
INSERT INTO behind_feed (one, epoch, number) VALUES (1, lower(hex(randomblob(16))), 0);
