-- What was put aside can be named, and somebody says what came of it: the original stays. And what people
-- took back of their consent.

CREATE TABLE put_aside (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    node       TEXT    NOT NULL,
    store      TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    sha256     BLOB    NOT NULL,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    media_type TEXT    NOT NULL,
    body       BLOB    NOT NULL,
    code       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    first_ms   INTEGER NOT NULL,
    last_ms    INTEGER NOT NULL,
    times      INTEGER NOT NULL,
    -- When it was dealt with; 0 if not yet.
    settled_ms INTEGER NOT NULL DEFAULT 0,
    settled_by TEXT    NOT NULL DEFAULT '',
    finding    TEXT    NOT NULL DEFAULT '',
    UNIQUE (node, store, number, sha256)
) STRICT;
INSERT INTO put_aside (node, store, number, sha256, kind, name, version, media_type, body, code,
    reason, first_ms, last_ms, times)
SELECT node, store, number, sha256, kind, name, version, media_type, body, code, reason, first_ms,
    last_ms, times FROM quarantine ORDER BY rowid;
DROP TABLE quarantine;
ALTER TABLE put_aside RENAME TO quarantine;
CREATE INDEX quarantine_open ON quarantine (id) WHERE settled_ms = 0;

-- What was said last of a person's consent, in which document: of all records (record is empty) or of
-- one. Later is the higher version, then the later time, then the higher digest.
CREATE TABLE consent (
    key      BLOB    NOT NULL,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    sha256   BLOB    NOT NULL,
    given    INTEGER NOT NULL,
    record   TEXT    NOT NULL,
    document INTEGER NOT NULL REFERENCES document (number),
    PRIMARY KEY (key, name)
) STRICT, WITHOUT ROWID;
