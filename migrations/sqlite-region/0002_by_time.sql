-- Studies of a month are counted without reading them.
CREATE INDEX region_study_moment ON region_study (moment, node);
