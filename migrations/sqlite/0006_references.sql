-- What leads to records from outside: an id of each version, whose it is, and the patient's identifiers.
-- All of it is derived from the documents and made anew when it is missing or the key is another.
CREATE TABLE record_reference (
    document    INTEGER PRIMARY KEY REFERENCES document (seq),
    id          TEXT    NOT NULL UNIQUE,
    -- The document that first spoke of this person; NULL where nobody can be told.
    person      INTEGER,
    -- As people are matched, numbers as keyed hashes; empty where too little is known.
    particulars BLOB    NOT NULL
) STRICT;
CREATE INDEX record_reference_of_person ON record_reference (person);

CREATE TABLE record_identifier (
    -- Keyed digest of an identifier's system and value.
    digest   BLOB    NOT NULL CHECK (length(digest) = 16),
    document INTEGER NOT NULL REFERENCES record_reference (document),
    PRIMARY KEY (digest, document)
) STRICT, WITHOUT ROWID;

-- The one row says which key the digests were made with.
CREATE TABLE record_reference_key (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    proof BLOB    NOT NULL CHECK (length(proof) = 16)
) STRICT;
