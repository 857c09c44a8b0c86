-- Where whoever made a record works: the smallest division (2 to 12 digits) that holds all of it. Empty: the
-- whole node, or a record of before. Who works for a part of the node's places reads only what was made there.
ALTER TABLE record ADD COLUMN area TEXT NOT NULL DEFAULT '';
