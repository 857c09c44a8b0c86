-- What was said of a person's consent for one record, or for all (''). Whose it is stands there as it does
-- for a grant, so that a word counts for every record of the person, by whichever number it was said. The
-- last counts: of the higher version, then the later time, then the higher digest. Never changed.
CREATE TABLE consent_word (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    record    TEXT    NOT NULL,
    -- The name folded, and digests; empty where not known. Of before there is a digest without a name.
    name      TEXT    NOT NULL,
    resident  TEXT    NOT NULL,
    card      TEXT    NOT NULL,
    born      TEXT    NOT NULL,
    only      TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    sha256    BLOB    NOT NULL CHECK (length(sha256) = 32),
    given     INTEGER NOT NULL CHECK (given IN (0, 1)),
    -- Since when it counts here: clocks differ.
    counts_ms INTEGER NOT NULL,
    -- Who wrote it down here; empty where it came from elsewhere.
    said_by   TEXT    NOT NULL
) STRICT;
CREATE INDEX consent_word_of ON consent_word (name, record);

INSERT INTO consent_word (record, name, resident, card, born, only, version, at_ms, sha256, given,
    counts_ms, said_by)
SELECT s.record, '', '', '', '', s.person, s.version, s.at_ms, s.sha256,
    w.from_ms IS NULL, coalesce(w.from_ms, s.at_ms), ''
FROM consent_said s LEFT JOIN (SELECT person, record, max(from_ms) AS from_ms FROM consent_withdrawal
    WHERE until_ms IS NULL GROUP BY person, record) w ON w.person = s.person AND w.record = s.record;
-- Taken back before it was said by documents.
INSERT INTO consent_word (record, name, resident, card, born, only, version, at_ms, sha256, given,
    counts_ms, said_by)
SELECT w.record, '', '', '', '', w.person, 0, max(w.from_ms), zeroblob(32), 0, max(w.from_ms), ''
FROM consent_withdrawal w WHERE w.until_ms IS NULL AND NOT EXISTS (SELECT 1 FROM consent_said s
    WHERE s.person = w.person AND s.record = w.record) GROUP BY w.person, w.record;
-- What was taken back before stays as it was, to be looked at.
DROP TABLE consent_said;
