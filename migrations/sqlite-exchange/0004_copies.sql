-- Objects that were fetched from other nodes. Everything that has no row here is the node's own.

-- One copy. own: whether it has become the node's own since, because its own sender sent it; such a
-- row stays, so that catching up does not take the object for a copy again.
CREATE TABLE copy (
    digest   BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    study    TEXT    NOT NULL,
    instance TEXT    NOT NULL,
    node     TEXT    NOT NULL,
    bytes    INTEGER NOT NULL,
    apart    INTEGER NOT NULL,
    kept_ms  INTEGER NOT NULL,
    own      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX copy_of_study ON copy (study) WHERE own = 0;

-- Studies of which there are copies; the triggers below keep objects and bytes.
CREATE TABLE copied_study (
    study   TEXT    NOT NULL PRIMARY KEY,
    objects INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    used_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX copied_study_used ON copied_study (used_ms);

CREATE TRIGGER copy_kept AFTER INSERT ON copy WHEN NEW.own = 0 BEGIN
    INSERT INTO copied_study (study, objects, bytes, used_ms)
    VALUES (NEW.study, 1, NEW.bytes, NEW.kept_ms)
    ON CONFLICT (study) DO UPDATE SET objects = objects + 1, bytes = bytes + NEW.bytes,
        used_ms = max(used_ms, NEW.kept_ms);
END;

CREATE TRIGGER copy_owned AFTER UPDATE OF own ON copy WHEN OLD.own = 0 AND NEW.own <> 0 BEGIN
    UPDATE copied_study SET objects = objects - 1, bytes = bytes - OLD.bytes
    WHERE study = OLD.study;
    DELETE FROM copied_study WHERE study = OLD.study AND objects <= 0;
END;

CREATE TRIGGER copy_gone AFTER DELETE ON copy WHEN OLD.own = 0 BEGIN
    UPDATE copied_study SET objects = objects - 1, bytes = bytes - OLD.bytes
    WHERE study = OLD.study;
    DELETE FROM copied_study WHERE study = OLD.study AND objects <= 0;
END;
