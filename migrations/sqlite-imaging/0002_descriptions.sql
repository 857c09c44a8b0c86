-- A hospital has few different descriptions: a pattern is tried on each of them once, and the
-- studies of those that fit are found here.
CREATE INDEX study_description ON study (description);
