-- Day of discharge that a record says, ISO 8601; empty where not known. Records of one person that say
-- the same day are about one stay, as the front sheet and the summary of it are.
ALTER TABLE document ADD COLUMN discharged TEXT NOT NULL DEFAULT '';
-- What records from before say of it.
UPDATE document SET discharged = substr(json_extract(reading_json, '$.record.stay.discharged'), 1, 10)
WHERE kind = 'record' AND json_valid(reading_json)
    AND length(json_extract(reading_json, '$.record.stay.discharged')) >= 10;
CREATE INDEX document_of_stay ON document (discharged, patient) WHERE current = 1 AND discharged <> '';

-- Name of another record of the stay, of which a task stands for this one; empty if none does.
ALTER TABLE task ADD COLUMN covered_by TEXT NOT NULL DEFAULT '';
