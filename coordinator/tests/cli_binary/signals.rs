//! SIGTERM drains; a second signal ends at once.

use std::sync::Arc;

use axum::{Router, routing::post};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::support::{Served, earnest, run};

/// A destination that takes a message and answers when it is told to.
struct Destination {
    url: String,
    asked: Arc<Notify>,
    /// Cancelled: every call is answered.
    open: CancellationToken,
}

impl Destination {
    async fn start() -> Self {
        let (asked, open) = (Arc::new(Notify::new()), CancellationToken::new());
        let (note, wait) = (Arc::clone(&asked), open.clone());
        let hook = async move || {
            note.notify_one();
            wait.cancelled().await;
        };
        let app = Router::new().route("/hook", post(hook));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked, open }
    }
}

/// A coordinator with one delivery under way, and the transaction's id.
async fn delivering(directory: &std::path::Path, destination: &Destination) -> (Served, String) {
    let served = Served::start(directory, &[]);
    let hook = &destination.url;
    run(earnest(directory).args([
        "subscription",
        "add",
        "hook",
        "--topic",
        "t",
        "--webhook-url",
        hook,
        "--server",
        &served.url,
    ]))
    .ok();
    let body =
        serde_json::json!({ "initiator": "shop", "messages": [{ "topic": "t", "payload": {} }] });
    let url = format!("{}/v1/transactions/submit", served.url);
    let answer = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    destination.asked.notified().await;
    (
        served,
        answer["transaction"]["id"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let destination = Destination::start().await;
    let (served, id) = delivering(directory.path(), &destination).await;
    served.signal("TERM");
    served.wait_for_log("draining");
    destination.open.cancel();
    assert!(served.wait().success());

    let served = Served::start(directory.path(), &[]);
    let shown =
        run(earnest(directory.path()).args(["tx", "show", &id, "--json", "--server", &served.url]))
            .ok()
            .json();
    assert_eq!(shown["transaction"]["phase"], "CONFIRMED", "{shown}");
    assert_eq!(shown["deliveries"][0]["attempts"], 1, "{shown}");
    served.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let destination = Destination::start().await;
    let (served, id) = delivering(directory.path(), &destination).await;
    served.signal("INT");
    served.wait_for_log("draining");
    served.signal("TERM");
    assert_eq!(served.wait().code(), Some(130));

    // The delivery was never answered: it is made again.
    let served = Served::start(directory.path(), &[]);
    destination.asked.notified().await;
    let shown =
        run(earnest(directory.path()).args(["tx", "show", &id, "--json", "--server", &served.url]))
            .ok()
            .json();
    assert_eq!(shown["transaction"]["phase"], "CONFIRMING", "{shown}");
    destination.open.cancel();
    served.stop();
}
