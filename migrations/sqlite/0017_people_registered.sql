-- Registrations are found by the person's name. Names that are not written as they are compared (full width,
-- capitals) are found from the next registration on.
UPDATE document SET patient = trim(json_extract(CAST(body AS TEXT), '$.person.name'))
WHERE kind = 'registration' AND patient = '' AND json_valid(CAST(body AS TEXT))
AND json_type(CAST(body AS TEXT), '$.person.name') = 'text';
