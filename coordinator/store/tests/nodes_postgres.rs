//! Several nodes over one PostgreSQL.

mod nodes;

use std::sync::Arc;

use earnest_harness::Kind;
use earnest_store::{PostgresOptions, PostgresStore, Store, StoreError, conformance::TestClock};
use nodes::{Nodes, nodes_tests};

async fn two() -> Nodes {
    two_on(&earnest_harness::postgres().await).await
}

async fn two_on(database: &earnest_harness::Database) -> Nodes {
    let clock = TestClock::default();
    let open = async || {
        let options = PostgresOptions::new(database.url());
        let store = PostgresStore::open_at(options, Arc::new(clock.clone())).await;
        Arc::new(store.expect("the store opens"))
    };
    let (a, b) = tokio::join!(open(), open());
    Nodes::new(a, b, &clock)
}

async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    let clock = Arc::new(TestClock::default());
    let store = PostgresStore::open_at(PostgresOptions::new(url), clock).await?;
    Ok(Arc::new(store))
}

nodes_tests! { two:
    r1_one_id_prepared_by_two_nodes_at_once_is_recorded_once,
    p1_opposite_decisions_of_two_nodes_at_once,
    p4_subscription_deleted_while_others_decide_loses_nothing,
    p9_one_key_decided_by_two_nodes_at_once_keeps_an_order,
    p9_ends_and_decisions_at_once_leave_no_key_behind,
    p12_two_nodes_that_claim_at_once_share_the_work,
    p10_node_that_comes_back_writes_nothing,
    services_registered_at_two_nodes_at_once_keep_all_endpoints,
    one_bad_value_is_rejected_and_nothing_is_written,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_commit_without_an_answer_is_unknown() {
    let database = earnest_harness::postgres().await;
    nodes::outage::r4_commit_without_an_answer_is_unknown(database.url(), open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_killed_server_loses_nothing_acknowledged() {
    nodes::outage::p2_killed_server_loses_nothing_acknowledged(Kind::Postgres, open).await;
}

/// Several nodes start at once on a new database: one makes the schema, the others find it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_make_one_schema() {
    let database = earnest_harness::postgres().await;
    let starts = (0..8).map(|_| {
        let url = database.url().to_owned();
        tokio::spawn(async move { open(&url).await.map(drop) })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.expect("it ends").expect("it opens");
    }
}

/// A newer version's database is left alone, and the error says what to do.
#[tokio::test]
async fn newer_schema_is_refused() {
    use sqlx::{Connection, Executor};
    let database = earnest_harness::postgres().await;
    drop(open(database.url()).await.expect("it opens"));
    let mut db = sqlx::PgConnection::connect(database.url())
        .await
        .expect("it connects");
    db.execute("UPDATE earnest.schema_version SET version = 99")
        .await
        .expect("it is written");
    let error = open(database.url())
        .await
        .map(drop)
        .expect_err("it is refused");
    let shown = error.to_string();
    assert!(
        shown.contains("newer Earnest") && shown.contains("99"),
        "{shown}"
    );
}

/// Mixed versions: what a newer node has written is left to it. An older one takes up all else, answers a call about it in
/// words that send the caller on, and doesn't stop the calls that came with it. And a newer one knows how old the oldest is.
#[tokio::test]
async fn r1_what_a_newer_version_wrote_is_left_alone() {
    use earnest_store::conformance::{cancel, id, message, no_grant, prepare, submit, transaction};
    use sqlx::{Connection, Executor};
    let database = earnest_harness::postgres().await;
    let older = two_on(&database).await.a;
    older.subscribe("ledger", "paid").await;
    for n in 1..=4 {
        older
            .ok(submit(transaction(n, vec![message("paid")])))
            .await;
    }
    older.ok(prepare(transaction(5, vec![]))).await;
    older.ok(prepare(transaction(6, vec![]))).await;
    let mut newer = sqlx::PgConnection::connect(database.url())
        .await
        .expect("it connects");
    for sql in [
        "UPDATE earnest.deliveries SET format = 2 WHERE transaction_id IN \
         (SELECT transaction_id FROM earnest.deliveries ORDER BY due, transaction_id LIMIT 2)",
        "UPDATE earnest.transactions SET format = 2 WHERE id = (SELECT id FROM earnest.transactions ORDER BY id DESC LIMIT 1)",
    ] {
        newer.execute(sql).await.expect("it is written");
    }
    older.advance(std::time::Duration::from_hours(1));
    let node = older.node().await;
    let claimed = older.claim(node).await.work;
    assert_eq!(
        claimed.len(),
        3,
        "two deliveries and a check-back: {claimed:?}"
    );

    // Leased by the older one, it would be out of the newer one's reach for as long as that lives.
    let free = "SELECT (SELECT count(*) FROM earnest.deliveries WHERE format = 2 AND holder = -1) \
                + (SELECT count(*) FROM earnest.transactions WHERE format = 2 AND holder = -1)";
    let free: i64 = sqlx::query_scalar(free)
        .fetch_one(&mut newer)
        .await
        .expect("it answers");
    assert_eq!(free, 3, "nothing of it is leased");

    let highest = (1..=6).max_by_key(|n| id(*n)).expect("six");
    let batch = [cancel(highest), prepare(transaction(7, vec![]))];
    let error = older
        .store
        .apply(&batch[..1], no_grant())
        .await
        .expect_err("it is newer");
    assert!(
        matches!(error, StoreError::Newer(_)) && error.is_retryable(),
        "{error:?}"
    );
    assert!(
        !error.is_passing(),
        "trying again here does not help, and the rest of a batch need not wait"
    );
    older
        .store
        .apply(&batch[1..], no_grant())
        .await
        .expect("the other runs");

    let format = async || older.store.recall(&[]).await.expect("it answers").format;
    assert_eq!(format().await, 1);
    let far = i64::MAX;
    let enrol = format!(
        "INSERT INTO earnest.nodes (name, format, expires_at) VALUES ('old', 0, {far}), ('dead', -1, 0)"
    );
    newer
        .execute(sqlx::AssertSqlSafe(enrol))
        .await
        .expect("it is written");
    assert_eq!(format().await, 0, "of those that live");
}

/// Mistakes of whoever starts the program say what to do, and no text shows the password.
#[tokio::test]
async fn mistakes_say_what_to_do_and_show_no_password() {
    let database = earnest_harness::postgres().await;
    let (base, _) = database.url().rsplit_once('/').expect("a path");
    let server = base.rsplit_once('@').expect("a user").1;
    for (url, says) in [
        (
            format!("postgres://postgres:hush@{server}/nowhere"),
            "create the database",
        ),
        (
            format!("postgres://nobody:hush@{server}/postgres"),
            "refuses this user",
        ),
        (
            "postgres://u:hush@127.0.0.1:1/x".to_owned(),
            "is the server running",
        ),
        ("postgres://u:hush@[::bad/x".to_owned(), "URL can't be read"),
    ] {
        let options = PostgresOptions::new(&url);
        assert!(!format!("{options:?}").contains("hush"));
        let error = PostgresStore::open(options)
            .await
            .map(drop)
            .expect_err("a mistake");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
    }
}
