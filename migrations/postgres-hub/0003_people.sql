-- Who the documents are about: persons, the particulars that documents state, and how both were joined.
-- What identifies somebody is sealed; digests are keyed. Times are milliseconds since 1970.

-- One row. Whoever changes persons has read it before, and nobody else has changed them meanwhile.
CREATE TABLE people_state (
    one    bigint NOT NULL PRIMARY KEY CHECK (one = 1),
    -- Of the last change of a person.
    change bigint NOT NULL,
    -- The last number that was given to a person, to particulars, to a decision or an event.
    number bigint NOT NULL
);
INSERT INTO people_state VALUES (1, 0, 0);

-- Documents whose person is still to be found.
CREATE TABLE people_todo (
    document bigint NOT NULL PRIMARY KEY
);
INSERT INTO people_todo SELECT number FROM document WHERE kind IN ('record', 'registration');

CREATE TABLE person (
    number bigint NOT NULL PRIMARY KEY,
    -- What is matched of the person, sealed; empty where the person was joined to another.
    sealed bytea   NOT NULL,
    -- The person it was joined to; 0 if none.
    into_person bigint NOT NULL,
    -- Of its last change; followers read on from here.
    change bigint NOT NULL
);
CREATE UNIQUE INDEX person_change ON person (change);

-- What documents state of a person: once for all that state the same.
CREATE TABLE particulars (
    number bigint NOT NULL PRIMARY KEY,
    digest bytea   NOT NULL UNIQUE,
    -- Digest of name, birth date, sex and numbers alone: decisions are about these.
    core   bytea   NOT NULL,
    sealed bytea   NOT NULL,
    person bigint NOT NULL,
    at_ms  bigint NOT NULL
);
CREATE INDEX particulars_person ON particulars (person);
CREATE INDEX particulars_core ON particulars (core);

CREATE TABLE particulars_document (
    document    bigint NOT NULL PRIMARY KEY,
    -- 0: the document says too little.
    particulars bigint NOT NULL
);
CREATE INDEX particulars_document_of ON particulars_document (particulars);

-- How particulars came to a person and left one. Nothing is taken out.
CREATE TABLE person_event (
    number      bigint NOT NULL PRIMARY KEY,
    at_ms       bigint NOT NULL,
    -- `new`, `linked`, `review`, `same`, `different` or `undone`.
    action      text COLLATE "C" NOT NULL,
    particulars bigint NOT NULL,
    from_person bigint NOT NULL,
    to_person   bigint NOT NULL,
    -- The decision by hand that it follows from; 0 if none.
    decision    bigint NOT NULL,
    -- Who; empty for the program.
    by_whom     text COLLATE "C" NOT NULL,
    -- Why, as JSON of the matcher's explanation, or the note of whoever decided.
    reason      text COLLATE "C" NOT NULL
);
CREATE INDEX person_event_from ON person_event (from_person);
CREATE INDEX person_event_to ON person_event (to_person);
CREATE INDEX person_event_decision ON person_event (decision);

-- Particulars about which somebody must decide.
CREATE TABLE person_review (
    number      bigint NOT NULL PRIMARY KEY,
    particulars bigint NOT NULL,
    -- JSON: persons and explanations, the likeliest first.
    candidates  text COLLATE "C" NOT NULL,
    at_ms       bigint NOT NULL,
    -- 0: open.
    closed_ms   bigint NOT NULL,
    -- `same`, `different`, `settled`; empty while it is open.
    outcome     text COLLATE "C" NOT NULL
);
CREATE INDEX person_review_open ON person_review (closed_ms, number);
CREATE INDEX person_review_of ON person_review (particulars);

-- What was decided by hand about two cores; the smaller one first.
CREATE TABLE person_decision (
    -- Several rows may belong to one decision.
    decision  bigint NOT NULL,
    core_a    bytea   NOT NULL,
    core_b    bytea   NOT NULL,
    same      boolean NOT NULL,
    -- 0: it stands.
    undone_ms bigint NOT NULL,
    PRIMARY KEY (decision, core_a, core_b)
);
CREATE INDEX person_decision_a ON person_decision (core_a);
CREATE INDEX person_decision_b ON person_decision (core_b);

CREATE INDEX registration_document ON registration (document);
