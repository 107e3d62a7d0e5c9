-- Two versions may run side by side. Once released this file is never changed.

-- The highest format of rows that the node understands: nothing newer is written while it lives. A program that doesn't
-- know this column understands the first.
ALTER TABLE nodes ADD COLUMN format smallint NOT NULL DEFAULT 1;
