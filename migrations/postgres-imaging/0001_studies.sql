-- The index of studies. Everything in it is derived from the archive and can be made anew.
--
-- UIDs are packed: two characters of digits and dots a byte. Absent attributes are empty text;
-- absent numbers are NULL. What is asked about a study or a series (counts, modalities, SOP classes)
-- stands in its row, so that no such question looks at instances. Text is compared byte by byte
-- (COLLATE "C"), whatever the database sorts by. Columns stand in the order numbers, bytes, texts,
-- in which rows arrive.

-- One person as one archive knows them: two names or birth dates under one patient ID are two. The
-- identity is SHA-256 of what tells persons apart: any text fits an index so.
CREATE TABLE patient (
    id         bigint PRIMARY KEY,
    identity   bytea NOT NULL,
    patient_id text COLLATE "C" NOT NULL,
    issuer     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    birth_date text COLLATE "C" NOT NULL,
    sex        text COLLATE "C" NOT NULL,
    look       text COLLATE "C" NOT NULL,
    sounds     text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX patient_identity ON patient (identity);
CREATE INDEX patient_patient_id ON patient (patient_id);

CREATE TABLE name_key (
    patient bigint NOT NULL,
    key     text COLLATE "C" NOT NULL,
    PRIMARY KEY (key, patient)
);

-- Counts change with every batch: with room in its page a row is rewritten without touching an index.
CREATE TABLE study (
    id                  bigint PRIMARY KEY,
    patient             bigint NOT NULL,
    instances           bigint NOT NULL,
    bytes               bigint NOT NULL,
    series              bigint NOT NULL,
    guessed             bigint NOT NULL,
    uid                 bytea NOT NULL,
    date                text COLLATE "C" NOT NULL,
    time                text COLLATE "C" NOT NULL,
    modalities          text COLLATE "C" NOT NULL,
    sop_classes         text COLLATE "C" NOT NULL,
    accession_number    text COLLATE "C" NOT NULL,
    study_id            text COLLATE "C" NOT NULL,
    description         text COLLATE "C" NOT NULL,
    referring_physician text COLLATE "C" NOT NULL,
    referring_look      text COLLATE "C" NOT NULL,
    referring_sounds    text COLLATE "C" NOT NULL,
    patient_age         text COLLATE "C" NOT NULL,
    procedure           text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX study_uid ON study (uid);
CREATE INDEX study_patient ON study (patient);
CREATE INDEX study_accession ON study (accession_number);
-- A hospital has few different descriptions: a pattern is tried on each of them once, and the
-- studies of those that fit are found here.
CREATE INDEX study_description ON study (description);
-- Newest first, read backwards.
CREATE INDEX study_moment ON study (date, time, id);

CREATE TABLE series (
    id                     bigint PRIMARY KEY,
    study                  bigint NOT NULL,
    instances              bigint NOT NULL,
    bytes                  bigint NOT NULL,
    ordinal                bigint NULL,
    uid                    bytea NOT NULL,
    sop_classes            text COLLATE "C" NOT NULL,
    modality               text COLLATE "C" NOT NULL,
    number                 text COLLATE "C" NOT NULL,
    description            text COLLATE "C" NOT NULL,
    date                   text COLLATE "C" NOT NULL,
    time                   text COLLATE "C" NOT NULL,
    body_part              text COLLATE "C" NOT NULL,
    laterality             text COLLATE "C" NOT NULL,
    view_position          text COLLATE "C" NOT NULL,
    protocol               text COLLATE "C" NOT NULL,
    contrast_agent         text COLLATE "C" NOT NULL,
    anatomic_region        text COLLATE "C" NOT NULL,
    anatomic_region_code   text COLLATE "C" NOT NULL,
    institution            text COLLATE "C" NOT NULL,
    department             text COLLATE "C" NOT NULL,
    station                text COLLATE "C" NOT NULL,
    manufacturer           text COLLATE "C" NOT NULL,
    model                  text COLLATE "C" NOT NULL,
    performed_date         text COLLATE "C" NOT NULL,
    performed_time         text COLLATE "C" NOT NULL,
    requested_procedure_id text COLLATE "C" NOT NULL,
    scheduled_step_id      text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX series_uid ON series (uid, study);
CREATE INDEX series_study ON series (study);

-- Text that comes again in many instances: SOP classes, transfer syntaxes, image types.
CREATE TABLE word (
    id   bigint PRIMARY KEY,
    text text COLLATE "C" NOT NULL UNIQUE
);

-- The id is the number of the change that stored it.
CREATE TABLE instance (
    id              bigint PRIMARY KEY,
    series          bigint NOT NULL,
    ordinal         bigint NULL,
    sop_class       bigint NOT NULL,
    transfer_syntax bigint NOT NULL,
    image_type      bigint NOT NULL,
    rows            bigint NULL,
    columns         bigint NULL,
    frames          bigint NULL,
    bits_allocated  bigint NULL,
    digest_head     bigint NOT NULL,
    segment         bigint NOT NULL,
    start           bigint NOT NULL,
    head            bigint NOT NULL,
    length          bigint NOT NULL,
    received_ms     bigint NOT NULL,
    uid             bytea NOT NULL,
    digest_rest     bytea NOT NULL,
    number          text COLLATE "C" NOT NULL,
    content_date    text COLLATE "C" NOT NULL,
    content_time    text COLLATE "C" NOT NULL,
    slice_thickness text COLLATE "C" NOT NULL,
    image_position  text COLLATE "C" NOT NULL,
    burned_in       text COLLATE "C" NOT NULL,
    report_state    text COLLATE "C" NOT NULL,
    report_title    text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX instance_uid ON instance (uid);
CREATE INDEX instance_series ON instance (series);
CREATE INDEX instance_digest ON instance (digest_head);

-- Objects whose SOP instance UID another has. The id is the number of the change.
CREATE TABLE apart (
    id              bigint PRIMARY KEY,
    sop_class       bigint NOT NULL,
    transfer_syntax bigint NOT NULL,
    digest_head     bigint NOT NULL,
    segment         bigint NOT NULL,
    start           bigint NOT NULL,
    head            bigint NOT NULL,
    length          bigint NOT NULL,
    received_ms     bigint NOT NULL,
    study_uid       bytea NOT NULL,
    series_uid      bytea NOT NULL,
    uid             bytea NOT NULL,
    digest_rest     bytea NOT NULL
);
CREATE INDEX apart_uid ON apart (uid);
CREATE INDEX apart_digest ON apart (digest_head);

-- What was erased: the change that erased it, and the one that had stored it.
CREATE TABLE gone (
    id          bigint PRIMARY KEY,
    stored      bigint NOT NULL UNIQUE,
    was_apart   bigint NOT NULL,
    received_ms bigint NOT NULL,
    erased_ms   bigint NOT NULL,
    study_uid   bytea NOT NULL,
    series_uid  bytea NOT NULL,
    uid         bytea NOT NULL
);

-- One row: how far into the archive the index has come, how much there is, the last change, and
-- whether the node that wrote last has closed it. If it has not, the server may have lost changes
-- whose numbers were told already.
CREATE TABLE state (
    id        bigint PRIMARY KEY CHECK (id = 1),
    segment   bigint NULL,
    start     bigint NULL,
    body      bigint NULL,
    length    bigint NULL,
    patients  bigint NOT NULL,
    studies   bigint NOT NULL,
    series    bigint NOT NULL,
    instances bigint NOT NULL,
    apart     bigint NOT NULL,
    changes   bigint NOT NULL,
    closed    bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO state VALUES (1, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 1);
