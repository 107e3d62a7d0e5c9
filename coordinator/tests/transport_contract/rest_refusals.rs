//! Each refusal over REST: a problem with a code, and what to do. Nothing is changed by any of them.

use std::time::Duration;

use earnest_coordinator::journal::JournalOptions;
use earnest_protocol::CheckBackAnswer;
use earnest_store::RetentionStore;
use serde_json::{Value, json};

use crate::support::{Node, Setting};

fn refused((status, problem): &(u16, Value)) -> (u16, &str) {
    assert_eq!(problem["status"], *status, "{problem}");
    assert!(!problem["hint"].as_str().unwrap().is_empty());
    (*status, problem["code"].as_str().unwrap())
}

#[tokio::test]
async fn invalid_values_name_the_field() {
    let node = Node::start().await;
    let message = json!({ "topic": "t" });
    let cases = [
        (json!({}), "initiator"),
        (json!({ "initiator": "" }), "initiator"),
        (json!({ "initiator": "a", "id": "order-1" }), "order-1"),
        (
            json!({ "initiator": "a", "id": "9b2e7c1a-3f64-4c1d-8a57-0d1f2e3c4b5a" }),
            "version 4",
        ),
        (json!({ "initiator": "a", "namespace": "x y" }), "namespace"),
        (json!({ "initiator": "a", "colour": 1 }), "colour"),
        (json!({ "initiator": "a", "messages": [{}] }), "topic"),
        (
            json!({ "initiator": "a", "messages": [{ "topic": "" }] }),
            "messages[0].topic",
        ),
        (
            json!({ "initiator": "a", "messages": [{ "topic": "t", "tpoic": "t" }] }),
            "tpoic",
        ),
        (
            json!({ "initiator": "a", "messages": [message, { "topic": "t", "payload": 1, "payload_base64": "" }] }),
            "messages[1]",
        ),
        (
            json!({ "initiator": "a", "messages": [{ "topic": "t", "payload_base64": "%" }] }),
            "payload_base64",
        ),
        (
            json!({ "initiator": "a", "messages": [{ "topic": "t", "deliver_after_ms": 5 }] }),
            "deliver_after_ms",
        ),
        (
            json!({ "initiator": "a", "options": { "outcome": "MAYBE" } }),
            "MAYBE",
        ),
        (
            json!({ "initiator": "a", "options": { "on_budget_spent": "CANCEL" } }),
            "options",
        ),
        (
            json!({ "initiator": "a", "options": { "check_after_ms": 9_999_999_999_999_u64 } }),
            "check_after",
        ),
        (json!([1]), "JSON"),
    ];
    for (body, named) in cases {
        let reply = node.post("/v1/transactions", body.clone()).await;
        assert_eq!(refused(&reply), (400, "INVALID"), "{body}");
        let detail = reply.1["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{detail} does not name {named}");
    }
    let (_, page) = node.get("/v1/transactions").await;
    assert_eq!(page["transactions"], json!([]));
}

#[tokio::test]
async fn bad_ids_queries_and_registrations_are_invalid() {
    let node = Node::start().await;
    for call in ["", "/confirm", "/cancel", "/retry", "/park"] {
        let method = if call.is_empty() { "GET" } else { "POST" };
        let path = format!("/v1/transactions/order-1{call}");
        let reply = node.call(method, &path, None).await;
        assert_eq!(refused(&reply), (400, "INVALID"), "{path}");
    }
    for query in [
        "phase=DONE",
        "older_than=5",
        "older_than=soon",
        "parked=yes",
        "page_size=-1",
        "page_token=x",
        "colour=red",
        "topic=a&topic=b",
        "initiator=a%20b",
        "namespace=%20",
    ] {
        let reply = node.get(&format!("/v1/transactions?{query}")).await;
        assert_eq!(refused(&reply), (400, "INVALID"), "{query}");
    }
    for body in [
        json!({}),
        json!({ "endpoints": [{ "url": "ftp://h" }] }),
        json!({ "endpoints": [{ "url": "https://h" }] }),
        json!({ "endpoints": [{ "url": "http://h", "protocol": "SOAP" }] }),
        json!({ "namespace": "a", "endpoints": [{ "url": "http://h" }] }),
    ] {
        let reply = node.put("/v1/services/s?namespace=b", body.clone()).await;
        assert_eq!(refused(&reply), (400, "INVALID"), "{body}");
    }
    for body in [
        json!({ "topic": "t" }),
        json!({ "topic": "t", "destination": {} }),
        json!({ "topic": "t", "destination": { "service": "a b" } }),
        json!({ "topic": "t", "destination": { "webhook_url": "nowhere" } }),
        json!({ "topic": "", "destination": { "service": "a" } }),
        json!({ "topic": "t", "destination": { "service": "a" }, "timeout_ms": 9_999_999 }),
        json!({ "topic": "t", "destination": { "service": "a" },
                "retry": { "initial_ms": 0, "multiplier_milli": 2000, "cap_ms": 1 } }),
    ] {
        let reply = node.put("/v1/subscriptions/s", body.clone()).await;
        assert_eq!(refused(&reply), (400, "INVALID"), "{body}");
    }
    assert_eq!(node.get("/v1/services").await.1["services"], json!([]));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let node = Node::start().await;
    let id = node.id();
    for (method, path) in [
        ("GET", format!("/v1/transactions/{id}")),
        ("POST", format!("/v1/transactions/{id}/confirm")),
        ("POST", format!("/v1/transactions/{id}/retry")),
        ("GET", "/v1/services/none".into()),
        ("GET", "/v1/subscriptions/none".into()),
        ("POST", "/v1/subscriptions/none/pause".into()),
    ] {
        let reply = node.call(method, &path, None).await;
        assert_eq!(refused(&reply), (404, "NOT_FOUND"), "{path}");
    }
}

#[tokio::test]
async fn conflicts_show_the_transaction() {
    let node = Node::start().await;
    let id = node.prepared().await;
    let other = json!({ "id": id, "initiator": "cashier" });
    let reply = node.post("/v1/transactions", other).await;
    assert_eq!(refused(&reply), (409, "ID_REUSED"));

    let at = |call: &str| format!("/v1/transactions/{id}/{call}");
    let reply = node
        .post(&at("confirm"), json!({ "initiator": "thief" }))
        .await;
    assert_eq!(refused(&reply), (403, "NOT_INITIATOR"));

    let decide = json!({ "decision": "CANCEL" });
    let reply = node.post(&at("decide"), decide.clone()).await;
    assert_eq!(refused(&reply), (409, "NOT_PARKED"));
    assert_eq!(reply.1["transaction"]["phase"], "PREPARED");

    node.post(&at("park"), json!({})).await;
    node.initiator.says(CheckBackAnswer::Committed);
    let reply = node.post(&at("decide"), decide).await;
    assert_eq!(refused(&reply), (409, "OUTCOME_UNCLEAR"));

    node.post(&at("cancel"), json!({})).await;
    let reply = node.post(&at("confirm"), json!({})).await;
    assert_eq!(refused(&reply), (409, "DECIDED"));
    assert_eq!(reply.1["transaction"]["phase"], "CANCELLED");
    assert_eq!(reply.1["transaction"]["decided_by"], "initiator");
    assert_eq!(reply.1["retryable"], false);
}

#[tokio::test]
async fn a_topic_without_subscription_and_an_old_id_are_refused() {
    let node = Node::start().await;
    let body = json!({ "initiator": "a", "messages": [{ "topic": "nobody.asked" }] });
    let reply = node.post("/v1/transactions", body).await;
    assert_eq!(refused(&reply), (422, "NO_SUBSCRIPTION"));

    let old = node.id();
    node.clock.forward(Duration::from_secs(1));
    let finished = node.prepared().await;
    node.post(&format!("/v1/transactions/{finished}/cancel"), json!({}))
        .await;
    node.clock.forward(Duration::from_hours(48));
    let purged = node
        .store
        .purge(Duration::from_hours(24), 10)
        .await
        .unwrap();
    assert_eq!(purged.removed, 1);
    let body = json!({ "id": old.to_string(), "initiator": "cashier" });
    let reply = node.post("/v1/transactions", body).await;
    assert_eq!(refused(&reply), (410, "ID_TOO_OLD"));
}

#[tokio::test]
async fn overload_and_a_stopped_journal_are_retryable() {
    let full = JournalOptions {
        queue_commands: 0,
        ..JournalOptions::default()
    };
    let overloaded = Setting {
        journal: full,
        ..Setting::default()
    };
    let stopped = Setting {
        journal_closed: true,
        ..Setting::default()
    };
    for (setting, status, code) in [
        (overloaded, 429, "OVERLOADED"),
        (stopped, 503, "UNAVAILABLE"),
    ] {
        let node = Node::with(setting).await;
        let path = format!("/v1/transactions/{}/confirm", node.id());
        let response = node.request("POST", &path).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["retry-after"], "1");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(
            (&problem["code"], &problem["retryable"]),
            (&json!(code), &json!(true))
        );
    }
}

#[tokio::test]
async fn what_http_itself_gets_wrong_is_a_problem_too() {
    let node = Node::start().await;
    let reply = node.get("/v1/nothing").await;
    assert_eq!(refused(&reply), (404, "UNKNOWN_PATH"));
    let reply = node.call("PATCH", "/v1/transactions", None).await;
    assert_eq!(refused(&reply), (405, "METHOD_NOT_ALLOWED"));
    let response = node.request("DELETE", "/v1/services").send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    let reply = node.get("/v1/services/%FF").await;
    assert_eq!(refused(&reply), (400, "INVALID"));

    let send = async |content_type: Option<&str>, body: &'static str| {
        let mut request = node.request("POST", "/v1/transactions").body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let response = request.send().await.unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        (response.status().as_u16(), response.json().await.unwrap())
    };
    let json = Some("application/json");
    assert_eq!(refused(&send(json, "{").await), (400, "INVALID"));
    assert_eq!(refused(&send(json, "").await), (400, "INVALID"));
    assert_eq!(refused(&send(json, "\u{0}").await), (400, "INVALID"));
    let form = Some("application/x-www-form-urlencoded");
    assert_eq!(
        refused(&send(form, "{}").await),
        (415, "UNSUPPORTED_MEDIA_TYPE")
    );
    assert_eq!(
        refused(&send(None, "{}").await),
        (415, "UNSUPPORTED_MEDIA_TYPE")
    );
}

#[tokio::test]
async fn another_sites_page_may_not_call() {
    let node = Node::start().await;
    let path = "/v1/subscriptions/none/pause";
    let request = node.request("POST", path);
    let response = request.header("origin", "http://evil.example").send();
    assert_eq!(response.await.unwrap().status(), 403);
    let request = node.request("POST", path).header("origin", &node.url);
    assert_eq!(request.send().await.unwrap().status(), 404);
}
