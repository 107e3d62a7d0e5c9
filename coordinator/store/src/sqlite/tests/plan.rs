//! Every statement that finds work or lists it seeks in its index, on a full table as on an empty one.

use std::time::Duration;

use earnest_protocol::Phase;
use rusqlite::{Connection, types::Value};

use super::{apply, directory, open, prepared, subscribe};
use crate::{
    Cursor, TransactionFilter,
    conformance::{TestClock, id, name, topic},
    sqlite::{SqliteStore, branch, claim, delivery, query, registry, retention},
};

fn plan(db: &Connection, sql: &str) -> String {
    let mut statement = db
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    let count = statement.parameter_count();
    let values = rusqlite::params_from_iter(std::iter::repeat_n(Value::Integer(1), count));
    let lines = statement
        .query_map(values, |row| row.get::<_, String>("detail"))
        .unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

/// `wanted` is in the plan, and nothing is sorted or scanned.
fn seeks(db: &Connection, sql: &str, wanted: &str) {
    let plan = plan(db, sql);
    assert!(plan.contains(wanted), "{sql}\n{plan}");
    assert!(
        !plan.contains("TEMP B-TREE") && !plan.contains("SCAN"),
        "{sql}\n{plan}"
    );
}

async fn check(store: &SqliteStore) {
    let checked = store.writer.look("test", |db| {
        for queue in &claim::QUEUES {
            seeks(db, queue.next_target, ">(?,?)");
            seeks(db, queue.next_holder, "AND holder>?)");
            seeks(db, queue.free, "AND holder=?");
            seeks(db, queue.due, "due<?)");
            seeks(db, queue.later, "due>?)");
        }
        seeks(
            db,
            delivery::ORDER_LAST,
            "deliveries_order (namespace=? AND subscription=? AND order_key=?)",
        );
        seeks(
            db,
            delivery::ORDER_HEAD,
            "deliveries_order_owed (namespace=? AND subscription=? AND order_key=?)",
        );
        seeks(
            db,
            registry::OWED,
            "deliveries_owed (namespace=? AND subscription=?)",
        );
        seeks(
            db,
            registry::WAITING,
            "transactions_due (namespace=? AND initiator=? AND holder=? AND check_due>?)",
        );
        seeks(
            db,
            branch::WAITING,
            "branches_due (namespace=? AND service=? AND holder=? AND due>?)",
        );
        seeks(db, retention::OLD, "transactions_id (id>? AND id<?)");
        assert!(plan(db, query::BACKLOG).contains("USING COVERING INDEX deliveries_owed"));
        assert!(
            plan(db, query::UNFINISHED).contains("USING COVERING INDEX transactions_unfinished")
        );
        assert!(!plan(db, query::BACKLOG).contains("TEMP B-TREE"));
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn work_is_found_by_seeking() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    check(&store).await;
    subscribe(&store).await;
    for n in 0..200 {
        apply(&store, vec![prepared(n)]).await.unwrap();
    }
    let analyze = |db: &Connection| {
        db.execute_batch("ANALYZE").unwrap();
        Ok(())
    };
    store.writer.look("test", analyze).await.unwrap();
    check(&store).await;
}

fn listing(filter: &TransactionFilter) -> String {
    query::page_query(filter, Some(Cursor(id(9))), 50, TestClock::START).0
}

#[tokio::test]
async fn lists_use_the_narrowest_index() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    let any = TransactionFilter::default;
    let cases = [
        (any(), "transactions_id (id<?)"),
        (
            TransactionFilter {
                namespace: Some(name("n")),
                initiator: Some(name("i")),
                ..any()
            },
            "transactions_id (id<?)",
        ),
        (
            TransactionFilter {
                phases: vec![Phase::Confirmed],
                ..any()
            },
            "transactions_id (id<?)",
        ),
        (
            TransactionFilter {
                phases: vec![Phase::Prepared],
                older_than: Some(Duration::ZERO),
                ..any()
            },
            "transactions_unfinished (phase=? AND id<?)",
        ),
        (
            TransactionFilter {
                parked: true,
                ..any()
            },
            "transactions_parked (id<?)",
        ),
        (
            TransactionFilter {
                business_key: Some("k".into()),
                parked: true,
                ..any()
            },
            "transactions_business_key (business_key=? AND id<?)",
        ),
        (
            TransactionFilter {
                topic: Some(topic("t")),
                ..any()
            },
            "messages_id (transaction_id=?)",
        ),
    ];
    let checked = store.writer.look("test", move |db| {
        for (filter, wanted) in cases {
            seeks(db, &listing(&filter), wanted);
        }
        Ok(())
    });
    checked.await.unwrap();
}
