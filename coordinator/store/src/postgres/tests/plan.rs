//! Every statement on the way of a message seeks in its index, whatever the history, and whatever the tables held when its
//! plan was made. The server counts: no table is scanned, no index is read on for long.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use earnest_harness::Database;
use sqlx::PgConnection;

use super::{open, session};
use crate::{
    Clock, History, Store,
    conformance::{Subject, TestClock},
    postgres::{PostgresStore, fill},
    round::{self, round},
};

const WEEK: Duration = Duration::from_hours(24 * 7);
const HISTORY: u64 = 20_000;

type Counters = (i64, BTreeMap<String, i64>);

/// Scans of tables, and entries read of each index, over all ranges.
async fn counters(db: &mut PgConnection) -> Counters {
    let scans: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'earnest' \
         AND (relname LIKE 'transactions%' OR relname LIKE 'messages%' OR relname LIKE 'deliveries%' \
         OR relname LIKE 'branch%' OR relname LIKE 'attempts%')",
    )
    .fetch_one(&mut *db)
    .await
    .expect("it is counted");
    // By the partitioned index that they belong to.
    let reads: Vec<(String, i64)> = sqlx::query_as(
        "SELECT coalesce(p.relname, s.indexrelname)::text, sum(s.idx_tup_read)::bigint FROM pg_stat_user_indexes s \
         LEFT JOIN pg_inherits i ON i.inhrelid = s.indexrelid LEFT JOIN pg_class p ON p.oid = i.inhparent \
         WHERE s.schemaname = 'earnest' GROUP BY 1",
    )
    .fetch_all(db)
    .await
    .expect("it is counted");
    (scans, reads.into_iter().collect())
}

/// Sessions tell what they have counted when they end.
async fn ended(db: &mut PgConnection, store: Arc<PostgresStore>, s: Subject) {
    drop((store, s));
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'earnest'";
    loop {
        let left: i64 = sqlx::query_scalar(others)
            .fetch_one(&mut *db)
            .await
            .expect("they are counted");
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// No scan, and each of the 40 messages is read a few times, whatever else there is.
fn check(case: &str, before: &Counters, after: &Counters) {
    assert_eq!(after.0 - before.0, 0, "scans: {case}");
    let read = |index: &str| after.1[index] - before.1.get(index).copied().unwrap_or(0);
    for index in [
        "transactions_pkey",
        "messages_pkey",
        "deliveries_pkey",
        "branches_pkey",
        "branch_contents_pkey",
        "transactions_due",
        "branches_due",
        "deliveries_owed",
        "deliveries_order",
        "deliveries_order_owed",
    ] {
        assert!(read(index) <= 2_000, "{case}: {index}: {}", read(index));
    }
    assert!(
        read("transactions_pkey") >= 40
            && read("deliveries_pkey") >= 40
            && read("branches_pkey") >= 40,
        "{after:?}"
    );
    for index in [
        "transactions_unfinished",
        "transactions_parked",
        "transactions_business_key",
    ] {
        assert_eq!(read(index), 0, "{case}: {index} is nobody's way to work");
    }
}

async fn subject(database: &Database, clock: &TestClock) -> (Arc<PostgresStore>, Subject) {
    let store = open(database, clock).await;
    let s = Subject::new(Arc::clone(&store) as Arc<dyn Store>, clock.clone(), ());
    (store, s)
}

#[tokio::test]
async fn work_is_found_by_seeking_whatever_the_history() {
    let database = earnest_harness::postgres().await;
    let clock = TestClock::default();
    let history = History {
        transactions: 1,
        payload: 10,
        over: WEEK,
    };
    let (store, s) = subject(&database, &clock).await;
    round::subscribe(&s).await;
    store.fill(history, |_| ()).await.expect("it is filled");
    let mut db = session(&database).await;
    ended(&mut db, store, s).await;
    for case in ["plans made over empty tables", "plans made over full ones"] {
        let before = counters(&mut db).await;
        let (store, s) = subject(&database, &clock).await;
        if case.contains("empty") {
            round(&s, 0).await;
            let full = History {
                transactions: HISTORY,
                ..history
            };
            let since = clock.now().before(WEEK * 2).as_micros();
            fill::insert(&mut db, since, full, |_| ())
                .await
                .expect("it is filled");
        } else {
            sqlx::query("ANALYZE")
                .execute(&mut db)
                .await
                .expect("it runs");
            round(&s, 1).await;
        }
        round(&s, 2).await;
        ended(&mut db, store, s).await;
        check(case, &before, &counters(&mut db).await);
    }
}
