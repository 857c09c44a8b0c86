-- Answers that were given, with what was asked, and the trail of who did what.
-- `seq` is the cursor of lists; time never is.
CREATE TABLE record (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT    NOT NULL UNIQUE,
    kind              TEXT    NOT NULL CHECK (kind IN ('consultation', 'check')),
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

CREATE INDEX record_by_kind_patient ON record (kind, patient_reference, seq);

CREATE TABLE audit (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms             INTEGER NOT NULL,
    caller            TEXT    NOT NULL,
    role              TEXT    NOT NULL,
    action            TEXT    NOT NULL,
    record_id         TEXT    NOT NULL,
    patient_reference TEXT    NOT NULL,
    outcome           TEXT    NOT NULL
) STRICT;
