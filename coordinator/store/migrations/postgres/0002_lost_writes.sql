-- A database that comes back without what it acknowledged is noticed. Once released this file is never changed.

-- How many batches each line (a lane of one run of a node) has written, in each incarnation of the database. The count
-- is part of the key: each batch moves the row to the next key, so that a snapshot that is held open for long, and the
-- dead versions that it keeps, never stand between a batch and its line.
CREATE TABLE lines (
    incarnation bigint NOT NULL,
    line        bigint NOT NULL,
    batches     bigint NOT NULL,
    at          bigint NOT NULL, -- of the last one
    PRIMARY KEY (incarnation, line, batches)
);

-- What was acknowledged and is missing, until an operator accepts it.
CREATE TABLE losses (
    incarnation bigint NOT NULL,
    line        bigint NOT NULL,
    batches     bigint NOT NULL, -- acknowledged
    at          bigint NOT NULL, -- when the last of those was written
    found       bigint,          -- batches that were there instead; NULL: the line is not known
    kept_until  bigint,          -- the newest batch that is there of the time before `at`; NULL: none is
    noticed_at  bigint NOT NULL,
    noticed_by  text   NOT NULL,
    PRIMARY KEY (incarnation, line)
);
