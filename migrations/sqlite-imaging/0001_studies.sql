-- The index of studies. Everything in it is derived from the archive and can be made anew.
--
-- UIDs are packed: two characters of digits and dots a byte. Absent attributes are empty text;
-- absent numbers are NULL. What is asked about a study or a series (counts, modalities, SOP classes)
-- stands in its row, so that no such question looks at instances.

-- One person as one archive knows them: two names or birth dates under one patient ID are two.
CREATE TABLE patient (
    id         INTEGER PRIMARY KEY,
    patient_id TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    name       TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    sex        TEXT NOT NULL,
    look       TEXT NOT NULL,
    sounds     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX patient_identity ON patient (patient_id, issuer, look, birth_date);

CREATE TABLE name_key (
    key     TEXT    NOT NULL,
    patient INTEGER NOT NULL,
    PRIMARY KEY (key, patient)
) STRICT, WITHOUT ROWID;

CREATE TABLE study (
    id                  INTEGER PRIMARY KEY,
    patient             INTEGER NOT NULL,
    instances           INTEGER NOT NULL,
    bytes               INTEGER NOT NULL,
    series              INTEGER NOT NULL,
    guessed             INTEGER NOT NULL,
    uid                 BLOB NOT NULL,
    date                TEXT NOT NULL,
    time                TEXT NOT NULL,
    modalities          TEXT NOT NULL,
    sop_classes         TEXT NOT NULL,
    accession_number    TEXT NOT NULL,
    study_id            TEXT NOT NULL,
    description         TEXT NOT NULL,
    referring_physician TEXT NOT NULL,
    referring_look      TEXT NOT NULL,
    referring_sounds    TEXT NOT NULL,
    patient_age         TEXT NOT NULL,
    procedure           TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX study_uid ON study (uid);
CREATE INDEX study_patient ON study (patient);
CREATE INDEX study_accession ON study (accession_number);
-- Newest first, and the modalities beside it: a month of CT reads the rows of its answers only.
CREATE INDEX study_moment ON study (date, time, id, modalities);

CREATE TABLE series (
    id                     INTEGER PRIMARY KEY,
    study                  INTEGER NOT NULL,
    instances              INTEGER NOT NULL,
    bytes                  INTEGER NOT NULL,
    ordinal                INTEGER,
    uid                    BLOB NOT NULL,
    sop_classes            TEXT NOT NULL,
    modality               TEXT NOT NULL,
    number                 TEXT NOT NULL,
    description            TEXT NOT NULL,
    date                   TEXT NOT NULL,
    time                   TEXT NOT NULL,
    body_part              TEXT NOT NULL,
    laterality             TEXT NOT NULL,
    view_position          TEXT NOT NULL,
    protocol               TEXT NOT NULL,
    contrast_agent         TEXT NOT NULL,
    anatomic_region        TEXT NOT NULL,
    anatomic_region_code   TEXT NOT NULL,
    institution            TEXT NOT NULL,
    department             TEXT NOT NULL,
    station                TEXT NOT NULL,
    manufacturer           TEXT NOT NULL,
    model                  TEXT NOT NULL,
    performed_date         TEXT NOT NULL,
    performed_time         TEXT NOT NULL,
    requested_procedure_id TEXT NOT NULL,
    scheduled_step_id      TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX series_uid ON series (uid, study);
CREATE INDEX series_study ON series (study);

-- Text that comes again in many instances: SOP classes, transfer syntaxes, image types.
CREATE TABLE word (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- The id is the number of the change that stored it.
CREATE TABLE instance (
    id              INTEGER PRIMARY KEY,
    series          INTEGER NOT NULL,
    ordinal         INTEGER,
    uid             BLOB NOT NULL,
    sop_class       INTEGER NOT NULL,
    transfer_syntax INTEGER NOT NULL,
    image_type      INTEGER NOT NULL,
    rows            INTEGER,
    columns         INTEGER,
    frames          INTEGER,
    bits_allocated  INTEGER,
    digest_head     INTEGER NOT NULL,
    digest_rest     BLOB NOT NULL,
    segment         INTEGER NOT NULL,
    start           INTEGER NOT NULL,
    head            INTEGER NOT NULL,
    length          INTEGER NOT NULL,
    received_ms     INTEGER NOT NULL,
    number          TEXT NOT NULL,
    content_date    TEXT NOT NULL,
    content_time    TEXT NOT NULL,
    slice_thickness TEXT NOT NULL,
    image_position  TEXT NOT NULL,
    burned_in       TEXT NOT NULL,
    report_state    TEXT NOT NULL,
    report_title    TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX instance_uid ON instance (uid);
CREATE INDEX instance_series ON instance (series, ordinal);
CREATE INDEX instance_digest ON instance (digest_head);

-- Objects whose SOP instance UID another has. The id is the number of the change.
CREATE TABLE apart (
    id              INTEGER PRIMARY KEY,
    study_uid       BLOB NOT NULL,
    series_uid      BLOB NOT NULL,
    uid             BLOB NOT NULL,
    sop_class       INTEGER NOT NULL,
    transfer_syntax INTEGER NOT NULL,
    digest_head     INTEGER NOT NULL,
    digest_rest     BLOB NOT NULL,
    segment         INTEGER NOT NULL,
    start           INTEGER NOT NULL,
    head            INTEGER NOT NULL,
    length          INTEGER NOT NULL,
    received_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX apart_uid ON apart (uid);
CREATE INDEX apart_digest ON apart (digest_head);

-- What was erased: the change that erased it, and the one that had stored it.
CREATE TABLE gone (
    id          INTEGER PRIMARY KEY,
    stored      INTEGER NOT NULL UNIQUE,
    was_apart   INTEGER NOT NULL,
    study_uid   BLOB NOT NULL,
    series_uid  BLOB NOT NULL,
    uid         BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    erased_ms   INTEGER NOT NULL
) STRICT;

-- One row: how far into the archive the index has come, how much there is, the last change.
CREATE TABLE state (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    segment   INTEGER,
    start     INTEGER,
    body      INTEGER,
    length    INTEGER,
    patients  INTEGER NOT NULL,
    studies   INTEGER NOT NULL,
    series    INTEGER NOT NULL,
    instances INTEGER NOT NULL,
    apart     INTEGER NOT NULL,
    changes   INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0);
