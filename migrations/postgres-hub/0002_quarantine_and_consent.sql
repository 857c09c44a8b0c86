-- What was put aside can be named, and somebody says what came of it: the original stays. And what people
-- took back of their consent.

ALTER TABLE quarantine ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX quarantine_id ON quarantine (id);
-- When it was dealt with; 0 if not yet.
ALTER TABLE quarantine ADD COLUMN settled_ms bigint NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN settled_by text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN finding text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX quarantine_open ON quarantine (id) WHERE settled_ms = 0;

-- What was said last of a person's consent, in which document: of all records (record is empty) or of
-- one. Later is the higher version, then the later time, then the higher digest.
CREATE TABLE consent (
    key      bytea NOT NULL,
    name     text COLLATE "C" NOT NULL,
    version  bigint NOT NULL,
    at_ms    bigint NOT NULL,
    sha256   bytea NOT NULL,
    given    boolean NOT NULL,
    record   text COLLATE "C" NOT NULL,
    document bigint NOT NULL,
    PRIMARY KEY (key, name)
);
