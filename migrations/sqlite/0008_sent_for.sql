-- What the hub sent a document for: village, township, registered, contract, referral, subscription,
-- backfill, returned, task or other; empty where it did not say, and of this node's own.
ALTER TABLE document ADD COLUMN sent_for TEXT NOT NULL DEFAULT '';
-- Name of the node that handed it over, this one's own included; empty where not known.
ALTER TABLE document ADD COLUMN sender TEXT NOT NULL DEFAULT '';
-- The institution that wrote the record: its code, else its name folded; empty where not known.
ALTER TABLE document ADD COLUMN author TEXT NOT NULL DEFAULT '';
-- Name of the record that this one says it replaces; empty if none.
ALTER TABLE document ADD COLUMN replaces TEXT NOT NULL DEFAULT '';
-- Name of the record that replaces this one; empty if none does.
ALTER TABLE document ADD COLUMN replaced_by TEXT NOT NULL DEFAULT '';
-- What records from before say of it.
UPDATE document SET
    replaces = CASE WHEN withdrawn = 1 THEN ''
        ELSE trim(coalesce(json_extract(reading_json, '$.record.document.replaces'), '')) END,
    author = CASE trim(coalesce(json_extract(reading_json, '$.record.stay.institution_code'), ''))
        WHEN '' THEN lower(trim(coalesce(json_extract(reading_json, '$.record.stay.institution'), '')))
        ELSE upper(trim(json_extract(reading_json, '$.record.stay.institution_code'))) END
WHERE kind = 'record' AND json_valid(reading_json);
CREATE INDEX document_replaces ON document (replaces) WHERE replaces <> '';
CREATE INDEX document_replaced ON document (replaced_by) WHERE replaced_by <> '';

-- 1: superseded because its record was replaced by another one; open again if that is taken back.
ALTER TABLE task ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0;

-- What a patient is to be told: somebody read a record in a way of which the policy tells the patient.
CREATE TABLE patient_notice (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT    NOT NULL UNIQUE,
    record    TEXT    NOT NULL,
    -- Id of the review; empty where there is none.
    review    TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    -- Until when the read is open.
    until_ms  INTEGER NOT NULL,
    reader    TEXT    NOT NULL,
    role      TEXT    NOT NULL,
    -- Code of the purpose that was stated.
    purpose   TEXT    NOT NULL,
    -- What the patient is to be told, in Chinese.
    words     TEXT    NOT NULL,
    -- 'open', 'in_person', 'phone', 'letter', or 'not_told' with the reason in note.
    state     TEXT    NOT NULL DEFAULT 'open'
              CHECK (state IN ('open', 'in_person', 'phone', 'letter', 'not_told')),
    told_ms   INTEGER NOT NULL DEFAULT 0,
    told_by   TEXT    NOT NULL DEFAULT '',
    note      TEXT    NOT NULL DEFAULT '',
    -- Who wrote that down, and when.
    noted_by  TEXT    NOT NULL DEFAULT '',
    noted_ms  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX patient_notice_open ON patient_notice (seq) WHERE state = 'open';
