-- By how much a node's clock was ahead of the hub's when the node last said so, in milliseconds; less than
-- 0: behind; none: it has not said.
ALTER TABLE member ADD COLUMN clock_ahead_ms INTEGER;
