//! Several nodes over one MySQL (MariaDB, where no MySQL is at hand).

mod nodes;

use std::sync::Arc;

use earnest_harness::Kind;
use earnest_store::{MySqlOptions, MySqlStore, Store, StoreError, conformance::TestClock};
use nodes::{Nodes, nodes_tests};
use sqlx::{Connection, Executor};

async fn open(url: &str, clock: &TestClock) -> Result<Arc<dyn Store>, StoreError> {
    let clock = Arc::new(clock.clone());
    let store = MySqlStore::open_at(MySqlOptions::new(url), clock).await?;
    Ok(Arc::new(store))
}

async fn over(url: &str) -> Nodes {
    let clock = TestClock::default();
    let (a, b) = tokio::join!(open(url, &clock), open(url, &clock));
    let is_open = "the store opens";
    Nodes::new(a.expect(is_open), b.expect(is_open), &clock)
}

async fn two() -> Nodes {
    over(earnest_harness::mariadb().await.url()).await
}

nodes_tests!(two, earnest_harness::mariadb, open);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_killed_server_loses_nothing_acknowledged() {
    nodes::outage::p2_killed_server_loses_nothing_acknowledged(Kind::Mariadb, open).await;
}

/// Runs statements on the database as its administrator.
async fn run(url: &str, statements: &[&'static str]) {
    let mut db = sqlx::MySqlConnection::connect(url)
        .await
        .expect("it connects");
    for statement in statements {
        db.execute(*statement).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_damaged_rows_hold_up_nothing_else() {
    let database = earnest_harness::mariadb().await;
    let nodes = over(database.url()).await;
    let damage = async |sql| run(database.url(), &[sql]).await;
    nodes::damage::p12_damaged_rows_hold_up_nothing_else(nodes, damage).await;
}

#[tokio::test]
async fn p11_service_registers_past_rows_that_cant_be_read() {
    let database = earnest_harness::mariadb().await;
    let nodes = over(database.url()).await;
    let damage = async |sql| run(database.url(), &[sql]).await;
    nodes::damage::p11_service_registers_past_rows_that_cant_be_read(nodes, damage).await;
}

#[tokio::test]
async fn r1_what_a_newer_version_wrote_is_left_alone() {
    let database = earnest_harness::mariadb().await;
    let nodes = over(database.url()).await;
    let write = async |sql| run(database.url(), &[sql]).await;
    nodes::versions::r1_what_a_newer_version_wrote_is_left_alone(nodes, write).await;
}

#[tokio::test]
async fn r1_no_branch_is_written_while_an_older_node_lives() {
    let database = earnest_harness::mariadb().await;
    let nodes = over(database.url()).await;
    let write = async |sql| run(database.url(), &[sql]).await;
    let count = async |sql: &'static str| {
        let mut db = sqlx::MySqlConnection::connect(database.url())
            .await
            .expect("it connects");
        sqlx::query_scalar(sql)
            .fetch_one(&mut db)
            .await
            .expect("it is counted")
    };
    nodes::versions::r1_no_branch_is_written_while_an_older_node_lives(nodes, write, count).await;
}

#[tokio::test]
async fn purge_leaves_no_row_in_any_table() {
    let database = earnest_harness::mariadb().await;
    let nodes = over(database.url()).await;
    let count = async |table: &str| {
        let mut db = sqlx::MySqlConnection::connect(database.url())
            .await
            .expect("it connects");
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count = sqlx::query_scalar(sql).fetch_one(&mut db).await;
        count.expect("it is counted")
    };
    nodes::purged::purge_leaves_no_row_in_any_table(&nodes.a, count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p13_row_that_is_held_for_long_is_an_error_to_try_again() {
    const ROW: &str = "SELECT 1 FROM transactions WHERE business_key = 'order-1' FOR UPDATE";
    let database = earnest_harness::mariadb().await;
    let nodes = over(database.url()).await;
    let hold = async || {
        let mut rival = sqlx::MySqlConnection::connect(database.url())
            .await
            .expect("it connects");
        rival.execute("START TRANSACTION").await.expect("it runs");
        rival.execute(ROW).await.expect("it is free");
        rival
    };
    let release = async |mut rival: sqlx::MySqlConnection| {
        rival.execute("ROLLBACK").await.expect("it runs");
    };
    nodes::held_row::p13_row_that_is_held_for_long_is_an_error_to_try_again(
        &nodes.a, hold, release,
    )
    .await;
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let database = earnest_harness::mariadb().await;
    let age = async || run(database.url(), &["UPDATE schema_version SET version = 99"]).await;
    nodes::opening::newer_schema_is_refused(database.url(), open, age).await;
}

#[tokio::test]
async fn mistakes_say_what_to_do_and_show_no_password() {
    let database = earnest_harness::mariadb().await;
    let (base, _) = database.url().rsplit_once('/').expect("a path");
    let server = base.rsplit_once('@').expect("a user").1;
    let mistakes = [
        (
            format!("mysql://root@{server}/nowhere"),
            "create the database",
        ),
        (
            format!("mysql://nobody:hush@{server}/mysql"),
            "refuses this user",
        ),
        (
            format!("mysql://root@{server}/mysql"),
            "a database of its own",
        ),
        (format!("mysql://root@{server}"), "names no database"),
        (
            "mysql://u:hush@127.0.0.1:1/x".to_owned(),
            "is the server running",
        ),
        ("mysql://u:hush@[::bad/x".to_owned(), "URL can't be read"),
    ];
    nodes::opening::mistakes_say_what_to_do(&mistakes, open).await;
    for (url, _) in mistakes {
        assert!(!format!("{:?}", MySqlOptions::new(url)).contains("hush"));
    }
}

/// A deadlock takes a batch back; it is run again, and nobody sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlock_is_run_again() {
    use earnest_store::conformance::{confirm, no_grant, prepare, transaction};
    const WAITS: &str = "SELECT COUNT(*) FROM information_schema.innodb_trx t \
         JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
         WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()";
    let database = earnest_harness::mariadb().await;
    let n = over(database.url()).await;
    for k in 1..=2 {
        n.a.ok(prepare(transaction(k, vec![]))).await;
    }
    let lock =
        |key: &str| format!("SELECT 1 FROM transactions WHERE business_key = '{key}' FOR UPDATE");
    let mut rival = sqlx::MySqlConnection::connect(database.url())
        .await
        .expect("it connects");
    let mut say = async |sql: String| {
        let said = rival.execute(sqlx::AssertSqlSafe(sql)).await;
        said.map(drop)
    };
    // It has written more than the batch, so that it is the batch that is taken back.
    say("START TRANSACTION".into()).await.expect("it runs");
    let many: Vec<String> = (0..50).map(|n| format!("('n{n}', 0)")).collect();
    say(format!(
        "INSERT INTO meta (name, value) VALUES {}",
        many.join(", ")
    ))
    .await
    .expect("it runs");
    say(lock("order-2")).await.expect("it runs");

    let batch = [confirm(1), confirm(2)];
    let confirming = n.a.store.apply(&batch, no_grant());
    let deadlock = async {
        let mut watch = sqlx::MySqlConnection::connect(database.url())
            .await
            .expect("it connects");
        let waits = async {
            loop {
                let waiting: i64 = sqlx::query_scalar(WAITS)
                    .fetch_one(&mut watch)
                    .await
                    .expect("it is counted");
                if waiting > 0 {
                    break;
                }
                // The server looks anew only when nobody has asked for a tenth of a second.
                tokio::time::sleep(std::time::Duration::from_millis(120)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), waits)
            .await
            .expect("the batch waits for the second row, and holds the first");
        say(lock("order-1")).await.expect("the rival gets it");
        say("ROLLBACK".into()).await.expect("it runs");
    };
    let (confirmed, ()) = tokio::join!(confirming, deadlock);
    let confirmed = confirmed.expect("it is run again");
    assert!(confirmed.results.iter().all(Result::is_ok), "{confirmed:?}");
}

/// A message that the server would hang up at is refused by name, and the batch without it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_the_server_does_not_take_is_rejected() {
    use earnest_store::conformance::{message, no_grant, prepare, submit, transaction};
    let n = two().await;
    n.a.subscribe("ledger", "paid").await;
    let large = |bytes: usize| {
        let mut large = message("paid");
        large.payload = vec![b'x'; bytes].into();
        large
    };
    let batch = [prepare(transaction(1, vec![large(17 << 20)]))];
    let error = n.a.store.apply(&batch, no_grant()).await;
    let error = error.expect_err("larger than the server takes");
    assert!(
        matches!(error, StoreError::Rejected { .. })
            && error.to_string().contains("max_allowed_packet"),
        "{error:?}"
    );
    // More than one statement takes, in several.
    let many = (0..12).map(|_| large(1 << 20)).collect();
    n.a.ok(submit(transaction(2, many))).await;
    assert_eq!(n.b.detail(2).await.messages.len(), 12);
}
