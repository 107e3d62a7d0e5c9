-- History by ranges of the id, so that what is old and finished goes by dropping tables instead of deleting rows. Ids are
-- UUIDv7 and begin with a time: a range of ids is a span of time, an id lives in one range, and uniqueness holds as before.
--
-- `_0` has what there was, and all ids made until an hour after this; `_late` takes ids of a time for which there is no range
-- yet. Both are purged row by row. Ranges in between are made and dropped by the purge, and listed in `ranges`. There is no
-- DEFAULT partition: one would be scanned, under a lock, for every new range.
--
-- YugabyteDB takes all of this. CockroachDB knows no declarative partitions: there this file is left out, the tables stay
-- as they were, and the purge deletes rows.

-- What there is already is read once, to see that it fits.
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '60s';

ALTER TABLE transactions RENAME TO transactions_0;
ALTER TABLE messages RENAME TO messages_0;
ALTER TABLE deliveries RENAME TO deliveries_0;
ALTER TABLE attempts RENAME TO attempts_0;
ALTER INDEX transactions_pkey RENAME TO transactions_0_pkey;
ALTER INDEX transactions_due RENAME TO transactions_0_due;
ALTER INDEX transactions_unfinished RENAME TO transactions_0_unfinished;
ALTER INDEX transactions_parked RENAME TO transactions_0_parked;
ALTER INDEX transactions_business_key RENAME TO transactions_0_business_key;
ALTER INDEX messages_pkey RENAME TO messages_0_pkey;
ALTER INDEX deliveries_pkey RENAME TO deliveries_0_pkey;
ALTER INDEX deliveries_owed RENAME TO deliveries_0_owed;
ALTER INDEX deliveries_order RENAME TO deliveries_0_order;
ALTER INDEX deliveries_order_owed RENAME TO deliveries_0_order_owed;

-- A key of a partitioned table has its range in it, and a partition has no identity column of its own.
CREATE SEQUENCE attempts_ids;
SELECT setval('attempts_ids', coalesce(max(id), 0) + 1, false) FROM attempts_0;
ALTER TABLE attempts_0 ALTER COLUMN id DROP IDENTITY;
ALTER TABLE attempts_0 DROP CONSTRAINT attempts_pkey;
DROP INDEX attempts_transaction;

CREATE TABLE transactions (LIKE transactions_0) PARTITION BY RANGE (id);
CREATE TABLE messages (LIKE messages_0) PARTITION BY RANGE (transaction_id);
CREATE TABLE deliveries (LIKE deliveries_0) PARTITION BY RANGE (transaction_id);
CREATE TABLE attempts (LIKE attempts_0) PARTITION BY RANGE (transaction_id);
ALTER TABLE attempts ALTER COLUMN id SET DEFAULT nextval('attempts_ids');

ALTER TABLE transactions ADD PRIMARY KEY (id);
CREATE INDEX transactions_due ON transactions (namespace, initiator, holder, check_due) WHERE check_due IS NOT NULL;
CREATE INDEX transactions_unfinished ON transactions (phase, id) WHERE finished_at IS NULL;
CREATE INDEX transactions_parked ON transactions (id) WHERE parked IS NOT NULL OR parked_effects > 0;
CREATE INDEX transactions_business_key ON transactions (business_key, id) WHERE business_key <> '';
ALTER TABLE messages ADD PRIMARY KEY (transaction_id, ordinal);
ALTER TABLE deliveries ADD PRIMARY KEY (transaction_id, ordinal, subscription);
CREATE INDEX deliveries_owed ON deliveries (namespace, subscription, holder, due) WHERE done_at IS NULL;
CREATE INDEX deliveries_order ON deliveries (namespace, subscription, order_key, order_position)
    WHERE order_key IS NOT NULL;
CREATE INDEX deliveries_order_owed ON deliveries (namespace, subscription, order_key, order_position)
    WHERE order_key IS NOT NULL AND done_at IS NULL;
ALTER TABLE attempts ADD PRIMARY KEY (transaction_id, id);

CREATE TABLE transactions_late (LIKE transactions) WITH (fillfactor = 75);
CREATE TABLE messages_late (LIKE messages);
CREATE TABLE deliveries_late (LIKE deliveries) WITH (fillfactor = 75);
CREATE TABLE attempts_late (LIKE attempts);

-- The ranges that may be dropped as a whole, in milliseconds since 1970: their tables are called after `since`. The one that
-- begins with 0 never is.
CREATE TABLE ranges (
    since bigint NOT NULL PRIMARY KEY,
    until bigint NOT NULL
);
INSERT INTO ranges VALUES (0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 3600000);

DO $$
DECLARE
    ends uuid := (SELECT rpad(lpad(to_hex(until), 12, '0'), 32, '0')::uuid FROM ranges);
    part record;
BEGIN
    FOR part IN SELECT * FROM (VALUES ('transactions', 'id'), ('messages', 'transaction_id'),
        ('deliveries', 'transaction_id'), ('attempts', 'transaction_id')) AS p (name, key)
    LOOP
        -- Ids from clocks that run ahead.
        EXECUTE format('WITH gone AS (DELETE FROM %1$I_0 WHERE %2$I >= %3$L RETURNING *)
            INSERT INTO %1$I_late SELECT * FROM gone', part.name, part.key, ends);
        EXECUTE format('ALTER TABLE %1$I ATTACH PARTITION %1$I_0 FOR VALUES FROM (MINVALUE) TO (%2$L)', part.name, ends);
        EXECUTE format('ALTER TABLE %1$I ATTACH PARTITION %1$I_late FOR VALUES FROM (%2$L) TO (MAXVALUE)', part.name, ends);
    END LOOP;
END $$;
