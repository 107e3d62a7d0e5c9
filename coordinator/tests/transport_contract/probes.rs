//! What is asked of a node itself, over HTTP/1.1 and HTTP/2.

use serde_json::{Value, json};
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::support::Node;

#[tokio::test]
async fn index_and_openapi_lead_on() {
    let node = Node::start().await;
    let (status, index) = node.get("/").await;
    assert_eq!((status, &index["openapi"]), (200, &json!("/openapi.json")));
    let (status, document) = node.get("/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
}

#[tokio::test]
async fn readiness_turns_red_when_the_drain_begins_and_liveness_does_not() {
    let node = Node::start().await;
    let (status, ready) = node.get("/readyz").await;
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    assert_eq!(
        ready["durable"],
        json!(false),
        "the memory store says what it is"
    );
    node.draining.cancel();
    let (status, unready) = node.get("/readyz").await;
    assert_eq!((status, &unready["reason"]), (503, &json!("draining")));
    assert_eq!(
        node.get("/healthz").await,
        (200, json!({ "status": "alive" }))
    );
}

#[tokio::test]
async fn metrics_are_open_metrics_with_what_the_store_knows() {
    let node = Node::start().await;
    node.subscribe().await;
    let id = node.prepared().await;
    node.post(&format!("/v1/transactions/{id}/confirm"), json!({}))
        .await;
    let response = node.request("GET", "/metrics").send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let text = response.text().await.unwrap();
    for line in [
        r#"earnest_transactions{phase="CONFIRMING"} 1"#,
        r#"earnest_owed_deliveries{namespace="default",subscription="ledger",state="pending"} 1"#,
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn rest_answers_over_http2_on_the_same_port() {
    let node = Node::start().await;
    let mut channel = node.channel();
    let request = http::Request::get("/v1/nothing")
        .body(Body::empty())
        .unwrap();
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    let problem: Value = serde_json::from_slice(&body.unwrap().to_bytes()).unwrap();
    assert_eq!(problem["code"], "UNKNOWN_PATH");
    let response = node.request("GET", "/healthz").send().await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
}
