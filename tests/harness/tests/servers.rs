//! The servers are what they say, and each test's database is its own.

use earnest_harness::{Kind, OwnServer, mariadb, postgres};
use sqlx::{Connection, Executor, MySqlConnection, PgConnection};

#[tokio::test]
async fn every_postgres_database_is_its_own() {
    let (one, two) = (postgres().await, postgres().await);
    let mut one = PgConnection::connect(one.url()).await.unwrap();
    one.execute("CREATE TABLE t (n INT)").await.unwrap();
    let mut two = PgConnection::connect(two.url()).await.unwrap();
    assert!(two.execute("SELECT n FROM t").await.is_err());
    two.execute("CREATE TABLE t (n INT)").await.unwrap();
}

#[tokio::test]
async fn every_mariadb_database_is_its_own() {
    let (one, two) = (mariadb().await, mariadb().await);
    let mut one = MySqlConnection::connect(one.url()).await.unwrap();
    one.execute("CREATE TABLE t (n INT)").await.unwrap();
    let mut two = MySqlConnection::connect(two.url()).await.unwrap();
    assert!(two.execute("SELECT n FROM t").await.is_err());
    two.execute("CREATE TABLE t (n INT)").await.unwrap();
}

#[test]
fn a_killed_server_keeps_what_it_committed() {
    let mut server = OwnServer::start(Kind::Postgres).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = server.url().to_owned();
    let mut connection = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection
            .execute("CREATE TABLE t AS SELECT 7 AS n")
            .await
            .unwrap();
        connection
    });
    server.kill().unwrap();
    assert!(
        runtime
            .block_on(connection.execute("SELECT n FROM t"))
            .is_err()
    );
    server.start_again().unwrap();
    let n: i32 = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::query_scalar("SELECT n FROM t")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    });
    assert_eq!(n, 7);
}
