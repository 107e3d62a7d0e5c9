-- Message confirmation. Once released this file is never changed: changes are new files after it.
--
-- Times are microseconds since 1970 UTC, durations microseconds, ids UUIDv7. Names compare byte by byte
-- (COLLATE "C"), as they do everywhere else. Plain tables, indexes and identity columns, so that YugabyteDB and
-- CockroachDB take them, too. Every index here is written on the way of every transaction, unless it is partial and the
-- row is not in it. fillfactor: a rewritten row finds room on its own page.

-- The small row that each step rewrites.
CREATE TABLE transactions (
    id                    uuid     NOT NULL PRIMARY KEY,
    format                smallint NOT NULL, -- the version of this row's meaning
    namespace             text     COLLATE "C" NOT NULL,
    initiator             text     COLLATE "C",  -- NULL: a tombstone whose initiator is not known
    resource_id           text     NOT NULL,
    business_key          text     COLLATE "C" NOT NULL,
    content               bytea,             -- version of the hash (1 byte), SHA-256; NULL: a tombstone
    message_count         bigint   NOT NULL,
    traceparent           text     NOT NULL,
    created_at            bigint   NOT NULL,
    check_after           bigint   NOT NULL,
    outcome               smallint NOT NULL, -- 1 local, 2 asked, 3 none
    on_budget_spent       smallint NOT NULL, -- 1 park, 2 cancel
    check_back_budget     bigint   NOT NULL,
    allow_no_subscription boolean  NOT NULL,
    phase                 smallint NOT NULL, -- 1 PREPARED, 2 CONFIRMING, 3 CONFIRMED, 4 CANCELLING, 5 CANCELLED
    parked                text,              -- why; NULL: not parked
    in_progress_answers   bigint   NOT NULL,
    unanswered            bigint   NOT NULL,
    open_effects          bigint   NOT NULL,
    parked_effects        bigint   NOT NULL,
    decided_at            bigint,
    decided_by            text,
    finished_at           bigint,
    check_due             bigint,            -- NULL: no check-back is due
    check_attempts        bigint   NOT NULL,
    holder                bigint   NOT NULL, -- epoch of the node that leases the check-back; -1: free
    token                 bigint   NOT NULL,
    revision              bigint   NOT NULL
) WITH (fillfactor = 75);
-- Claims, and the leases to free: by target, then by holder (the free ones first), then the longest due.
CREATE INDEX transactions_due ON transactions (namespace, initiator, holder, check_due) WHERE check_due IS NOT NULL;
-- Lists and counts of what is not over, without the history.
CREATE INDEX transactions_unfinished ON transactions (phase, id) WHERE finished_at IS NULL;
CREATE INDEX transactions_parked ON transactions (id) WHERE parked IS NOT NULL OR parked_effects > 0;
CREATE INDEX transactions_business_key ON transactions (business_key, id) WHERE business_key <> '';

-- Inserted once and never changed.
CREATE TABLE messages (
    transaction_id   uuid    NOT NULL,
    ordinal          bigint  NOT NULL,
    topic            text    COLLATE "C" NOT NULL,
    message_key      text    NOT NULL,
    content_type     text    NOT NULL,
    content_encoding text    NOT NULL,
    key_id           text    NOT NULL,
    headers          text    NOT NULL, -- a JSON object; empty: no headers
    payload          bytea   NOT NULL,
    PRIMARY KEY (transaction_id, ordinal)
);

CREATE TABLE deliveries (
    transaction_id uuid     NOT NULL,
    ordinal        bigint   NOT NULL,
    subscription   text     COLLATE "C" NOT NULL, -- empty: the topic had none
    format         smallint NOT NULL, -- the version of this row's meaning
    namespace      text     COLLATE "C" NOT NULL,
    state          smallint NOT NULL, -- 1 pending, 2 done, 3 parked
    attempts       bigint   NOT NULL,
    due            bigint,            -- NULL: done, parked, or behind another message of its key
    created_at     bigint   NOT NULL,
    done_at        bigint,
    parked         text,              -- why
    order_key      text     COLLATE "C", -- NULL: no order
    order_position bigint,
    holder         bigint   NOT NULL, -- epoch of the node that leases it; -1: free
    token          bigint   NOT NULL,
    PRIMARY KEY (transaction_id, ordinal, subscription)
) WITH (fillfactor = 75);
-- All that is owed, and nothing that is done: for claims, the leases to free, and the backlog.
CREATE INDEX deliveries_owed ON deliveries (namespace, subscription, holder, due) WHERE done_at IS NULL;
-- The highest position of an ordered key.
CREATE INDEX deliveries_order ON deliveries (namespace, subscription, order_key, order_position)
    WHERE order_key IS NOT NULL;
-- Its first one that is not done: apart, so that a key's long history is not walked through.
CREATE INDEX deliveries_order_owed ON deliveries (namespace, subscription, order_key, order_position)
    WHERE order_key IS NOT NULL AND done_at IS NULL;

-- A row to lock for whoever gives out positions in an ordered key; it says nothing else.
CREATE TABLE ordered_keys (
    namespace    text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    order_key    text COLLATE "C" NOT NULL,
    PRIMARY KEY (namespace, subscription, order_key)
);

-- Calls that did not succeed.
CREATE TABLE attempts (
    id             bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    transaction_id uuid   NOT NULL,
    ordinal        bigint,          -- NULL: a check-back
    subscription   text,            -- NULL: a check-back; empty: none
    number         bigint NOT NULL,
    at             bigint NOT NULL,
    node           text   NOT NULL,
    target         text   NOT NULL,
    code           text   NOT NULL,
    error          text   NOT NULL,
    duration       bigint NOT NULL
);
CREATE INDEX attempts_transaction ON attempts (transaction_id, id);

-- What operators did.
CREATE TABLE audit (
    id             bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at             bigint NOT NULL,
    actor          text   NOT NULL,
    action         text   NOT NULL,
    transaction_id uuid,
    detail         text   NOT NULL
);

CREATE TABLE subscriptions (
    namespace        text    COLLATE "C" NOT NULL,
    name             text    COLLATE "C" NOT NULL,
    topic            text    COLLATE "C" NOT NULL,
    destination      text    NOT NULL, -- JSON
    ordered          boolean NOT NULL,
    paused           boolean NOT NULL,
    concurrency      bigint  NOT NULL,
    timeout          bigint  NOT NULL,
    retry_initial    bigint  NOT NULL,
    retry_multiplier bigint  NOT NULL, -- in thousandths
    retry_cap        bigint  NOT NULL,
    updated_at       bigint  NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX subscriptions_topic ON subscriptions (namespace, topic, name);

CREATE TABLE services (
    namespace  text   COLLATE "C" NOT NULL,
    name       text   COLLATE "C" NOT NULL,
    endpoints  text   NOT NULL, -- JSON, the newest first
    updated_at bigint NOT NULL,
    PRIMARY KEY (namespace, name)
);

-- Runs of nodes that are alive. An epoch is never given twice.
CREATE TABLE nodes (
    epoch      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name       text   NOT NULL,
    expires_at bigint NOT NULL
);

-- Single facts, such as the purge horizon.
CREATE TABLE meta (
    name  text   COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
