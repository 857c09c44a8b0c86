-- Decisions on mutual recognition are kept like other answers: their kind joins the list that the
-- table allows. SQLite cannot change a CHECK, so the rows move to a new table.
CREATE TABLE record_new (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT    NOT NULL UNIQUE,
    kind              TEXT    NOT NULL
        CHECK (kind IN ('consultation', 'check', 'override', 'plan', 'recognition')),
    caller            TEXT    NOT NULL,
    request_id        TEXT    NOT NULL,
    content_sha256    BLOB    NOT NULL CHECK (length(content_sha256) = 32),
    patient_reference TEXT    NOT NULL,
    created_ms        INTEGER NOT NULL,
    request_json      TEXT    NOT NULL,
    answer_json       TEXT    NOT NULL,
    summary_json      TEXT    NOT NULL,
    model_version     TEXT    NOT NULL,
    rule_version      TEXT    NOT NULL,
    UNIQUE (kind, caller, request_id)
) STRICT;

INSERT INTO record_new SELECT * FROM record ORDER BY seq;
DROP TABLE record;
ALTER TABLE record_new RENAME TO record;

CREATE INDEX record_by_kind_patient ON record (kind, patient_reference, seq);
