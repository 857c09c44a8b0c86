-- What is exchanged with other systems and cannot be made anew from the archive: objects that are
-- to be forwarded, and how far the change feed has been read.

-- One object for one destination. state: 0 waiting, 1 being sent, 2 sent, 3 parked.
CREATE TABLE forward (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT    NOT NULL,
    rule        TEXT    NOT NULL,
    digest      BLOB    NOT NULL,
    instance    TEXT    NOT NULL,
    study       TEXT    NOT NULL,
    patient_id  TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    queued_ms   INTEGER NOT NULL,
    ready_ms    INTEGER NOT NULL,
    delay_ms    INTEGER NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT '',
    changed_ms  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX forward_object ON forward (destination, digest);
CREATE INDEX forward_ready ON forward (destination, state, ready_ms, id);
CREATE INDEX forward_study ON forward (destination, study) WHERE state = 0 AND delay_ms > 0;

-- What went out over all time, by destination; entries themselves are forgotten after a while.
CREATE TABLE forward_tally (
    destination TEXT    NOT NULL PRIMARY KEY,
    sent        INTEGER NOT NULL DEFAULT 0,
    sent_bytes  INTEGER NOT NULL DEFAULT 0,
    warned      INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- The last change of the index that was looked at.
CREATE TABLE forward_cursor (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    number   INTEGER NOT NULL,
    instance TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
