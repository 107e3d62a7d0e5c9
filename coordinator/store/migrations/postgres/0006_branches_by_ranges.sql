-- Branches are kept by ranges of the id like all else of a transaction (0003). Once released this file is never changed.
--
-- Left out on CockroachDB, like 0003.

-- A program that doesn't know branches must not make ranges any more, which would have no tables for them. It finds none
-- under the old name, and so purges row by row.
ALTER TABLE ranges RENAME TO id_ranges;
ALTER INDEX ranges_pkey RENAME TO id_ranges_pkey;

ALTER TABLE branches RENAME TO branches_0;
ALTER TABLE branch_contents RENAME TO branch_contents_0;
ALTER INDEX branches_pkey RENAME TO branches_0_pkey;
ALTER INDEX branches_due RENAME TO branches_0_due;
ALTER INDEX branch_contents_pkey RENAME TO branch_contents_0_pkey;

CREATE TABLE branches (LIKE branches_0) PARTITION BY RANGE (transaction_id);
CREATE TABLE branch_contents (LIKE branch_contents_0) PARTITION BY RANGE (transaction_id);
ALTER TABLE branches ADD PRIMARY KEY (transaction_id, ordinal);
CREATE INDEX branches_due ON branches (namespace, service, holder, due) WHERE due IS NOT NULL;
ALTER TABLE branch_contents ADD PRIMARY KEY (transaction_id, ordinal);

-- There are no branches yet, so nothing moves.
DO $$
DECLARE
    part record;
    span record;
    beginning text;
    ends uuid;
BEGIN
    FOR part IN SELECT * FROM (VALUES ('branches', ' WITH (fillfactor = 75)'), ('branch_contents', '')) AS p (name, also)
    LOOP
        FOR span IN SELECT since, rpad(lpad(to_hex(since), 12, '0'), 32, '0')::uuid AS first,
            rpad(lpad(to_hex(until), 12, '0'), 32, '0')::uuid AS ends FROM id_ranges ORDER BY since
        LOOP
            beginning := quote_literal(span.first);
            IF span.since = 0 THEN
                beginning := 'MINVALUE';
            ELSE
                EXECUTE format('CREATE TABLE %1$I (LIKE %2$I)', part.name || '_' || span.since, part.name) || part.also;
            END IF;
            EXECUTE format('ALTER TABLE %1$I ATTACH PARTITION %2$I FOR VALUES FROM (%3$s) TO (%4$L)',
                part.name, part.name || '_' || span.since, beginning, span.ends);
            ends := span.ends;
        END LOOP;
        EXECUTE format('CREATE TABLE %1$I (LIKE %2$I)', part.name || '_late', part.name) || part.also;
        EXECUTE format('ALTER TABLE %1$I ATTACH PARTITION %2$I FOR VALUES FROM (%3$L) TO (MAXVALUE)',
            part.name, part.name || '_late', ends);
    END LOOP;
END $$;
