-- The audit trail as a chain: each entry has the digests of all up to it, SHA-256 and SM3. NULL only in
-- entries of before, until the store is opened.
ALTER TABLE audit ADD COLUMN sha256 BLOB;
ALTER TABLE audit ADD COLUMN sm3 BLOB;
CREATE INDEX audit_of_patient ON audit (patient_reference, seq) WHERE patient_reference <> '';
CREATE INDEX audit_of_record ON audit (record_id, seq) WHERE record_id <> '';

-- The one row is what the chain begins with.
CREATE TABLE audit_chain (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    chain         TEXT    NOT NULL,
    begun_ms      INTEGER NOT NULL,
    -- Entries up to this one were there before the chain.
    chained_later INTEGER NOT NULL,
    -- Whether they have their digests.
    linked        INTEGER NOT NULL
) STRICT;
INSERT INTO audit_chain (id, chain, begun_ms, chained_later, linked)
SELECT 1, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER),
    coalesce(max(seq), 0), max(seq) IS NULL FROM audit;

-- Against mistakes; whoever may write to the file can drop them, and is found by the chain.
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit entries are never deleted');
END;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit WHEN OLD.sha256 IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;

-- Heads of the chain that were signed here. The hub keeps them too, where it took them.
CREATE TABLE audit_anchor (
    chain     TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    sha256    BLOB    NOT NULL CHECK (length(sha256) = 32),
    sm3       BLOB    NOT NULL CHECK (length(sm3) = 32),
    at_ms     INTEGER NOT NULL,
    key       BLOB    NOT NULL CHECK (length(key) = 32),
    signature BLOB    NOT NULL CHECK (length(signature) = 64),
    -- When the hub had it; none: not yet.
    taken_ms  INTEGER,
    PRIMARY KEY (chain, number)
) STRICT, WITHOUT ROWID;

-- What the trail shows that somebody should look at.
CREATE TABLE audit_alarm (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    caller  TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    -- The entry of the trail that raised it.
    entry   INTEGER NOT NULL,
    -- So many patients in so many hours.
    persons INTEGER NOT NULL,
    hours   INTEGER NOT NULL,
    detail  TEXT    NOT NULL,
    UNIQUE (kind, entry)
) STRICT;

-- The one row says up to which entry the trail was looked through for alarms.
CREATE TABLE audit_watch (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    entry INTEGER NOT NULL
) STRICT;
INSERT INTO audit_watch (id, entry) SELECT 1, coalesce(max(seq), 0) FROM audit;
