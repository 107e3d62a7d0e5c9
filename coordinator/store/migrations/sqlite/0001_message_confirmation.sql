-- Message confirmation. Once released this file is never changed: changes are new files after it.
--
-- Times are microseconds since 1970 UTC, durations microseconds, ids 16 bytes (UUIDv7). Tables keep their rowid:
-- rows of about 1 KiB overflow the pages of a WITHOUT ROWID table. Every index here is written on the way of
-- every transaction, unless it is partial and the row is not in it.

-- The small row that each step rewrites.
CREATE TABLE transactions (
    id                    BLOB    NOT NULL,
    format                INTEGER NOT NULL, -- the version of this row's meaning
    namespace             TEXT    NOT NULL,
    initiator             TEXT,             -- NULL: a tombstone whose initiator is not known
    resource_id           TEXT    NOT NULL,
    business_key          TEXT    NOT NULL,
    content               BLOB,             -- version of the hash (1 byte), SHA-256; NULL: a tombstone
    message_count         INTEGER NOT NULL,
    traceparent           TEXT    NOT NULL,
    created_at            INTEGER NOT NULL,
    check_after           INTEGER NOT NULL,
    outcome               INTEGER NOT NULL, -- 1 local, 2 asked, 3 none
    on_budget_spent       INTEGER NOT NULL, -- 1 park, 2 cancel
    check_back_budget     INTEGER NOT NULL,
    allow_no_subscription INTEGER NOT NULL,
    phase                 INTEGER NOT NULL, -- 1 PREPARED, 2 CONFIRMING, 3 CONFIRMED, 4 CANCELLING, 5 CANCELLED
    parked                TEXT,             -- why; NULL: not parked
    in_progress_answers   INTEGER NOT NULL,
    unanswered            INTEGER NOT NULL,
    open_effects          INTEGER NOT NULL,
    parked_effects        INTEGER NOT NULL,
    decided_at            INTEGER,
    decided_by            TEXT,
    finished_at           INTEGER,
    check_due             INTEGER,          -- NULL: no check-back is due
    check_attempts        INTEGER NOT NULL,
    holder                INTEGER,          -- epoch of the node that leases the check-back; NULL: free
    token                 INTEGER NOT NULL,
    revision              INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX transactions_id ON transactions (id);
-- Claims, and the leases to free: by target, then by holder (the free ones, NULL, first), then the longest due.
CREATE INDEX transactions_due ON transactions (namespace, initiator, holder, check_due) WHERE check_due IS NOT NULL;
-- Lists and counts of what is not over, without the history.
CREATE INDEX transactions_unfinished ON transactions (phase, id, finished_at) WHERE finished_at IS NULL;
CREATE INDEX transactions_parked ON transactions (id) WHERE parked IS NOT NULL OR parked_effects > 0;
CREATE INDEX transactions_business_key ON transactions (business_key, id) WHERE business_key <> '';

-- Inserted once and never changed. The payload comes last, so that nothing else is read through it.
CREATE TABLE messages (
    transaction_id   BLOB    NOT NULL,
    ordinal          INTEGER NOT NULL,
    topic            TEXT    NOT NULL,
    key              TEXT    NOT NULL,
    content_type     TEXT    NOT NULL,
    content_encoding TEXT    NOT NULL,
    key_id           TEXT    NOT NULL,
    headers          TEXT    NOT NULL, -- a JSON object; empty: no headers
    payload          BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_id ON messages (transaction_id, ordinal);

CREATE TABLE deliveries (
    transaction_id BLOB    NOT NULL,
    ordinal        INTEGER NOT NULL,
    subscription   TEXT    NOT NULL, -- empty: the topic had none
    format         INTEGER NOT NULL, -- the version of this row's meaning
    namespace      TEXT    NOT NULL,
    state          INTEGER NOT NULL, -- 1 pending, 2 done, 3 parked
    attempts       INTEGER NOT NULL,
    due            INTEGER,          -- NULL: done, parked, or behind another message of its key
    created_at     INTEGER NOT NULL,
    done_at        INTEGER,
    parked         TEXT,             -- why
    order_key      TEXT,             -- NULL: no order
    order_position INTEGER,
    holder         INTEGER,          -- epoch of the node that leases it; NULL: free
    token          INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_id ON deliveries (transaction_id, ordinal, subscription);
-- All that is owed, and nothing that is done. Claims and the leases to free, as above; the last three columns are
-- for the backlog, which then reads this index alone.
CREATE INDEX deliveries_owed ON deliveries (namespace, subscription, holder, due, state, created_at, done_at)
    WHERE done_at IS NULL;
-- The highest position of an ordered key.
CREATE INDEX deliveries_order ON deliveries (namespace, subscription, order_key, order_position)
    WHERE order_key IS NOT NULL;
-- Its first one that is not done: apart, so that a key's long history is not walked through.
CREATE INDEX deliveries_order_owed ON deliveries (namespace, subscription, order_key, order_position)
    WHERE order_key IS NOT NULL AND done_at IS NULL;

-- Calls that did not succeed.
CREATE TABLE attempts (
    id             INTEGER PRIMARY KEY,
    transaction_id BLOB    NOT NULL,
    ordinal        INTEGER,          -- NULL: a check-back
    subscription   TEXT,             -- NULL: a check-back; empty: none
    number         INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    node           TEXT    NOT NULL,
    target         TEXT    NOT NULL,
    code           TEXT    NOT NULL,
    error          TEXT    NOT NULL,
    duration       INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_transaction ON attempts (transaction_id);

-- What operators did.
CREATE TABLE audit (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    at             INTEGER NOT NULL,
    actor          TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    transaction_id BLOB,
    detail         TEXT    NOT NULL
) STRICT;

CREATE TABLE subscriptions (
    namespace        TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    topic            TEXT    NOT NULL,
    destination      TEXT    NOT NULL, -- JSON
    ordered          INTEGER NOT NULL,
    paused           INTEGER NOT NULL,
    concurrency      INTEGER NOT NULL,
    timeout          INTEGER NOT NULL,
    retry_initial    INTEGER NOT NULL,
    retry_multiplier INTEGER NOT NULL, -- in thousandths
    retry_cap        INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_topic ON subscriptions (namespace, topic, name);

CREATE TABLE services (
    namespace  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    endpoints  TEXT    NOT NULL, -- JSON, the newest first
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- Runs of nodes that are alive. AUTOINCREMENT: an epoch is never given twice.
CREATE TABLE nodes (
    epoch      INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Single facts, such as the purge horizon.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
