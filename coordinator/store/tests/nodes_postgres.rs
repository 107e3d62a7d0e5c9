//! Several nodes over one PostgreSQL.

mod nodes;

use std::sync::Arc;

use earnest_harness::Kind;
use earnest_store::{PostgresOptions, PostgresStore, Store, StoreError, conformance::TestClock};
use nodes::{Nodes, nodes_tests};
use sqlx::{Connection, Executor};

async fn open(url: &str, clock: &TestClock) -> Result<Arc<dyn Store>, StoreError> {
    let clock = Arc::new(clock.clone());
    let store = PostgresStore::open_at(PostgresOptions::new(url), clock).await?;
    Ok(Arc::new(store))
}

async fn over(url: &str) -> Nodes {
    let clock = TestClock::default();
    let (a, b) = tokio::join!(open(url, &clock), open(url, &clock));
    let is_open = "the store opens";
    Nodes::new(a.expect(is_open), b.expect(is_open), &clock)
}

async fn two() -> Nodes {
    over(earnest_harness::postgres().await.url()).await
}

nodes_tests!(two, earnest_harness::postgres, open);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_killed_server_loses_nothing_acknowledged() {
    nodes::outage::p2_killed_server_loses_nothing_acknowledged(Kind::Postgres, open).await;
}

/// Runs statements on the database as its administrator.
async fn run(url: &str, statements: &[&'static str]) {
    let mut db = sqlx::PgConnection::connect(url).await.expect("it connects");
    for statement in statements {
        db.execute(*statement).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_damaged_rows_hold_up_nothing_else() {
    let database = earnest_harness::postgres().await;
    let nodes = over(database.url()).await;
    let damage = async |sql| run(database.url(), &["SET search_path = earnest", sql]).await;
    nodes::damage::p12_damaged_rows_hold_up_nothing_else(nodes, damage).await;
}

#[tokio::test]
async fn p11_service_registers_past_rows_that_cant_be_read() {
    let database = earnest_harness::postgres().await;
    let nodes = over(database.url()).await;
    let damage = async |sql| run(database.url(), &["SET search_path = earnest", sql]).await;
    nodes::damage::p11_service_registers_past_rows_that_cant_be_read(nodes, damage).await;
}

#[tokio::test]
async fn r1_what_a_newer_version_wrote_is_left_alone() {
    let database = earnest_harness::postgres().await;
    let nodes = over(database.url()).await;
    let write = async |sql| run(database.url(), &["SET search_path = earnest", sql]).await;
    nodes::versions::r1_what_a_newer_version_wrote_is_left_alone(nodes, write).await;
}

#[tokio::test]
async fn r1_no_branch_is_written_while_an_older_node_lives() {
    let database = earnest_harness::postgres().await;
    let nodes = over(database.url()).await;
    let write = async |sql| run(database.url(), &["SET search_path = earnest", sql]).await;
    let count = async |sql: &'static str| {
        let mut db = sqlx::PgConnection::connect(database.url())
            .await
            .expect("it connects");
        db.execute("SET search_path = earnest")
            .await
            .expect("it runs");
        sqlx::query_scalar(sql)
            .fetch_one(&mut db)
            .await
            .expect("it is counted")
    };
    nodes::versions::r1_no_branch_is_written_while_an_older_node_lives(nodes, write, count).await;
}

#[tokio::test]
async fn purge_leaves_no_row_in_any_table() {
    let database = earnest_harness::postgres().await;
    let nodes = over(database.url()).await;
    let count = async |table: &str| {
        let mut db = sqlx::PgConnection::connect(database.url())
            .await
            .expect("it connects");
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM earnest.{table}"));
        let count = sqlx::query_scalar(sql).fetch_one(&mut db).await;
        count.expect("it is counted")
    };
    nodes::purged::purge_leaves_no_row_in_any_table(&nodes.a, count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p13_row_that_is_held_for_long_is_an_error_to_try_again() {
    const ROW: &str =
        "SELECT 1 FROM earnest.transactions WHERE business_key = 'order-1' FOR UPDATE";
    let database = earnest_harness::postgres().await;
    let nodes = over(database.url()).await;
    let hold = async || {
        let mut rival = sqlx::PgConnection::connect(database.url())
            .await
            .expect("it connects");
        rival.execute("BEGIN").await.expect("it runs");
        rival.execute(ROW).await.expect("it is free");
        rival
    };
    let release = async |mut rival: sqlx::PgConnection| {
        rival.execute("ROLLBACK").await.expect("it runs");
    };
    nodes::held_row::p13_row_that_is_held_for_long_is_an_error_to_try_again(
        &nodes.a, hold, release,
    )
    .await;
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let database = earnest_harness::postgres().await;
    let age = async || {
        let ages = ["UPDATE earnest.schema_version SET version = 99"];
        run(database.url(), &ages).await;
    };
    nodes::opening::newer_schema_is_refused(database.url(), open, age).await;
}

#[tokio::test]
async fn mistakes_say_what_to_do_and_show_no_password() {
    let database = earnest_harness::postgres().await;
    let (base, _) = database.url().rsplit_once('/').expect("a path");
    let server = base.rsplit_once('@').expect("a user").1;
    let mistakes = [
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
    ];
    nodes::opening::mistakes_say_what_to_do(&mistakes, open).await;
    for (url, _) in mistakes {
        assert!(!format!("{:?}", PostgresOptions::new(url)).contains("hush"));
    }
}
