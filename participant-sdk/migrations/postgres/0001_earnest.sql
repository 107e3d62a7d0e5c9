-- Earnest's tables in a service's own PostgreSQL database, in the first schema of the search_path. Running this again changes
-- nothing. CockroachDB and YugabyteDB take it as it is.
--
-- The service's own user needs no more than this (here for a user called cashier, who also needs USAGE on the schema):
--   GRANT SELECT, UPDATE ON earnest_resource TO cashier;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON earnest_fence TO cashier;
--   GRANT SELECT, INSERT, DELETE ON earnest_inbox TO cashier;

-- One row: which database this is, and how far back its fence and inbox remember.
CREATE TABLE IF NOT EXISTS earnest_resource (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    -- Random. Every call about a local transaction names it; another database answers "unknown".
    resource_id    TEXT    NOT NULL,
    -- Rows of transactions created before this were purged. Microseconds since 1970-01-01 UTC.
    horizon_us     BIGINT  NOT NULL,
    schema_version BIGINT  NOT NULL
);

INSERT INTO earnest_resource (id, resource_id, horizon_us, schema_version)
VALUES (1, replace(gen_random_uuid()::TEXT, '-', ''), 0, 1)
ON CONFLICT (id) DO NOTHING;

-- What became of local transactions.
CREATE TABLE IF NOT EXISTS earnest_fence (
    -- UUID version 7: sorts by time.
    transaction_id UUID    NOT NULL,
    -- 'outcome': the initiator's own local transaction. 'branch': a TCC branch at its participant.
    kind           TEXT    NOT NULL,
    -- Which branch; '' for an outcome.
    party          TEXT    NOT NULL,
    -- Of an outcome: 'committed' or 'rolled_back'. Of a branch: 'tried', 'confirmed' or 'cancelled'.
    state          TEXT    NOT NULL,
    -- The coordinator's time of the transaction, where it is known. Microseconds since 1970-01-01 UTC.
    created_us     BIGINT  NOT NULL,
    PRIMARY KEY (transaction_id, kind, party)
);

-- Messages that were taken.
CREATE TABLE IF NOT EXISTS earnest_inbox (
    transaction_id UUID    NOT NULL,
    ordinal        BIGINT  NOT NULL,
    subscription   TEXT    NOT NULL,
    created_us     BIGINT  NOT NULL,
    PRIMARY KEY (transaction_id, ordinal, subscription)
);
