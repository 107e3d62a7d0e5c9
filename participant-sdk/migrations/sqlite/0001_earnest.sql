-- Earnest's tables in a service's own SQLite database. Running this again changes nothing.

-- One row: which database this is, and how far back its fence and inbox remember.
CREATE TABLE IF NOT EXISTS earnest_resource (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    -- Random. Every call about a local transaction names it; another database answers "unknown".
    resource_id    TEXT    NOT NULL,
    -- Rows of transactions created before this were purged. Microseconds since 1970-01-01 UTC.
    horizon_us     INTEGER NOT NULL,
    schema_version INTEGER NOT NULL
);

INSERT INTO earnest_resource (id, resource_id, horizon_us, schema_version)
VALUES (1, lower(hex(randomblob(16))), 0, 1)
ON CONFLICT (id) DO NOTHING;

-- What became of local transactions.
CREATE TABLE IF NOT EXISTS earnest_fence (
    -- UUID version 7, 36 characters.
    transaction_id TEXT    NOT NULL,
    -- 'outcome': the initiator's own local transaction. 'branch': a TCC branch at its participant.
    kind           TEXT    NOT NULL,
    -- Which branch; '' for an outcome.
    party          TEXT    NOT NULL,
    -- Of an outcome: 'committed' or 'rolled_back'. Of a branch: 'tried', 'confirmed' or 'cancelled'.
    state          TEXT    NOT NULL,
    -- The coordinator's time of the transaction, where it is known. Microseconds since 1970-01-01 UTC.
    created_us     INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, kind, party)
) WITHOUT ROWID;

-- Messages that were taken.
CREATE TABLE IF NOT EXISTS earnest_inbox (
    transaction_id TEXT    NOT NULL,
    ordinal        INTEGER NOT NULL,
    subscription   TEXT    NOT NULL,
    created_us     INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, ordinal, subscription)
) WITHOUT ROWID;
