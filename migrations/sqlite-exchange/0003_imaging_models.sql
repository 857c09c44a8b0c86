-- How far the change feed has been looked at for imaging models that run by themselves.
CREATE TABLE analysis_cursor (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    number   INTEGER NOT NULL,
    instance TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
