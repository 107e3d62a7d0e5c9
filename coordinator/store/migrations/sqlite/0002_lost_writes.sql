-- A database that comes back without what it acknowledged is noticed. Once released this file is never changed.

-- How many batches each line (a lane of one run of a node) has written, in each incarnation of the database.
CREATE TABLE lines (
    incarnation INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    batches     INTEGER NOT NULL,
    at          INTEGER NOT NULL, -- of the last one
    PRIMARY KEY (incarnation, line)
) STRICT, WITHOUT ROWID;

-- What was acknowledged and is missing, until an operator accepts it.
CREATE TABLE losses (
    incarnation INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    batches     INTEGER NOT NULL, -- acknowledged
    at          INTEGER NOT NULL, -- when the last of those was written
    found       INTEGER,          -- batches that were there instead; NULL: the line is not known
    kept_until  INTEGER,          -- the newest batch that is there of the time before `at`; NULL: none is
    noticed_at  INTEGER NOT NULL,
    noticed_by  TEXT    NOT NULL,
    PRIMARY KEY (incarnation, line)
) STRICT, WITHOUT ROWID;
