-- Whose the name of a record is: the first that used it. Numbers of documents are not unique between
-- hospitals, so a version counts as one of the record only if it is from the same node and institution.
CREATE TABLE record_name (
    name   TEXT NOT NULL PRIMARY KEY,
    -- The node that handed its first document over.
    node   TEXT NOT NULL,
    -- The institution that the first document names: its code, else its name folded; empty where not known.
    author TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO record_name (name, node, author)
SELECT d.name, d.node, '' FROM document d
WHERE d.number IN (SELECT min(number) FROM document WHERE kind = 'record' GROUP BY name);
