-- A node that encrypts what it keeps seals its patients here too: `sealed` has what their columns had, the
-- columns are empty, `identity` and `patient_id` are keyed digests, and `name_key` has no rows. The node
-- searches for names in its own memory.
ALTER TABLE patient ADD COLUMN sealed bytea NOT NULL DEFAULT '';
-- Name of the key; NULL where nothing is sealed.
ALTER TABLE state ADD COLUMN sealed_by bytea NULL;
