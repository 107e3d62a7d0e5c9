-- A database that comes back without what it acknowledged is noticed. Once released this file is never changed.

-- How many batches each line (a lane of one run of a node) has written, in each incarnation of the database. (`lines` is a word
-- of SQL's here.)
CREATE TABLE IF NOT EXISTS `lines` (
    incarnation BIGINT NOT NULL,
    line        BIGINT NOT NULL,
    batches     BIGINT NOT NULL,
    at          BIGINT NOT NULL, -- of the last one
    PRIMARY KEY (incarnation, line)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What was acknowledged and is missing, until an operator accepts it.
CREATE TABLE IF NOT EXISTS losses (
    incarnation BIGINT NOT NULL,
    line        BIGINT NOT NULL,
    batches     BIGINT NOT NULL, -- acknowledged
    at          BIGINT NOT NULL, -- when the last of those was written
    found       BIGINT,          -- batches that were there instead; NULL: the line is not known
    kept_until  BIGINT,          -- the newest batch that is there of the time before `at`; NULL: none is
    noticed_at  BIGINT NOT NULL,
    noticed_by  TEXT   NOT NULL,
    PRIMARY KEY (incarnation, line)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
