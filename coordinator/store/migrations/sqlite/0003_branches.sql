-- TCC. Once released this file is never changed.

ALTER TABLE transactions ADD COLUMN branches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN untried  INTEGER NOT NULL DEFAULT 0; -- Trys that the coordinator still has to run

-- The small row that each step of a branch rewrites.
CREATE TABLE branches (
    transaction_id BLOB    NOT NULL,
    ordinal        INTEGER NOT NULL,
    format         INTEGER NOT NULL, -- the version of this row's meaning
    namespace      TEXT    NOT NULL,
    service        TEXT    NOT NULL,
    state          INTEGER NOT NULL, -- 1 registered, 2 trying, 3 tried, 4 pending, 5 done, 6 parked
    attempts       INTEGER NOT NULL, -- of the call that it waits for
    due            INTEGER,          -- NULL: nothing is to be called
    created_at     INTEGER NOT NULL,
    done_at        INTEGER,
    parked         TEXT,             -- why
    holder         INTEGER,          -- epoch of the node that leases it; NULL: free
    token          INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX branches_id ON branches (transaction_id, ordinal);
-- Claims, and the leases to free: by participant, then by holder (the free ones, NULL, first), then the longest due.
CREATE INDEX branches_due ON branches (namespace, service, holder, due) WHERE due IS NOT NULL;

-- What a branch says: inserted once and never changed. The payload comes last, so that nothing else is read through it.
CREATE TABLE branch_contents (
    transaction_id BLOB    NOT NULL,
    ordinal        INTEGER NOT NULL,
    action         TEXT    NOT NULL,
    resource_id    TEXT    NOT NULL,
    content_type   TEXT    NOT NULL,
    payload        BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX branch_contents_id ON branch_contents (transaction_id, ordinal);

ALTER TABLE attempts ADD COLUMN branch_call INTEGER; -- 1 try, 2 confirm, 3 cancel, of the branch `ordinal`; NULL: of no branch
