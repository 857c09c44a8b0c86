-- What stands between this clinic and a person: a registration, contract or referral that was written
-- down here, or a presence that was confirmed by hand. A grant is never deleted; ending it sets its end.
CREATE TABLE relation_grant (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT    NOT NULL UNIQUE,
    kind     TEXT    NOT NULL CHECK (kind IN ('registration', 'presence', 'contract', 'referral')),
    -- Whose it is, as document says it: the name folded, and digests; empty where not known.
    name     TEXT    NOT NULL,
    resident TEXT    NOT NULL,
    card     TEXT    NOT NULL,
    born     TEXT    NOT NULL,
    only     TEXT    NOT NULL,
    from_ms  INTEGER NOT NULL,
    -- Not included; none: open-ended.
    until_ms INTEGER,
    -- Who wrote it down.
    given_by TEXT    NOT NULL,
    -- How a presence was confirmed; else empty.
    how      TEXT    NOT NULL
) STRICT;
CREATE INDEX relation_grant_of ON relation_grant (name, until_ms);

-- Whose a document is, by each thing that says it: digests of the resident ID in 18 characters, of the
-- health card, and of name and birth date. Empty where not known, and in documents from before, of
-- which "person" is one of them.
ALTER TABLE document ADD COLUMN resident TEXT NOT NULL DEFAULT '';
ALTER TABLE document ADD COLUMN card TEXT NOT NULL DEFAULT '';
ALTER TABLE document ADD COLUMN born TEXT NOT NULL DEFAULT '';
