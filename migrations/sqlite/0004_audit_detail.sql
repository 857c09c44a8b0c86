-- Why something was done, where that must be said: erasures and legal holds.
ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '';
