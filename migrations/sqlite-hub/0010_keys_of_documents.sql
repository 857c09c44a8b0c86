-- Which keys a document has, so that what somebody said by one number counts by another.
CREATE INDEX document_key_of ON document_key (document);
