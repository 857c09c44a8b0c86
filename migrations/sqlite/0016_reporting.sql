-- What was told to the hub last of each month; numbers are a JSON list of names and numbers.
CREATE TABLE coverage_told (
    month    TEXT    NOT NULL PRIMARY KEY,
    place    TEXT    NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    numbers  TEXT    NOT NULL,
    -- When the hub took it.
    taken_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When the hub took a document; none of those that it took before this was written down.
ALTER TABLE outbox ADD COLUMN settled_ms INTEGER;
CREATE INDEX outbox_of_document ON outbox (document);

-- When the hub had a document that it sent on to this node at once; none of others.
ALTER TABLE document ADD COLUMN handed_ms INTEGER;

-- A month's answers are counted without going through all others.
CREATE INDEX record_by_kind_time ON record (kind, created_ms);
CREATE INDEX document_by_time ON document (kind, received_ms);
CREATE INDEX audit_by_time ON audit (at_ms);
CREATE INDEX task_by_day ON task (due_day);
