//! Each REST call that succeeds.

use std::time::Duration;

use earnest_protocol::CheckBackAnswer;
use earnest_store::QueryStore;
use serde_json::json;

use crate::support::Node;

#[tokio::test]
async fn prepare_confirm_and_get() {
    let node = Node::start().await;
    node.subscribe().await;
    let id = node.id().to_string();
    let body = json!({
        "id": id,
        "namespace": "default",
        "initiator": "cashier",
        "resource_id": "db-1",
        "business_key": "order-7",
        "messages": [
            { "topic": "order.placed", "key": "7", "headers": { "kind": "test" }, "payload": { "order": 7 } },
            { "topic": "order.placed", "payload_base64": "AAH/", "content_encoding": "gzip", "key_id": "k1" },
            { "topic": "order.placed", "payload": null },
        ],
        "options": { "check_after_ms": 2000, "outcome": "ASKED", "on_budget_spent": "CANCEL", "check_back_budget": 3 },
    });
    let (status, reply) = node.post("/v1/transactions", body.clone()).await;
    assert_eq!((status, &reply["created"]), (201, &json!(true)), "{reply}");
    let transaction = &reply["transaction"];
    assert_eq!(transaction["phase"], "PREPARED");
    assert_eq!(transaction["created_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(transaction["options"]["outcome"], "ASKED");
    assert_eq!(transaction["next_check_back"], "2027-01-15T08:00:02.000Z");

    let (status, again) = node.post("/v1/transactions", body).await;
    assert_eq!((status, &again["created"]), (200, &json!(false)));

    // The payload is the text as it was written.
    let kept = node
        .store
        .detail(id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let payloads: Vec<_> = kept.messages.iter().map(|m| m.payload.as_ref()).collect();
    assert_eq!(
        payloads,
        [br#"{"order":7}"#.as_slice(), b"\x00\x01\xff", b"null"]
    );
    assert_eq!(kept.messages[0].content_type, "application/json");
    assert_eq!(kept.messages[1].content_type, "");

    let path = format!("/v1/transactions/{id}/confirm");
    let (status, reply) = node.post(&path, json!({ "initiator": "cashier" })).await;
    assert_eq!(status, 200);
    assert_eq!(reply["transaction"]["phase"], "CONFIRMING");
    assert_eq!(reply["transaction"]["decided_by"], "initiator");
    // Without a body it is the same call.
    assert_eq!(node.call("POST", &path, None).await.0, 200);

    let (status, detail) = node.get(&format!("/v1/transactions/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(detail["messages"][1]["payload_bytes"], 3);
    assert_eq!(detail["deliveries"].as_array().unwrap().len(), 3);
    assert_eq!(detail["deliveries"][0]["subscription"], "ledger");
    assert!(
        detail["summary"]
            .as_str()
            .unwrap()
            .contains("subscription ledger")
    );
}

#[tokio::test]
async fn json_payloads_are_kept_byte_for_byte() {
    let node = Node::start().await;
    let id = node.id();
    let payload = "{ \"z\" : 1.0 ,\n \"a\":\"\\u00e9\" }";
    let body = format!(
        r#"{{"id":"{id}","initiator":"cashier","messages":[{{"topic":"t","payload":{payload}}}],
            "options":{{"allow_no_subscription":true}}}}"#
    );
    let request = node.request("POST", "/v1/transactions");
    let request = request.header("content-type", "application/json; charset=utf-8");
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let kept = node.store.detail(id).await.unwrap().unwrap();
    assert_eq!(kept.messages[0].payload, payload.as_bytes());
}

#[tokio::test]
async fn cancel_of_an_unknown_id_is_a_tombstone() {
    let node = Node::start().await;
    let path = format!("/v1/transactions/{}/cancel", node.id());
    let (status, reply) = node.post(&path, json!({ "namespace": "shop" })).await;
    assert_eq!(status, 200);
    let transaction = &reply["transaction"];
    assert_eq!(transaction["tombstone"], true);
    assert_eq!(transaction["initiator"], json!(null));
    assert_eq!(transaction["namespace"], "shop");
    let (_, detail) = node.get(path.strip_suffix("/cancel").unwrap()).await;
    assert_eq!(detail["transaction"]["phase"], "CANCELLED");
}

#[tokio::test]
async fn submit_makes_an_id_and_takes_the_trace_of_the_call() {
    let node = Node::start().await;
    node.subscribe().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = json!({ "initiator": "relay", "messages": [{ "topic": "order.placed" }] });
    let request = node.request("POST", "/v1/transactions/submit");
    let response = request
        .header("traceparent", trace)
        .json(&body)
        .send()
        .await;
    let reply: serde_json::Value = response.unwrap().json().await.unwrap();
    assert_eq!(reply["transaction"]["traceparent"], trace);
    assert_eq!(reply["transaction"]["phase"], "CONFIRMING");
    let (status, reply) = node.post("/v1/transactions/submit", body).await;
    assert_eq!((status, &reply["created"]), (201, &json!(true)));
}

#[tokio::test]
async fn list_filters_and_pages() {
    let node = Node::start().await;
    let old = node.prepared().await;
    node.clock.forward(Duration::from_mins(10));
    let parked = node.parked().await;
    let cancelled = node.prepared().await;
    node.post(&format!("/v1/transactions/{cancelled}/cancel"), json!({}))
        .await;
    let ids = async |query: &str| {
        let (status, page) = node.get(&format!("/v1/transactions{query}")).await;
        assert_eq!(status, 200, "{page}");
        let rows = page["transactions"].as_array().unwrap();
        let ids: Vec<_> = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        (ids, page["next_page_token"].clone())
    };
    let all = ids("").await.0;
    assert_eq!(all.len(), 3);
    assert_eq!(ids("?phase=PREPARED").await.0.len(), 2);
    assert_eq!(ids("?phase=PREPARED,CANCELLED").await.0, all);
    assert_eq!(ids("?phase=PREPARED&phase=CANCELLED").await.0, all);
    assert_eq!(ids("?older_than=5m").await.0, [old]);
    assert_eq!(ids("?parked=true").await.0, [parked]);
    assert_eq!(ids("?initiator=cashier&topic=order.placed").await.0, all);
    assert_eq!(ids("?initiator=other").await.0.len(), 0);
    assert_eq!(ids("?business_key=none").await.0.len(), 0);
    assert_eq!(ids("?namespace=other").await.0.len(), 0);
    let (first, token) = ids("?page_size=2").await;
    let token = token.as_str().unwrap();
    let (rest, end) = ids(&format!("?page_size=2&page_token={token}")).await;
    assert_eq!([first, rest].concat(), all);
    assert_eq!(end, json!(null));
}

#[tokio::test]
async fn operators_park_unpark_retry_and_decide() {
    let node = Node::start().await;
    let id = node.prepared().await;
    let at = |call: &str| format!("/v1/transactions/{id}/{call}");
    let body = json!({ "reason": "waiting for the bank", "actor": "ann" });
    let (_, reply) = node.post(&at("park"), body.clone()).await;
    assert_eq!(
        reply["transaction"]["parked_reason"],
        "waiting for the bank"
    );
    let (status, reply) = node.post(&at("unpark"), json!({ "actor": "ann" })).await;
    assert_eq!((status, &reply["made_due"]), (200, &json!(1)));
    assert_eq!(reply["transaction"]["parked_reason"], json!(null));
    assert_eq!(node.call("POST", &at("retry"), None).await.0, 200);
    node.post(&at("park"), body).await;
    node.initiator.says(CheckBackAnswer::Committed);
    let decide = json!({ "decision": "CONFIRM", "actor": "ann", "reason": "the bank said so" });
    let (status, reply) = node.post(&at("decide"), decide).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["transaction"]["decided_by"], "operator:ann");
}

#[tokio::test]
async fn services_are_put_added_to_replaced_and_deleted() {
    let node = Node::start().await;
    let path = "/v1/services/team%2Fledger";
    let body = json!({ "endpoints": [{ "url": "http://127.0.0.1:1" }] });
    let (status, reply) = node.put(path, body).await;
    assert_eq!(
        (status, &reply["service"]["name"]),
        (200, &json!("team/ledger"))
    );
    assert_eq!(reply["service"]["endpoints"][0]["protocol"], "HTTP");
    let body = json!({ "endpoints": [{ "url": "http://127.0.0.1:2", "protocol": "GRPC" }] });
    let (_, reply) = node.put(path, body).await;
    assert_eq!(reply["service"]["endpoints"].as_array().unwrap().len(), 2);
    let body = json!({ "endpoints": [{ "url": "http://127.0.0.1:3" }], "replace": true });
    node.put(path, body).await;
    let (_, reply) = node.get(path).await;
    assert_eq!(reply["service"]["endpoints"].as_array().unwrap().len(), 1);
    let (_, reply) = node.get("/v1/services").await;
    assert_eq!(reply["services"][0]["name"], "team/ledger");
    let (_, reply) = node.get("/v1/services?namespace=other").await;
    assert_eq!(reply["services"], json!([]));
    let (_, reply) = node.call("DELETE", path, None).await;
    assert_eq!(reply["deleted"], true);
    let (_, reply) = node.call("DELETE", path, None).await;
    assert_eq!(reply["deleted"], false);
}

#[tokio::test]
async fn subscriptions_are_put_paused_resumed_listed_and_deleted() {
    let node = Node::start().await;
    let path = "/v1/subscriptions/hook";
    let body = json!({
        "topic": "order.placed",
        "destination": { "webhook_url": "http://127.0.0.1:9/hook" },
        "ordered": true, "concurrency": 3, "timeout_ms": 500,
        "retry": { "initial_ms": 10, "multiplier_milli": 1500, "cap_ms": 1000 },
    });
    let (status, reply) = node.put(path, body).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["subscription"]["timeout_ms"], 500);
    let (_, reply) = node.call("POST", &format!("{path}/pause"), None).await;
    assert_eq!(reply["subscription"]["paused"], true);
    let (_, reply) = node.call("POST", &format!("{path}/resume"), None).await;
    assert_eq!(reply["subscription"]["paused"], false);
    let id = node.prepared().await;
    node.post(&format!("/v1/transactions/{id}/confirm"), json!({}))
        .await;
    let (_, reply) = node.get("/v1/subscriptions").await;
    assert_eq!(reply["subscriptions"][0]["pending"], 1);
    let (_, one) = node.get(path).await;
    assert_eq!(one, reply["subscriptions"][0]);
    let (_, reply) = node.call("DELETE", path, None).await;
    assert_eq!(reply["deleted"], true);
    let (_, detail) = node.get(&format!("/v1/transactions/{id}")).await;
    assert_eq!(detail["deliveries"][0]["state"], "PARKED");
}
