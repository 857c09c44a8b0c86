-- Which authority signs the certificates of nodes: one for all hubs on this database.
CREATE TABLE node_authority (
    id       int    PRIMARY KEY CHECK (id = 1),
    sha256   bytea  NOT NULL CHECK (octet_length(sha256) = 32),
    since_ms bigint NOT NULL
);

-- Codes that nodes enrol with once, by the digest of their secret.
CREATE TABLE node_invitation (
    code     bytea  PRIMARY KEY CHECK (octet_length(code) = 32),
    node     text   COLLATE "C" NOT NULL,
    made_ms  bigint NOT NULL,
    until_ms bigint NOT NULL,
    -- The key that it was used with; none: it was not used.
    key      bytea  CHECK (octet_length(key) = 32),
    failures bigint NOT NULL DEFAULT 0
);
CREATE INDEX node_invitation_until ON node_invitation (until_ms);

-- Every certificate that was signed.
CREATE TABLE node_certificate (
    sha256         bytea  PRIMARY KEY CHECK (octet_length(sha256) = 32),
    serial         text   COLLATE "C" NOT NULL UNIQUE,
    node           text   COLLATE "C" NOT NULL,
    key            bytea  NOT NULL CHECK (octet_length(key) = 32),
    der            bytea  NOT NULL,
    issued_ms      bigint NOT NULL,
    until_ms       bigint NOT NULL,
    -- When the node was last seen with it; 0: never.
    seen_ms        bigint NOT NULL DEFAULT 0,
    -- The code that it was given for; none: it was renewed.
    code           bytea  REFERENCES node_invitation (code),
    revoked_ms     bigint,
    revoked_reason text   COLLATE "C"
);
CREATE INDEX node_certificate_node ON node_certificate (node, issued_ms);
CREATE INDEX node_certificate_code ON node_certificate (code) WHERE code IS NOT NULL;
