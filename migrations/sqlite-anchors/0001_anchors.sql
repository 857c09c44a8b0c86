-- At the hub: signed heads of the audit trails of nodes. Whatever a node says is kept; none is changed.
CREATE TABLE anchor (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    node      TEXT    NOT NULL,
    chain     TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    sha256    BLOB    NOT NULL CHECK (length(sha256) = 32),
    sm3       BLOB    NOT NULL CHECK (length(sm3) = 32),
    -- By the node's clock.
    at_ms     INTEGER NOT NULL,
    key       BLOB    NOT NULL CHECK (length(key) = 32),
    signature BLOB    NOT NULL CHECK (length(signature) = 64),
    -- By the hub's clock.
    taken_ms  INTEGER NOT NULL,
    -- What it is to those before: 'fits', 'other_chain', 'lower', 'differs'.
    taken_as  TEXT    NOT NULL
) STRICT;
CREATE INDEX anchor_of_chain ON anchor (node, chain, number);
CREATE INDEX anchor_unfit ON anchor (taken_as) WHERE taken_as <> 'fits';

CREATE TRIGGER anchor_is_not_deleted BEFORE DELETE ON anchor BEGIN
    SELECT RAISE(ABORT, 'anchors are never deleted');
END;
CREATE TRIGGER anchor_is_not_changed BEFORE UPDATE ON anchor BEGIN
    SELECT RAISE(ABORT, 'anchors are never changed');
END;
