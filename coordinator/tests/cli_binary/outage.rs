//! A database that is away, frozen or slow, under a whole node: callers hear of it early, in words that say to try again;
//! what waits is bounded; nothing that was acknowledged is lost; and all goes on by itself (P2, P13).

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use earnest_harness::{Database, Kind, OwnServer};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{nodes::until, support::Served};

/// Records a transaction and confirms it, without any effect.
async fn submit(url: &str) -> (StatusCode, Value) {
    let message = json!({ "topic": "nobody.asks", "payload": {} });
    let body = json!({
        "initiator": "cashier",
        "messages": [message],
        "allow_no_subscription": true,
    });
    let answer = reqwest::Client::new()
        .post(format!("{url}/v1/transactions/submit"))
        .json(&body)
        .send()
        .await
        .expect("the node answers, whatever its database does");
    (answer.status(), answer.json().await.expect("JSON"))
}

async fn readiness(node: &Served) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", node.url)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn metric(url: &str, name: &str) -> Option<f64> {
    let text = reqwest::get(format!("{url}/metrics"))
        .await
        .ok()?
        .text()
        .await
        .ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.parse().ok()
}

fn id(of: &Value) -> String {
    of["transaction"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{of}"))
        .to_owned()
}

async fn killed(kind: Kind) {
    let directory = tempfile::tempdir().unwrap();
    let start = move || OwnServer::start(kind).expect("a server of this test's own");
    let mut server = tokio::task::spawn_blocking(start).await.unwrap();
    let database = Database::on(&server).await;
    let node = Served::start(directory.path(), &["--database", database.url()]);
    let (status, acknowledged) = submit(&node.url).await;
    assert_eq!(status, 201, "{acknowledged}");
    assert_eq!(metric(&node.url, "earnest_database_up").await, Some(1.0));

    server.kill().expect("it is killed");
    for told in join_all((0..20).map(|_| submit(&node.url))).await {
        let (status, body) = told;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert_eq!(
            (&body["code"], &body["retryable"]),
            (&json!("UNAVAILABLE"), &json!(true))
        );
    }
    let (status, body) = readiness(&node).await;
    assert_eq!((status, &body["reason"]), (503, &json!("database")));
    // Whoever watches it must see it now of all times.
    assert_eq!(metric(&node.url, "earnest_database_up").await, Some(0.0));
    assert_eq!(
        metric(&node.url, "earnest_journal_queue_commands").await,
        Some(0.0)
    );

    let server = tokio::task::spawn_blocking(move || {
        server.start_again().expect("it starts again");
        server
    });
    let server = server.await.unwrap();
    until(async || readiness(&node).await.0 == 200).await;
    let (status, again) = submit(&node.url).await;
    assert_eq!(status, 201, "{again}");
    for of in [&acknowledged, &again] {
        let url = format!("{}/v1/transactions/{}", node.url, id(of));
        assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
    }
    node.stop();
    drop(server);
}

async fn frozen(database: Database, transactions: &str) {
    let directory = tempfile::tempdir().unwrap();
    let few = [
        "--set",
        "journal.queue_commands=8",
        "--set",
        "database_writers=2",
    ];
    let arguments = [&["--database", database.url()][..], &few].concat();
    let node = Served::start(directory.path(), &arguments);
    let frozen = database.freeze(transactions).await;

    // As many as there is room for wait; each one more is refused while they do.
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let url = node.url.clone();
            tokio::spawn(async move { submit(&url).await })
        })
        .collect();
    until(async || metric(&node.url, "earnest_journal_queue_commands").await == Some(8.0)).await;
    for _ in 0..5 {
        let (status, body) = submit(&node.url).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
        assert_eq!(
            (&body["code"], &body["retryable"]),
            (&json!("OVERLOADED"), &json!(true))
        );
    }
    frozen.thaw().await;
    for told in waiting {
        let (status, body) = told.await.unwrap();
        assert_eq!(status, 201, "what was accepted is done: {body}");
    }
    until(async || readiness(&node).await.0 == 200).await;
    assert_eq!(submit(&node.url).await.0, 201);
    node.stop();
}

/// A way to a server on which everything takes a while.
async fn slow(server: SocketAddr, by: Duration) -> SocketAddr {
    async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, by: Duration) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            tokio::time::sleep(by).await;
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(pump(from_client, to_server, by));
            tokio::spawn(pump(from_server, to_client, by));
        }
    });
    address
}

async fn slowed(database: Database) {
    let directory = tempfile::tempdir().unwrap();
    let after = database
        .url()
        .split("127.0.0.1:")
        .nth(1)
        .expect("a loopback server");
    let port = after
        .split('/')
        .next()
        .expect("a port")
        .parse()
        .expect("a port");
    let by = Duration::from_millis(20);
    let way = slow(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), by).await;
    let url = database
        .url()
        .replacen(&format!(":{port}/"), &format!(":{}/", way.port()), 1);
    let node = Served::start(directory.path(), &["--database", &url]);
    for (status, body) in join_all((0..64).map(|_| submit(&node.url))).await {
        assert_eq!(status, 201, "{body}");
    }
    let batches = metric(&node.url, "earnest_journal_batch_commands_count").await;
    assert!(
        batches.expect("the metric") < 32.0,
        "{batches:?} batches of 64 calls"
    );
    node.stop();
}

/// The same over each database that nodes can share.
macro_rules! over {
    ($database:ident, $kind:ident, $transactions:literal) => {
        mod $database {
            use earnest_harness::Kind;

            #[tokio::test(flavor = "multi_thread")]
            async fn p2_p13_database_that_is_killed_and_comes_back() {
                super::killed(Kind::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn p13_frozen_database_fills_a_bounded_queue_and_loses_nothing() {
                super::frozen(earnest_harness::$database().await, $transactions).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn p13_slow_database_makes_larger_batches_and_no_errors() {
                super::slowed(earnest_harness::$database().await).await;
            }
        }
    };
}

over!(postgres, Postgres, "earnest.transactions");
over!(mariadb, Mariadb, "transactions");
