//! A database of an earlier version is brought up to this one with all that is in it.

use earnest_protocol::{Timestamp, TransactionId};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{open, session};
use crate::{QueryStore, conformance::TestClock};

const FIRST: &str = include_str!("../../../migrations/postgres/0001_message_confirmation.sql");
/// What came before there were branches.
const BEFORE_BRANCHES: [&str; 4] = [
    FIRST,
    include_str!("../../../migrations/postgres/0002_lost_writes.sql"),
    include_str!("../../../migrations/postgres/0003_history_by_ranges.sql"),
    include_str!("../../../migrations/postgres/0004_mixed_versions.sql"),
];

/// Branches get tables for all ranges that there are, and older programs find no ranges any more.
#[tokio::test]
async fn branches_join_the_ranges_that_there_are() {
    let database = earnest_harness::postgres().await;
    let mut db = PgConnection::connect(database.url())
        .await
        .expect("it connects");
    let version = "CREATE SCHEMA earnest; SET search_path = earnest; \
         CREATE TABLE schema_version (only_row boolean PRIMARY KEY, version bigint NOT NULL); \
         INSERT INTO schema_version VALUES (true, 4)";
    db.execute(version).await.expect("it is made");
    for migration in BEFORE_BRANCHES {
        // As one database transaction, like the real ones.
        db.execute(AssertSqlSafe(format!("BEGIN; {migration}; COMMIT")))
            .await
            .expect("it is made");
    }
    let range =
        "UPDATE ranges SET until = 1000; INSERT INTO ranges VALUES (5000, 9000), (9000, 12000)";
    db.execute(range).await.expect("there are more");
    let _store = open(&database, &TestClock::default()).await;
    for table in ["branches", "branch_contents"] {
        let parts: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname || ' ' || pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i \
             JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY c.oid",
        )
        .bind(table)
        .fetch_all(&mut db)
        .await
        .expect("the catalogue is read");
        let id = |millis: u64| {
            format!(
                "('{:08x}-{:04x}-0000-0000-000000000000')",
                millis >> 16,
                millis & 0xffff
            )
        };
        let values = |from: String, to: String| format!("FOR VALUES FROM {from} TO {to}");
        assert_eq!(
            parts,
            [
                format!("{table}_0 {}", values("(MINVALUE)".into(), id(1000))),
                format!("{table}_5000 {}", values(id(5000), id(9000))),
                format!("{table}_9000 {}", values(id(9000), id(12000))),
                format!("{table}_late {}", values(id(12000), "(MAXVALUE)".into())),
            ]
        );
    }
    let is_gone: bool = sqlx::query_scalar("SELECT to_regclass('ranges') IS NULL")
        .fetch_one(&mut db)
        .await
        .expect("it is asked");
    assert!(is_gone);
}

#[tokio::test]
async fn history_of_the_first_version_is_kept() {
    let database = earnest_harness::postgres().await;
    let old = TransactionId::from_parts(TestClock::START, [1; 10]);
    // From a clock that ran ahead by decades.
    let ahead = TransactionId::from_parts(Timestamp::from_micros(5_000_000_000_000_000), [2; 10]);
    let mut db = PgConnection::connect(database.url())
        .await
        .expect("it connects");
    let version = "CREATE SCHEMA earnest; SET search_path = earnest; \
         CREATE TABLE schema_version (only_row boolean PRIMARY KEY, version bigint NOT NULL); \
         INSERT INTO schema_version VALUES (true, 1)";
    db.execute(version).await.expect("it is made");
    db.execute(FIRST).await.expect("the first version is made");
    for id in [old, ahead] {
        let rows = format!(
            "INSERT INTO transactions VALUES ('{id}', 1, 'default', 'cashier', '', '', '\\x01{hash}', 1, '', 1, 1, 1, 1, 20, \
             false, 2, NULL, 0, 0, 1, 0, 1, 'initiator', NULL, NULL, 0, -1, 0, 1); \
             INSERT INTO messages VALUES ('{id}', 0, 'paid', '', '', '', '', '', 'x'); \
             INSERT INTO deliveries VALUES ('{id}', 0, 'ledger', 1, 'default', 1, 1, 1, 1, NULL, NULL, NULL, NULL, -1, 0); \
             INSERT INTO attempts (transaction_id, ordinal, subscription, number, at, node, target, code, error, duration) \
             VALUES ('{id}', 0, 'ledger', 1, 1, 'n', 't', 'c', 'e', 1)",
            hash = "00".repeat(32)
        );
        db.execute(AssertSqlSafe(rows)).await.expect("it is filled");
    }
    let store = open(&database, &TestClock::default()).await;
    for id in [old, ahead] {
        let detail = store.detail(id).await.expect("it is read");
        let detail = detail.expect("it is known");
        let parts = (
            detail.messages.len(),
            detail.deliveries.len(),
            detail.attempts.len(),
        );
        assert_eq!(parts, (1, 1, 1));
    }
    let mut db = session(&database).await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tableoid::regclass::text FROM transactions ORDER BY id")
            .fetch_all(&mut db)
            .await
            .expect("it is read");
    assert_eq!(tables, ["transactions_0", "transactions_late"]);
    // What is written from now on gets numbers of its own, and no index is there twice.
    let next: i64 = sqlx::query_scalar("SELECT nextval('attempts_ids')")
        .fetch_one(&mut db)
        .await
        .expect("there is one");
    assert_eq!(next, 3);
    let indexes = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
         WHERE c.relnamespace = 'earnest'::regnamespace AND c.relname = $1";
    for (table, expected) in [
        ("transactions_0", 5_i64),
        ("messages_0", 1),
        ("deliveries_0", 4),
        ("attempts_0", 1),
        ("branches_0", 2),
        ("branch_contents_0", 1),
    ] {
        let count: i64 = sqlx::query_scalar(indexes)
            .bind(table)
            .fetch_one(&mut db)
            .await
            .expect("it is counted");
        assert_eq!(count, expected, "{table}");
    }
}
