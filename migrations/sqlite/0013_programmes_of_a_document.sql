-- The programmes of one document: its primary key finds the documents of a programme. Every record that
-- came asked for those of each record of the same stay, and went through all of them.
CREATE INDEX document_programme_of ON document_programme (document);
