-- The audit trail as a chain: entries of `audit` and `look_up`, in the order in which they were sealed,
-- each with the digests of all up to it.
CREATE TABLE audit_chain (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    chain    TEXT    NOT NULL,
    begun_ms INTEGER NOT NULL
) STRICT;
INSERT INTO audit_chain (id, chain, begun_ms)
VALUES (1, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));

CREATE TABLE audit_seal (
    number INTEGER PRIMARY KEY,
    source TEXT    NOT NULL CHECK (source IN ('audit', 'look_up')),
    entry  INTEGER NOT NULL,
    sha256 BLOB    NOT NULL CHECK (length(sha256) = 32),
    sm3    BLOB    NOT NULL CHECK (length(sm3) = 32),
    UNIQUE (source, entry)
) STRICT;
