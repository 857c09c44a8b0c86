-- Which authority signs the certificates of nodes: one for all hubs on this database.
CREATE TABLE node_authority (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    sha256   BLOB    NOT NULL CHECK (length(sha256) = 32),
    since_ms INTEGER NOT NULL
) STRICT;

-- Codes that nodes enrol with once, by the digest of their secret.
CREATE TABLE node_invitation (
    code     BLOB    NOT NULL PRIMARY KEY CHECK (length(code) = 32),
    node     TEXT    NOT NULL,
    made_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    -- The key that it was used with; none: it was not used.
    key      BLOB    CHECK (length(key) = 32),
    failures INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX node_invitation_until ON node_invitation (until_ms);

-- Every certificate that was signed.
CREATE TABLE node_certificate (
    sha256         BLOB    NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    serial         TEXT    NOT NULL UNIQUE,
    node           TEXT    NOT NULL,
    key            BLOB    NOT NULL CHECK (length(key) = 32),
    der            BLOB    NOT NULL,
    issued_ms      INTEGER NOT NULL,
    until_ms       INTEGER NOT NULL,
    -- When the node was last seen with it; 0: never.
    seen_ms        INTEGER NOT NULL DEFAULT 0,
    -- The code that it was given for; none: it was renewed.
    code           BLOB    REFERENCES node_invitation (code),
    revoked_ms     INTEGER,
    revoked_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX node_certificate_node ON node_certificate (node, issued_ms);
CREATE INDEX node_certificate_code ON node_certificate (code) WHERE code IS NOT NULL;
