//! R5: the database comes back without what it acknowledged, under running nodes.

use std::fs;

use earnest_harness::Database;
use earnest_proto::v1::{self, coordinator_client::CoordinatorClient};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    nodes::until,
    support::{Served, earnest, run},
};

async fn cancel(node: &Served, id: u32, marks: Vec<v1::Mark>) -> Result<v1::Mark, Status> {
    let mut client = CoordinatorClient::connect(node.url.clone()).await.unwrap();
    let request = v1::CancelRequest {
        id: format!("01890a5d-ac96-774b-bcce-{id:012}"),
        marks,
        ..v1::CancelRequest::default()
    };
    let reply = client.cancel(request).await?.into_inner();
    Ok(reply.mark.expect("a mark"))
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!(info.metadata["retryable"], "true", "{status:?}");
    info.reason
}

async fn readiness(node: &Served) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", node.url)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn is_red(node: &Served, reason: &str) -> bool {
    let (status, body) = readiness(node).await;
    status == 503 && body["reason"] == reason
}

async fn losses(node: &Served) -> u64 {
    let text = reqwest::get(format!("{}/metrics", node.url))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("earnest_database_losses "));
    line.expect("the metric").parse().unwrap()
}

/// A file put in the place of the open one: nothing more is acknowledged into the void; restarted on an older copy, the
/// node hears of it from the first client that calls.
#[tokio::test(flavor = "multi_thread")]
async fn r5_sqlite_file_replaced_by_an_older_copy() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let start = || Served::start(directory.path(), &[]);
    let node = start();
    cancel(&node, 1, vec![]).await.unwrap();
    node.stop();
    fs::copy(at("earnest.db"), at("old.db")).unwrap();

    let node = start();
    let mark = cancel(&node, 2, vec![]).await.unwrap();
    fs::rename(at("old.db"), at("earnest.db")).unwrap();
    let refused = cancel(&node, 3, vec![]).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::Unavailable, "UNAVAILABLE")
    );
    let (status, body) = readiness(&node).await;
    assert_eq!(status, 503);
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("was replaced or removed"),
        "{body}"
    );
    drop(node);
    for suffix in ["-wal", "-shm"] {
        drop(fs::remove_file(at(&format!("earnest.db{suffix}"))));
    }

    let node = start();
    assert_eq!((readiness(&node).await.0, losses(&node).await), (200, 0));
    let refused = cancel(&node, 3, vec![mark]).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::Unavailable, "DATABASE_LOSS")
    );
    assert!(is_red(&node, "database-loss").await);
    until(async || losses(&node).await == 1).await;
    node.stop();
    // Whoever comes after it knows of it without being told.
    let node = start();
    assert!(is_red(&node, "database-loss").await);
    let other = cancel(&node, 3, vec![]).await.unwrap_err();
    assert_eq!(reason(&other), "DATABASE_LOSS");

    let mut show = earnest(directory.path());
    let shown = run(show.args(["database", "show", "--json", "--server", &node.url]))
        .ok()
        .json();
    let loss = &shown["database"]["losses"][0];
    assert_eq!(
        (&loss["acknowledged"], &loss["found"]),
        (&Value::from(1), &Value::from(0))
    );
    let mut accept = earnest(directory.path());
    accept.args([
        "database",
        "accept-loss",
        "--reason",
        "a test",
        "--server",
        &node.url,
    ]);
    let asked = run(&mut accept).failed(1);
    assert!(
        asked.out.contains("may be lost") && asked.err.contains("--yes"),
        "{asked:#?}"
    );
    assert!(is_red(&node, "database-loss").await);
    run(accept.arg("--yes")).ok();
    assert_eq!((readiness(&node).await.0, losses(&node).await), (200, 0));
    let later = cancel(&node, 3, vec![mark]).await.unwrap();
    assert_eq!(later.incarnation, 2);
    cancel(&node, 4, vec![mark, later]).await.unwrap();
    node.stop();
}

/// An older copy under two running nodes: both turn red by themselves, though only one of them had written since, and one
/// command for either of them lets both go on.
async fn restored_under_running_nodes(database: Database) {
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let arguments = ["--database", database.url(), "--set", "lease_ms=600"];
        Served::start(directory.path(), &arguments)
    };
    let first = start();
    cancel(&first, 1, vec![]).await.unwrap();
    first.stop();
    let backup = database.back_up().await;

    let (writer, idle) = (start(), start());
    let mark = cancel(&writer, 2, vec![]).await.unwrap();
    backup.restore().await;
    for node in [&writer, &idle] {
        until(async || is_red(node, "database-loss").await).await;
        let refused = cancel(node, 3, vec![]).await.unwrap_err();
        assert_eq!(reason(&refused), "DATABASE_LOSS");
    }
    let mut accept = earnest(directory.path());
    accept.args([
        "database",
        "accept-loss",
        "--reason",
        "a test",
        "--yes",
        "--server",
        &idle.url,
    ]);
    let accepted = run(&mut accept).ok();
    assert!(accepted.out.contains("incarnation 2"), "{accepted:#?}");
    for (node, id) in [(&writer, 3), (&idle, 4)] {
        until(async || readiness(node).await.0 == 200).await;
        assert_eq!(cancel(node, id, vec![mark]).await.unwrap().incarnation, 2);
    }
    writer.stop();
    idle.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_postgres_restored_under_running_nodes() {
    restored_under_running_nodes(earnest_harness::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_mysql_restored_under_running_nodes() {
    restored_under_running_nodes(earnest_harness::mariadb().await).await;
}
