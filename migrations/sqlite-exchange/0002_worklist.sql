-- The modality worklist and the steps that modalities report as performed.

-- state: 0 scheduled, 1 in progress, 2 completed, 3 discontinued, 4 cancelled.
CREATE TABLE worklist (
    step_id    TEXT    NOT NULL PRIMARY KEY,
    state      INTEGER NOT NULL,
    start_date TEXT    NOT NULL,
    start_time TEXT    NOT NULL,
    study      TEXT    NOT NULL,
    performed  TEXT    NOT NULL DEFAULT '',
    item       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX worklist_moment ON worklist (start_date, start_time, step_id);
CREATE INDEX worklist_study ON worklist (study);

-- progress: 1 in progress, 2 completed, 3 discontinued. elements: explicit VR little endian, UTF-8.
CREATE TABLE performed (
    instance   TEXT    NOT NULL PRIMARY KEY,
    progress   INTEGER NOT NULL,
    elements   BLOB    NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
