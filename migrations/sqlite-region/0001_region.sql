-- What the nodes of a region have published of their studies, at the hub. All of it can be told
-- again by the nodes.

CREATE TABLE region_node (
    node       TEXT    NOT NULL PRIMARY KEY,
    -- The last telling of the whole index that came to its end, and the change it stands at.
    generation TEXT    NOT NULL DEFAULT '',
    complete   INTEGER NOT NULL DEFAULT 0,
    cursor     TEXT    NOT NULL DEFAULT '',
    indexed_ms INTEGER NOT NULL DEFAULT 0,
    seen_ms    INTEGER NOT NULL DEFAULT 0,
    studies    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE region_study (
    id         INTEGER PRIMARY KEY,
    node       TEXT    NOT NULL REFERENCES region_node (node),
    uid        TEXT    NOT NULL,
    generation TEXT    NOT NULL,
    -- Date and time of the study, to order by.
    moment     TEXT    NOT NULL,
    -- The application's own JSON.
    study      TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX region_study_uid ON region_study (node, uid);
CREATE INDEX region_study_generation ON region_study (node, generation);

-- A key is a digest of a patient ID, of name and birth date, or of a study's UID.
CREATE TABLE region_key (
    key   BLOB    NOT NULL,
    study INTEGER NOT NULL REFERENCES region_study (id) ON DELETE CASCADE,
    PRIMARY KEY (key, study)
) STRICT, WITHOUT ROWID;
CREATE INDEX region_key_study ON region_key (study);

CREATE TRIGGER region_study_added AFTER INSERT ON region_study BEGIN
    UPDATE region_node SET studies = studies + 1 WHERE node = NEW.node;
END;
CREATE TRIGGER region_study_gone AFTER DELETE ON region_study BEGIN
    UPDATE region_node SET studies = studies - 1 WHERE node = OLD.node;
END;
