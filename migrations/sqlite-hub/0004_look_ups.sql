-- What nodes have asked the hub for of a person's records: who, whose, why, which, and what came of it.
-- Times are milliseconds since 1970.

CREATE TABLE look_up (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms        INTEGER NOT NULL,
    -- Who: the node as the link knows it, the caller's name and role there.
    node         TEXT    NOT NULL,
    caller       TEXT    NOT NULL,
    role         TEXT    NOT NULL,
    -- `look_up` or `fetch`.
    action       TEXT    NOT NULL,
    -- Why: a code of HL7 v3 PurposeOfUse, and in the reader's words where the glass was broken.
    purpose      TEXT    NOT NULL,
    glass_broken INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    -- Whose: the hub's keyed digests of the person as stated, of 16 bytes, one after the other.
    person       BLOB    NOT NULL,
    -- Which: the record and version asked for; empty and 0 where all were.
    record       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    -- Numbers of the documents that were told or given, separated by spaces.
    documents    TEXT    NOT NULL,
    outcome      TEXT    NOT NULL,
    -- Whether the person counts among those that the node has looked up.
    counted      INTEGER NOT NULL
) STRICT;
CREATE INDEX look_up_counted ON look_up (node, at_ms, person) WHERE counted = 1;
