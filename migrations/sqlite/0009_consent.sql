-- What patients say of their consent is a document, too. Only the check of the kinds changes, so the
-- table is not written anew (SQLite, ALTER TABLE, "making other kinds of table schema changes").
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''task'')', '''task'', ''consent'')')
    WHERE type = 'table' AND name = 'document';
PRAGMA writable_schema = RESET;

-- States of tasks and of consent may stand beside each other; nothing else may.
DROP INDEX document_one_version;
CREATE UNIQUE INDEX document_one_version ON document (kind, name, version)
    WHERE kind NOT IN ('task', 'consent');

-- What was said last of a person's consent for one record, or for all (''): later is the higher version,
-- then the later time, then the higher digest. So every node comes to the same, in whatever order it hears.
CREATE TABLE consent_said (
    person  TEXT    NOT NULL,
    record  TEXT    NOT NULL,
    version INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    sha256  BLOB    NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (person, record)
) STRICT, WITHOUT ROWID;
