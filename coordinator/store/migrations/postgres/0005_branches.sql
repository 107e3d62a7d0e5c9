-- TCC. Once released this file is never changed.

SET LOCAL lock_timeout = '60s';

-- Rows of transactions with branches, and their deliveries, are of format 2.
ALTER TABLE transactions ADD COLUMN branches bigint NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN untried bigint NOT NULL DEFAULT 0; -- Trys that the coordinator still has to run
ALTER TABLE attempts ADD COLUMN branch_call smallint; -- 1 try, 2 confirm, 3 cancel, of the branch `ordinal`; NULL: of no branch

-- The small row that each step of a branch rewrites.
CREATE TABLE branches (
    transaction_id uuid     NOT NULL,
    ordinal        bigint   NOT NULL,
    format         smallint NOT NULL, -- the version of this row's meaning
    namespace      text     COLLATE "C" NOT NULL,
    service        text     COLLATE "C" NOT NULL,
    state          smallint NOT NULL, -- 1 registered, 2 trying, 3 tried, 4 pending, 5 done, 6 parked
    attempts       bigint   NOT NULL, -- of the call that it waits for
    due            bigint,            -- NULL: nothing is to be called
    created_at     bigint   NOT NULL,
    done_at        bigint,
    parked         text,              -- why
    holder         bigint   NOT NULL, -- epoch of the node that leases it; -1: free
    token          bigint   NOT NULL,
    PRIMARY KEY (transaction_id, ordinal)
) WITH (fillfactor = 75);
-- Claims, and the leases to free: by participant, then by holder (the free ones first), then the longest due.
CREATE INDEX branches_due ON branches (namespace, service, holder, due) WHERE due IS NOT NULL;

-- What a branch says: inserted once and never changed.
CREATE TABLE branch_contents (
    transaction_id uuid   NOT NULL,
    ordinal        bigint NOT NULL,
    action         text   COLLATE "C" NOT NULL,
    resource_id    text   NOT NULL,
    content_type   text   NOT NULL,
    payload        bytea  NOT NULL,
    PRIMARY KEY (transaction_id, ordinal)
);
