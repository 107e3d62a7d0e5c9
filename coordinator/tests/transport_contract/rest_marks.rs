//! R5 over REST: marks come in a header and are held against the database when they are sent back.

use http::StatusCode;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::Node;

const HEADER: &str = "earnest-mark";

async fn prepare(node: &Node, marks: &[&str]) -> Response {
    let body = json!({ "id": node.id().to_string(), "initiator": "relay", "options": { "allow_no_subscription": true },
        "messages": [{ "topic": "order.placed" }] });
    let mut request = node.request("POST", "/v1/transactions");
    for mark in marks {
        request = request.header(HEADER, *mark);
    }
    request.json(&body).send().await.unwrap()
}

fn mark_of(response: &Response) -> Option<String> {
    let value = response.headers().get(HEADER)?;
    Some(value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn r5_what_was_told_is_held_against_the_database() {
    let node = Node::start().await;
    let first = prepare(&node, &[]).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let mark = mark_of(&first).expect("a reply to a call that writes has a mark");
    let again = prepare(&node, &[&mark]).await;
    assert_eq!(again.status(), StatusCode::CREATED, "nothing is missing");
    assert_ne!(mark_of(&again), Some(mark.clone()), "it goes on counting");

    // What another database acknowledged.
    let numbers: Vec<i64> = mark.split('.').map(|n| n.parse().unwrap()).collect();
    let [incarnation, line, batches, at_us] = numbers[..] else {
        panic!("{mark}");
    };
    let newer = format!("{incarnation}.{line}.{}.{at_us}", batches + 1_000);
    let refused = prepare(&node, &[&mark, &newer]).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(mark_of(&refused), None);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "DATABASE_LOSS", "{problem}");
    // It is noticed for everybody.
    assert_eq!(prepare(&node, &[]).await.status(), 503);
    let (status, _) = node.get("/v1/transactions").await;
    assert_eq!(status, 200, "queries are answered");
}

#[tokio::test]
async fn what_is_no_mark_is_refused_and_says_so() {
    let node = Node::start().await;
    let refused = prepare(&node, &["yesterday"]).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let problem: Value = refused.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Earnest-Mark: `yesterday`"), "{detail}");

    let many = vec!["1.1.1.1"; 65].join(",");
    let refused = prepare(&node, &[&many]).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}
