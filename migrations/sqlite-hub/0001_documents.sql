-- Documents that nodes have handed over to the hub, and who is to have them. Times are milliseconds
-- since 1970, digests are bytes.

-- AUTOINCREMENT: a number is never given twice.
CREATE TABLE document (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    -- Empty; of a task its digest: tasks of one version are kept beside each other.
    variant    BLOB    NOT NULL,
    media_type TEXT    NOT NULL,
    sha256     BLOB    NOT NULL,
    sm3        BLOB    NOT NULL,
    -- Who handed it over first.
    node       TEXT    NOT NULL,
    withdrawn  INTEGER NOT NULL,
    kept_ms    INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    body       BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX document_name ON document (name, version, kind, variant);

-- Numbers of nodes' outboxes, by the name of the database.
CREATE TABLE handed (
    node     TEXT    NOT NULL,
    store    TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    document INTEGER NOT NULL REFERENCES document (number),
    PRIMARY KEY (node, store, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX handed_document ON handed (node, document);

-- Where each inbox has come to, and how many documents its node has handed over.
CREATE TABLE head (
    node   TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    chain  BLOB    NOT NULL,
    handed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A document is in an inbox once.
CREATE TABLE inbox (
    node     TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    document INTEGER NOT NULL REFERENCES document (number),
    chain    BLOB    NOT NULL,
    reason   TEXT    NOT NULL,
    PRIMARY KEY (node, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX inbox_document ON inbox (document, node);

-- Nodes that came: the database that has the name now, and how far they have come in their inbox.
CREATE TABLE member (
    node    TEXT    NOT NULL PRIMARY KEY,
    store   TEXT    NOT NULL,
    kept    INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Databases that had the name before.
CREATE TABLE retired (
    node  TEXT NOT NULL,
    store TEXT NOT NULL,
    PRIMARY KEY (node, store)
) STRICT, WITHOUT ROWID;

-- Whose a document is, by the keyed digests that the hub makes.
CREATE TABLE document_key (
    key      BLOB    NOT NULL,
    document INTEGER NOT NULL REFERENCES document (number),
    PRIMARY KEY (key, document)
) STRICT, WITHOUT ROWID;

-- What a node has said last of its relation to a person. One that has ended stays, so that an older
-- version of the document that ended it brings nothing back.
CREATE TABLE registration (
    key      BLOB    NOT NULL,
    node     TEXT    NOT NULL,
    relation TEXT    NOT NULL,
    active   INTEGER NOT NULL,
    until_ms INTEGER,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    document INTEGER NOT NULL REFERENCES document (number),
    PRIMARY KEY (key, node, relation)
) STRICT, WITHOUT ROWID;

-- Documents that cannot be kept as they are.
CREATE TABLE quarantine (
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
    PRIMARY KEY (node, store, number, sha256)
) STRICT;

-- What happened, in the transaction in which it happened. Recipients are names of nodes.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    node       TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    document   INTEGER NOT NULL,
    outcome    TEXT    NOT NULL,
    recipients TEXT    NOT NULL
) STRICT;
