-- What nodes have asked the hub for of a person's records: who, whose, why, which, and what came of it.
-- Times are milliseconds since 1970.

CREATE TABLE look_up (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms        bigint NOT NULL,
    -- Who: the node as the link knows it, the caller's name and role there.
    node         text COLLATE "C" NOT NULL,
    caller       text COLLATE "C" NOT NULL,
    role         text COLLATE "C" NOT NULL,
    -- `look_up` or `fetch`.
    action       text COLLATE "C" NOT NULL,
    -- Why: a code of HL7 v3 PurposeOfUse, and in the reader's words where the glass was broken.
    purpose      text COLLATE "C" NOT NULL,
    glass_broken boolean NOT NULL,
    reason       text COLLATE "C" NOT NULL,
    -- Whose: the hub's keyed digests of the person as stated, of 16 bytes, one after the other.
    person       bytea NOT NULL,
    -- Which: the record and version asked for; empty and 0 where all were.
    record       text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    -- Numbers of the documents that were told or given, separated by spaces.
    documents    text COLLATE "C" NOT NULL,
    outcome      text COLLATE "C" NOT NULL,
    -- Whether the person counts among those that the node has looked up.
    counted      boolean NOT NULL
);
CREATE INDEX look_up_counted ON look_up (node, at_ms, person) WHERE counted;
