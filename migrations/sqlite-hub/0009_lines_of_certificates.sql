-- Which certificates come from each other: the serial number of the first of them, which was given for a
-- code. Of those of before: the last that was given for a code until then.
ALTER TABLE node_certificate ADD COLUMN line TEXT NOT NULL DEFAULT '';
UPDATE node_certificate SET line = coalesce(
    (SELECT first.serial FROM node_certificate AS first
     WHERE first.node = node_certificate.node AND first.code IS NOT NULL
     AND first.issued_ms <= node_certificate.issued_ms ORDER BY first.issued_ms DESC LIMIT 1),
    serial);
CREATE INDEX node_certificate_line ON node_certificate (line);
