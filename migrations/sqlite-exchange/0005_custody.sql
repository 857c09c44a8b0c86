-- Legal holds, and what was erased.

-- A hold stands until it is lifted; it stays in the table for ever.
CREATE TABLE hold (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    study       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    placed_by   TEXT    NOT NULL,
    placed_ms   INTEGER NOT NULL,
    lifted_by   TEXT,
    lifted_ms   INTEGER,
    lift_reason TEXT
) STRICT;
CREATE INDEX hold_standing ON hold (study) WHERE lifted_ms IS NULL;
CREATE INDEX hold_study ON hold (study, seq);

-- An erasure is written down before anything is erased. caller is empty where copies gave room.
CREATE TABLE erasure (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    study      TEXT    NOT NULL,
    patient_id TEXT    NOT NULL,
    caller     TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    begun_ms   INTEGER NOT NULL,
    done_ms    INTEGER,
    objects    INTEGER NOT NULL,
    bytes      INTEGER NOT NULL
) STRICT;
CREATE INDEX erasure_open ON erasure (study) WHERE done_ms IS NULL;
CREATE INDEX erasure_done ON erasure (done_ms) WHERE done_ms IS NOT NULL;

-- The objects of an erasure, for as long as the index may still forget that they are gone. segment
-- is null where the index did not know the object. done: whether archive and index have done it.
CREATE TABLE erased (
    erasure  INTEGER NOT NULL,
    digest   BLOB    NOT NULL CHECK (length(digest) = 32),
    instance TEXT    NOT NULL,
    segment  INTEGER,
    offset   INTEGER NOT NULL,
    body     INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    done     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (erasure, digest)
) STRICT, WITHOUT ROWID;

-- What copies gave room over all time.
CREATE TABLE eviction_tally (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    studies INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO eviction_tally (one, studies, objects, bytes) VALUES (1, 0, 0, 0);
