-- Message confirmation. Once released this file is never changed: changes are new files after it.
--
-- Times are microseconds since 1970 UTC, durations microseconds, ids UUIDv7. What is compared is VARBINARY: case and trailing
-- spaces count in names, as they do everywhere else, and no collation gets between a column and its index. TEXT is for people.
-- There are no partial indexes here, so an index begins with the phase or state that tells what is over from what is not.
-- Each statement may run again after a crash: DDL commits by itself.

-- The small row that each step rewrites.
CREATE TABLE IF NOT EXISTS transactions (
    id                    BINARY(16)      NOT NULL PRIMARY KEY,
    format                SMALLINT        NOT NULL, -- the version of this row's meaning
    namespace             VARBINARY(128)  NOT NULL,
    initiator             VARBINARY(128),           -- NULL: a tombstone whose initiator is not known
    resource_id           TEXT            NOT NULL,
    business_key          VARBINARY(2048) NOT NULL,
    content               VARBINARY(64),            -- version of the hash (1 byte), SHA-256; NULL: a tombstone
    message_count         BIGINT          NOT NULL,
    traceparent           TEXT            NOT NULL,
    created_at            BIGINT          NOT NULL,
    check_after           BIGINT          NOT NULL,
    outcome               SMALLINT        NOT NULL, -- 1 local, 2 asked, 3 none
    on_budget_spent       SMALLINT        NOT NULL, -- 1 park, 2 cancel
    check_back_budget     BIGINT          NOT NULL,
    allow_no_subscription TINYINT         NOT NULL,
    phase                 SMALLINT        NOT NULL, -- 1 PREPARED, 2 CONFIRMING, 3 CONFIRMED, 4 CANCELLING, 5 CANCELLED
    parked                TEXT,                     -- why; NULL: not parked
    in_progress_answers   BIGINT          NOT NULL,
    unanswered            BIGINT          NOT NULL,
    open_effects          BIGINT          NOT NULL,
    parked_effects        BIGINT          NOT NULL,
    decided_at            BIGINT,
    decided_by            TEXT,
    finished_at           BIGINT,
    check_due             BIGINT,                   -- NULL: no check-back is due
    check_attempts        BIGINT          NOT NULL,
    holder                BIGINT          NOT NULL, -- epoch of the node that leases the check-back; -1: free
    token                 BIGINT          NOT NULL,
    revision              BIGINT          NOT NULL,
    -- Claims, and the leases to free: by target, then by holder (the free ones first), then the longest due. And lists and
    -- counts of what is not over, without the history.
    KEY transactions_due (phase, namespace, initiator, holder, check_due),
    KEY transactions_business_key (business_key)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Inserted once and never changed.
CREATE TABLE IF NOT EXISTS messages (
    transaction_id   BINARY(16)     NOT NULL,
    ordinal          BIGINT         NOT NULL,
    topic            VARBINARY(255) NOT NULL,
    message_key      TEXT           NOT NULL,
    content_type     TEXT           NOT NULL,
    content_encoding TEXT           NOT NULL,
    key_id           TEXT           NOT NULL,
    headers          MEDIUMTEXT     NOT NULL, -- a JSON object; empty: no headers
    payload          LONGBLOB       NOT NULL,
    PRIMARY KEY (transaction_id, ordinal)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS deliveries (
    transaction_id BINARY(16)     NOT NULL,
    ordinal        BIGINT         NOT NULL,
    subscription   VARBINARY(128) NOT NULL, -- empty: the topic had none
    format         SMALLINT       NOT NULL, -- the version of this row's meaning
    namespace      VARBINARY(128) NOT NULL,
    state          SMALLINT       NOT NULL, -- 1 pending, 2 done, 3 parked
    attempts       BIGINT         NOT NULL,
    due            BIGINT,                  -- NULL: done, parked, or behind another message of its key
    created_at     BIGINT         NOT NULL,
    done_at        BIGINT,
    parked         TEXT,                    -- why
    order_key      VARBINARY(2048),         -- NULL: no order
    order_position BIGINT,
    order_done     TINYINT,                 -- 1: done; NULL: no order
    holder         BIGINT         NOT NULL, -- epoch of the node that leases it; -1: free
    token          BIGINT         NOT NULL,
    PRIMARY KEY (transaction_id, ordinal, subscription),
    -- All that is owed stands apart from what is done: for claims, the leases to free, and the backlog.
    KEY deliveries_owed (state, namespace, subscription, holder, due, created_at),
    -- The highest position of an ordered key, and its first one that is not done: a key's long history is not walked through.
    KEY deliveries_order (namespace, subscription, order_key, order_done, order_position)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A row to lock for whoever gives out positions in an ordered key; it says nothing else.
CREATE TABLE IF NOT EXISTS ordered_keys (
    namespace    VARBINARY(128)  NOT NULL,
    subscription VARBINARY(128)  NOT NULL,
    order_key    VARBINARY(2048) NOT NULL,
    PRIMARY KEY (namespace, subscription, order_key)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Calls that did not succeed.
CREATE TABLE IF NOT EXISTS attempts (
    id             BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    transaction_id BINARY(16)     NOT NULL,
    ordinal        BIGINT,         -- NULL: a check-back
    subscription   VARBINARY(128), -- NULL: a check-back; empty: none
    number         BIGINT         NOT NULL,
    at             BIGINT         NOT NULL,
    node           TEXT           NOT NULL,
    target         TEXT           NOT NULL,
    code           TEXT           NOT NULL,
    error          MEDIUMTEXT     NOT NULL,
    duration       BIGINT         NOT NULL,
    KEY attempts_transaction (transaction_id, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What operators did.
CREATE TABLE IF NOT EXISTS audit (
    id             BIGINT     NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at             BIGINT     NOT NULL,
    actor          TEXT       NOT NULL,
    action         TEXT       NOT NULL,
    transaction_id BINARY(16),
    detail         MEDIUMTEXT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS subscriptions (
    namespace        VARBINARY(128) NOT NULL,
    name             VARBINARY(128) NOT NULL,
    topic            VARBINARY(255) NOT NULL,
    destination      MEDIUMTEXT     NOT NULL, -- JSON
    ordered          TINYINT        NOT NULL,
    paused           TINYINT        NOT NULL,
    concurrency      BIGINT         NOT NULL,
    timeout          BIGINT         NOT NULL,
    retry_initial    BIGINT         NOT NULL,
    retry_multiplier BIGINT         NOT NULL, -- in thousandths
    retry_cap        BIGINT         NOT NULL,
    updated_at       BIGINT         NOT NULL,
    PRIMARY KEY (namespace, name),
    KEY subscriptions_topic (namespace, topic, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS services (
    namespace  VARBINARY(128) NOT NULL,
    name       VARBINARY(128) NOT NULL,
    endpoints  MEDIUMTEXT     NOT NULL, -- JSON, the newest first
    updated_at BIGINT         NOT NULL,
    PRIMARY KEY (namespace, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Runs of nodes that are alive. An epoch is never given twice.
CREATE TABLE IF NOT EXISTS nodes (
    epoch      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name       TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    -- The highest format of rows that the node understands: nothing newer is written while it lives.
    format     SMALLINT NOT NULL DEFAULT 1
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Single facts, such as the purge horizon.
CREATE TABLE IF NOT EXISTS meta (
    name  VARBINARY(128) NOT NULL PRIMARY KEY,
    value BIGINT         NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
