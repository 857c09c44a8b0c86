-- Documents that are exchanged with the hub: discharge records, registrations, states of tasks.
-- A version is never changed. The original bytes are always there, with both digests.
CREATE TABLE document (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT    NOT NULL CHECK (kind IN ('record', 'registration', 'task')),
    name         TEXT    NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 0),
    media_type   TEXT    NOT NULL,
    sha256       BLOB    NOT NULL CHECK (length(sha256) = 32),
    sm3          BLOB    NOT NULL CHECK (length(sm3) = 32),
    body         BLOB    NOT NULL,
    format       TEXT    NOT NULL,
    -- What was read of it, JSON; empty where this node cannot read it.
    reading_json TEXT    NOT NULL,
    -- What a list shows, JSON.
    summary_json TEXT    NOT NULL,
    -- Folded, for looking up; empty where it does not apply.
    patient      TEXT    NOT NULL,
    -- Whose it is: a digest of number or name and birth date; empty where it does not apply.
    person       TEXT    NOT NULL,
    withdrawn    INTEGER NOT NULL,
    -- Whether it is the newest version.
    current      INTEGER NOT NULL,
    -- 'own': made or taken here; 'hub': came over the link.
    origin       TEXT    NOT NULL CHECK (origin IN ('own', 'hub')),
    -- Why it could not be read; empty if it could.
    problem      TEXT    NOT NULL,
    received_ms  INTEGER NOT NULL,
    UNIQUE (kind, name, version, sha256)
) STRICT;
-- States of tasks may stand beside each other; nothing else may.
CREATE UNIQUE INDEX document_one_version ON document (kind, name, version) WHERE kind <> 'task';
CREATE INDEX document_current ON document (kind, seq) WHERE current = 1;
CREATE INDEX document_by_patient ON document (kind, patient, seq) WHERE current = 1;

CREATE TABLE document_programme (
    document  INTEGER NOT NULL REFERENCES document (seq),
    programme TEXT    NOT NULL,
    PRIMARY KEY (programme, document)
) STRICT, WITHOUT ROWID;

-- What is to be handed over to the hub, in order.
CREATE TABLE outbox (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document (seq),
    settled  INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_ms   INTEGER NOT NULL DEFAULT 0,
    -- Why the hub did not take it; empty before it has answered.
    code     TEXT    NOT NULL DEFAULT '',
    reason   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outbox_waiting ON outbox (number) WHERE settled = 0;

-- The one row says how far the exchange has come.
CREATE TABLE exchange_state (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    store           TEXT    NOT NULL,
    position_number INTEGER NOT NULL DEFAULT 0,
    position_sha256 BLOB    NOT NULL DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000',
    inbox_number    INTEGER NOT NULL DEFAULT 0,
    inbox_chain     BLOB    NOT NULL DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000'
) STRICT;

-- What an operator should know: an old copy was put back, a box was replaced, the hub was set back.
CREATE TABLE exchange_event (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    kind  TEXT    NOT NULL
) STRICT;

-- What is to be done for a patient after discharge.
CREATE TABLE task (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    record         TEXT    NOT NULL,
    record_version INTEGER NOT NULL,
    -- 'open', 'done', 'cancelled', 'superseded', 'conflict'
    state          TEXT    NOT NULL,
    revision       INTEGER NOT NULL DEFAULT 0,
    -- Last day, ISO 8601; empty if unknown.
    due_day        TEXT    NOT NULL,
    urgent         INTEGER NOT NULL,
    task_json      TEXT    NOT NULL,
    note           TEXT    NOT NULL DEFAULT '',
    changed_by     TEXT    NOT NULL DEFAULT '',
    changed_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX task_open ON task (state, urgent DESC, due_day, seq);
CREATE INDEX task_of_record ON task (record);

-- A patient took consent back: for one record of this node, or for all ('').
CREATE TABLE consent_withdrawal (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    person   TEXT    NOT NULL,
    record   TEXT    NOT NULL,
    from_ms  INTEGER NOT NULL,
    -- When it was given again; none if not.
    until_ms INTEGER
) STRICT;
CREATE INDEX consent_withdrawal_of ON consent_withdrawal (person);

-- Somebody read a record by breaking the glass: to be looked at afterwards.
CREATE TABLE access_review (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT    NOT NULL UNIQUE,
    at_ms     INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL,
    caller    TEXT    NOT NULL,
    role      TEXT    NOT NULL,
    record    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    rule      TEXT    NOT NULL,
    closed_ms INTEGER,
    closed_by TEXT    NOT NULL DEFAULT '',
    finding   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX access_review_open ON access_review (seq) WHERE closed_ms IS NULL;
