-- TCC. Once released this file is never changed.
--
-- Rows of transactions with branches, and their deliveries, are of format 2. All columns of a table come in one statement, which
-- is done as a whole or not at all: where they are there, it is passed over.

-- `untried`: Trys that the coordinator still has to run.
ALTER TABLE transactions ADD COLUMN branches BIGINT NOT NULL DEFAULT 0, ADD COLUMN untried BIGINT NOT NULL DEFAULT 0;

-- 1 try, 2 confirm, 3 cancel, of the branch `ordinal`; NULL: of no branch.
ALTER TABLE attempts ADD COLUMN branch_call SMALLINT;

-- The small row that each step of a branch rewrites.
CREATE TABLE IF NOT EXISTS branches (
    transaction_id BINARY(16)     NOT NULL,
    ordinal        BIGINT         NOT NULL,
    format         SMALLINT       NOT NULL, -- the version of this row's meaning
    namespace      VARBINARY(128) NOT NULL,
    service        VARBINARY(128) NOT NULL,
    state          SMALLINT       NOT NULL, -- 1 registered, 2 trying, 3 tried, 4 pending, 5 done, 6 parked
    attempts       BIGINT         NOT NULL, -- of the call that it waits for
    due            BIGINT,                  -- NULL: nothing is to be called
    created_at     BIGINT         NOT NULL,
    done_at        BIGINT,
    parked         TEXT,                    -- why
    holder         BIGINT         NOT NULL, -- epoch of the node that leases it; -1: free
    token          BIGINT         NOT NULL,
    is_due         TINYINT        NOT NULL, -- 1: `due` is not NULL
    PRIMARY KEY (transaction_id, ordinal),
    -- Claims, and the leases to free: what is to be called stands apart; by participant, then by holder (the free ones first),
    -- then the longest due.
    KEY branches_due (is_due, namespace, service, holder, due)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What a branch says: inserted once and never changed.
CREATE TABLE IF NOT EXISTS branch_contents (
    transaction_id BINARY(16)     NOT NULL,
    ordinal        BIGINT         NOT NULL,
    action         VARBINARY(128) NOT NULL,
    resource_id    TEXT           NOT NULL,
    content_type   TEXT           NOT NULL,
    payload        LONGBLOB       NOT NULL,
    PRIMARY KEY (transaction_id, ordinal)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
