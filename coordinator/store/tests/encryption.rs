//! Encrypted connections to a database server: made when they are asked for, and never to somebody else.

use earnest_harness::{Kind, OwnServer};
use earnest_store::{
    MySqlOptions, MySqlStore, PostgresOptions, PostgresStore, QueryStore, StoreError,
};
use sqlx::{Connection, Executor};

fn start(kind: Kind) -> OwnServer {
    OwnServer::start_encrypting(kind).expect("the server starts")
}

fn issuer(server: &OwnServer) -> String {
    let issuer = server.issuer().expect("it encrypts");
    issuer.display().to_string()
}

/// What went wrong, for people.
fn problem<T>(opened: Result<T, StoreError>) -> String {
    let error = opened.map(drop).expect_err("it is refused").to_string();
    assert!(error.contains("encrypted"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_reached_over_tls_and_only_where_its_issuer_is_trusted() {
    let (server, other) = (start(Kind::Postgres), start(Kind::Postgres));
    let open = async |issuer: &str| {
        let url = format!("{}?sslmode=verify-full&sslrootcert={issuer}", server.url());
        PostgresStore::open(PostgresOptions::new(url)).await
    };
    let store = open(&issuer(&server)).await.expect("it opens");
    // The connection that answers is kept open.
    store.backlog().await.expect("it answers");
    let mut db = sqlx::PgConnection::connect(server.url())
        .await
        .expect("it connects");
    let clear: (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'earnest'",
    )
    .fetch_one(&mut db)
    .await
    .expect("it can be asked");
    assert!(clear.0 > 0 && clear.1 == 0, "{clear:?}");
    drop(store);
    problem(open(&issuer(&other)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_that_can_not_encrypt_is_refused_where_that_is_required() {
    let server = OwnServer::start(Kind::Postgres).expect("the server starts");
    let url = format!("{}?sslmode=require", server.url());
    problem(PostgresStore::open(PostgresOptions::new(url)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_is_reached_over_tls_and_only_where_its_issuer_is_trusted() {
    let (server, other) = (start(Kind::Mariadb), start(Kind::Mariadb));
    let mut db = sqlx::MySqlConnection::connect(server.url())
        .await
        .expect("it connects");
    for statement in [
        "CREATE DATABASE earnest",
        // The server lets this one in over an encrypted connection only.
        "CREATE USER careful@'127.0.0.1' IDENTIFIED BY 'hush' REQUIRE SSL",
        "GRANT ALL ON earnest.* TO careful@'127.0.0.1'",
    ] {
        db.execute(statement).await.expect("it runs");
    }
    let at = format!("mysql://careful:hush@127.0.0.1:{}/earnest", server.port());
    let open = async |parameters: &str| {
        MySqlStore::open(MySqlOptions::new(format!("{at}{parameters}"))).await
    };
    let trusting = |server| format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={}", issuer(server));
    drop(open(&trusting(&server)).await.expect("it opens"));
    problem(open(&trusting(&other)).await);
    let refused = open("").await.map(drop).expect_err("it is refused");
    assert!(
        refused.to_string().contains("refuses this user"),
        "{refused}"
    );
}
