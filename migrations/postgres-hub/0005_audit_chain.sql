-- The audit trail as a chain: entries of `audit` and `look_up`, in the order in which they were sealed,
-- each with the digests of all up to it.
CREATE TABLE audit_chain (
    id       int PRIMARY KEY CHECK (id = 1),
    chain    text   COLLATE "C" NOT NULL,
    begun_ms bigint NOT NULL
);
INSERT INTO audit_chain (id, chain, begun_ms)
VALUES (1, replace(gen_random_uuid()::text, '-', ''), (extract(epoch FROM now()) * 1000)::bigint);

CREATE TABLE audit_seal (
    number bigint PRIMARY KEY,
    source text   COLLATE "C" NOT NULL CHECK (source IN ('audit', 'look_up')),
    entry  bigint NOT NULL,
    sha256 bytea  NOT NULL CHECK (octet_length(sha256) = 32),
    sm3    bytea  NOT NULL CHECK (octet_length(sm3) = 32),
    UNIQUE (source, entry)
);
