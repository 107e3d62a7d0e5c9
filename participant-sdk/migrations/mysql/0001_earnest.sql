-- Earnest's tables in a service's own MySQL or MariaDB database. Running this again changes nothing. TiDB takes it as it is.
-- InnoDB, since the fence is nothing without transactions. Binary collations, since names differ by case.
--
-- The service's own user needs no more than this (here for a user called cashier):
--   GRANT SELECT, UPDATE ON earnest_resource TO cashier@'%';
--   GRANT SELECT, INSERT, UPDATE, DELETE ON earnest_fence TO cashier@'%';
--   GRANT SELECT, INSERT, DELETE ON earnest_inbox TO cashier@'%';

-- One row: which database this is, and how far back its fence and inbox remember.
CREATE TABLE IF NOT EXISTS earnest_resource (
    id             INT         NOT NULL PRIMARY KEY,
    -- Random. Every call about a local transaction names it; another database answers "unknown".
    resource_id    VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- Rows of transactions created before this were purged. Microseconds since 1970-01-01 UTC.
    horizon_us     BIGINT      NOT NULL,
    schema_version BIGINT      NOT NULL
) ENGINE = InnoDB;

-- MD5 only mixes what is unique and what is random: RANDOM_BYTES is missing before MariaDB 10.10.
INSERT INTO earnest_resource (id, resource_id, horizon_us, schema_version)
VALUES (1, MD5(CONCAT(UUID(), RAND(), CONNECTION_ID(), NOW(6))), 0, 1)
ON DUPLICATE KEY UPDATE id = id;

-- What became of local transactions.
CREATE TABLE IF NOT EXISTS earnest_fence (
    -- UUID version 7, 16 bytes: sorts by time.
    transaction_id BINARY(16)   NOT NULL,
    -- 'outcome': the initiator's own local transaction. 'branch': a TCC branch at its participant.
    kind           VARCHAR(16)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- Which branch; '' for an outcome.
    party          VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- Of an outcome: 'committed' or 'rolled_back'. Of a branch: 'tried', 'confirmed' or 'cancelled'.
    state          VARCHAR(16)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- The coordinator's time of the transaction, where it is known. Microseconds since 1970-01-01 UTC.
    created_us     BIGINT       NOT NULL,
    PRIMARY KEY (transaction_id, kind, party)
) ENGINE = InnoDB;

-- Messages that were taken.
CREATE TABLE IF NOT EXISTS earnest_inbox (
    transaction_id BINARY(16)   NOT NULL,
    ordinal        BIGINT       NOT NULL,
    subscription   VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_us     BIGINT       NOT NULL,
    PRIMARY KEY (transaction_id, ordinal, subscription)
) ENGINE = InnoDB;
