-- Documents that nodes have handed over to the hub, and who is to have them. Times are milliseconds
-- since 1970, digests are bytes.

-- Text is compared byte by byte (COLLATE "C"), whatever the database sorts by. Several hubs write
-- here: numbers of inboxes come from the locked row of `head`, so that they become visible in order.

-- Numbers of documents rise in time at all hubs.
CREATE SEQUENCE document_number;

-- One for each opening by a hub: its notes to the others begin with it.
CREATE SEQUENCE hub_number;

CREATE TABLE document (
    number     bigint NOT NULL PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    -- Empty; of a task its digest: tasks of one version are kept beside each other.
    variant    bytea NOT NULL,
    media_type text COLLATE "C" NOT NULL,
    sha256     bytea NOT NULL,
    sm3        bytea NOT NULL,
    -- Who handed it over first.
    node       text COLLATE "C" NOT NULL,
    withdrawn  boolean NOT NULL,
    kept_ms    bigint NOT NULL,
    bytes      bigint NOT NULL,
    body       bytea NOT NULL
);
-- A fourth of the time for bodies that are text, and as small. A server that was built without it goes
-- on with its own.
DO $$ BEGIN
    ALTER TABLE document ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value OR syntax_error THEN NULL;
END $$;
CREATE UNIQUE INDEX document_name ON document (name, version, kind, variant);

-- Numbers of nodes' outboxes, by the name of the database.
CREATE TABLE handed (
    node     text COLLATE "C" NOT NULL,
    store    text COLLATE "C" NOT NULL,
    number   bigint NOT NULL,
    document bigint NOT NULL,
    PRIMARY KEY (node, store, number)
);
CREATE INDEX handed_document ON handed (node, document);

-- Where each inbox has come to, and how many documents its node has handed over. Its rows change with
-- every batch: with room in its page a row is rewritten without touching the index.
CREATE TABLE head (
    node   text COLLATE "C" NOT NULL PRIMARY KEY,
    number bigint NOT NULL,
    chain  bytea NOT NULL,
    handed bigint NOT NULL
) WITH (fillfactor = 40);

-- A document is in an inbox once.
CREATE TABLE inbox (
    node     text COLLATE "C" NOT NULL,
    number   bigint NOT NULL,
    document bigint NOT NULL,
    chain    bytea NOT NULL,
    reason   text COLLATE "C" NOT NULL,
    PRIMARY KEY (node, number)
);
CREATE UNIQUE INDEX inbox_document ON inbox (document, node);

-- Nodes that came: the database that has the name now, and how far they have come in their inbox.
CREATE TABLE member (
    node    text COLLATE "C" NOT NULL PRIMARY KEY,
    store   text COLLATE "C" NOT NULL,
    kept    bigint NOT NULL,
    seen_ms bigint NOT NULL
) WITH (fillfactor = 60);

-- Databases that had the name before.
CREATE TABLE retired (
    node  text COLLATE "C" NOT NULL,
    store text COLLATE "C" NOT NULL,
    PRIMARY KEY (node, store)
);

-- Whose a document is, by the keyed digests that the hub makes.
CREATE TABLE document_key (
    key      bytea NOT NULL,
    document bigint NOT NULL,
    PRIMARY KEY (key, document)
);

-- What a node has said last of its relation to a person. One that has ended stays, so that an older
-- version of the document that ended it brings nothing back.
CREATE TABLE registration (
    key      bytea NOT NULL,
    node     text COLLATE "C" NOT NULL,
    relation text COLLATE "C" NOT NULL,
    active   boolean NOT NULL,
    until_ms bigint,
    name     text COLLATE "C" NOT NULL,
    version  bigint NOT NULL,
    document bigint NOT NULL,
    PRIMARY KEY (key, node, relation)
);

-- Documents that cannot be kept as they are.
CREATE TABLE quarantine (
    node       text COLLATE "C" NOT NULL,
    store      text COLLATE "C" NOT NULL,
    number     bigint NOT NULL,
    sha256     bytea NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    media_type text COLLATE "C" NOT NULL,
    body       bytea NOT NULL,
    code       text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    first_ms   bigint NOT NULL,
    last_ms    bigint NOT NULL,
    times      bigint NOT NULL,
    PRIMARY KEY (node, store, number, sha256)
);

-- What happened, in the transaction in which it happened. Recipients are names of nodes.
CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms      bigint NOT NULL,
    node       text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    document   bigint NOT NULL,
    outcome    text COLLATE "C" NOT NULL,
    recipients text COLLATE "C" NOT NULL
);
