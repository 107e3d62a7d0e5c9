//! Branches over REST: every call and reply is held to the OpenAPI document.

use serde_json::{Value, json};

use crate::support::Node;

fn branch(service: &str) -> Value {
    json!({ "service": service, "action": "debit", "resource_id": "db-1", "payload": { "cents": 7 } })
}

fn placed(ordinal: u32, service: &str) -> Value {
    let mut branch = branch(service);
    branch["ordinal"] = ordinal.into();
    branch
}

/// Prepares a transaction of cashier's with one branch; returns its path.
async fn reserved(node: &Node) -> String {
    let id = node.id().to_string();
    let body = json!({ "id": id, "initiator": "cashier", "branches": [branch("account")] });
    let (status, reply) = node.post("/v1/transactions", body).await;
    assert_eq!(status, 201, "{reply}");
    format!("/v1/transactions/{id}")
}

fn refused((status, problem): (u16, Value)) -> (u16, String) {
    assert!(!problem["hint"].as_str().unwrap().is_empty());
    (status, problem["code"].as_str().unwrap().to_owned())
}

fn states(detail: &Value) -> Vec<&str> {
    let branches = detail["branches"].as_array().unwrap();
    branches
        .iter()
        .map(|b| b["state"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn branches_are_prepared_registered_decided_and_shown() {
    let node = Node::start().await;
    node.subscribe().await;
    let path = reserved(&node).await;
    let further = json!({
        "initiator": "cashier",
        "branches": [
            placed(1, "coupon"),
            { "ordinal": 2, "service": "credit", "action": "hold", "payload_base64": "/wA=" },
        ],
        "messages": [{ "ordinal": 0, "topic": "order.placed", "payload": 1 }],
    });
    for _ in 0..2 {
        let (status, reply) = node
            .post(&format!("{path}/branches"), further.clone())
            .await;
        assert_eq!(status, 200, "{reply}");
        assert_eq!(reply["transaction"]["branch_count"], 3);
        assert_eq!(reply["transaction"]["message_count"], 1);
    }
    let (_, detail) = node.get(&path).await;
    assert_eq!(states(&detail), ["REGISTERED"; 3]);
    assert_eq!(detail["branches"][0]["resource_id"], "db-1");
    assert_eq!(detail["branches"][0]["content_type"], "application/json");
    assert_eq!(detail["branches"][2]["action"], "hold");
    assert_eq!(detail["branches"][2]["payload_bytes"], 2);
    // Nothing drives them here, so the wait ends with what stands.
    let body = json!({ "initiator": "cashier", "wait_ms": 50, "until": "FINAL" });
    let (status, reply) = node.post(&format!("{path}/confirm"), body).await;
    assert_eq!(
        (status, &reply["transaction"]["phase"]),
        (200, &json!("CONFIRMING"))
    );
    assert_eq!(reply["transaction"]["open_effects"], 4);
    let (_, detail) = node.get(&format!("{path}?wait_ms=50&until=DECISION")).await;
    assert_eq!(states(&detail), ["PENDING"; 3]);
    let sentence = detail["summary"].as_str().unwrap();
    assert!(
        sentence.starts_with("confirm of branch 0 (debit) at account has been owed"),
        "{sentence}"
    );
    let (status, _) = node
        .post(&format!("{path}/park"), json!({ "actor": "ann" }))
        .await;
    assert_eq!(status, 200);
    let (_, detail) = node.get(&path).await;
    assert_eq!(states(&detail), ["PARKED"; 3]);
    let (_, reply) = node
        .post(&format!("{path}/unpark"), json!({ "actor": "ann" }))
        .await;
    assert_eq!(reply["made_due"], 4);
}

#[tokio::test]
async fn execute_records_trys_and_a_cancel_takes_them_back() {
    let node = Node::start().await;
    let id = node.id().to_string();
    let body = json!({
        "id": id, "initiator": "cashier", "deadline_ms": 60_000, "wait_ms": 0, "until": "DECISION",
        "branches": [branch("account"), branch("coupon")],
    });
    let (status, reply) = node.post("/v1/transactions/execute", body.clone()).await;
    assert_eq!(status, 201, "{reply}");
    assert_eq!(reply["transaction"]["phase"], "PREPARED");
    assert_eq!(reply["transaction"]["options"]["outcome"], "EXECUTED");
    let (status, reply) = node.post("/v1/transactions/execute", body).await;
    assert_eq!((status, &reply["created"]), (200, &json!(false)));
    let path = format!("/v1/transactions/{id}");
    let (_, detail) = node.get(&path).await;
    assert_eq!(states(&detail), ["TRYING"; 2]);
    let early = node.post(&format!("{path}/confirm"), json!({})).await;
    assert_eq!(refused(early), (409, "UNTRIED".into()));
    let (status, _) = node.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(status, 200);
    let (_, detail) = node.get(&path).await;
    assert_eq!(detail["transaction"]["phase"], "CANCELLING");
    assert_eq!(states(&detail), ["PENDING"; 2]);
}

#[tokio::test]
async fn invalid_branches_name_the_field() {
    let node = Node::start().await;
    let both = json!({ "service": "a", "action": "b", "payload": 1, "payload_base64": "" });
    let many = vec![branch("account"); 101];
    let cases = [
        ("", json!({ "branches": [{ "service": "a" }] }), "action"),
        (
            "",
            json!({ "branches": [{ "service": "", "action": "b" }] }),
            "branches[0].service",
        ),
        (
            "",
            json!({ "branches": [branch("a"), { "service": "a", "action": "x y" }] }),
            "branches[1].action",
        ),
        ("", json!({ "branches": [both] }), "branches[0]"),
        ("", json!({ "branches": [placed(0, "account")] }), "ordinal"),
        (
            "",
            json!({ "branches": [{ "service": "a", "action": "b", "colour": 1 }] }),
            "colour",
        ),
        ("", json!({ "branches": many }), "101"),
        (
            "",
            json!({ "branches": [branch("a")], "options": { "outcome": "EXECUTED" } }),
            "EXECUTED",
        ),
        ("/execute", json!({ "branches": [] }), "branches"),
        (
            "/execute",
            json!({ "branches": [branch("a")], "options": {} }),
            "options",
        ),
    ];
    for (path, mut body, named) in cases {
        body["initiator"] = "cashier".into();
        let (status, problem) = node
            .post(&format!("/v1/transactions{path}"), body.clone())
            .await;
        let text = problem.to_string();
        assert!(matches!(status, 400 | 413), "{status} for {body}: {text}");
        assert!(text.contains(named), "{named} in {text}");
    }
    let path = reserved(&node).await;
    for (body, named) in [
        (json!({}), "branches"),
        (
            json!({ "branches": [branch("a")] }),
            "branches[0] has no ordinal",
        ),
        (
            json!({ "messages": [{ "topic": "t" }] }),
            "messages[0] has no ordinal",
        ),
    ] {
        let (status, problem) = node.post(&format!("{path}/branches"), body).await;
        assert_eq!(status, 400);
        assert!(problem.to_string().contains(named), "{named} in {problem}");
    }
    for query in ["until=NEVER&wait_ms=1", "wait_ms=soon", "wait=1"] {
        let (status, problem) = node.get(&format!("{path}?{query}")).await;
        assert_eq!(status, 400, "{problem}");
    }
}

#[tokio::test]
async fn t4_registrations_that_are_refused_change_nothing() {
    let node = Node::start().await;
    let path = reserved(&node).await;
    let register = async |body: Value| node.post(&format!("{path}/branches"), body).await;
    let other = register(json!({ "branches": [placed(0, "coupon")] })).await;
    assert_eq!(refused(other), (409, "BRANCH_REUSED".into()));
    let gap = register(json!({ "messages": [{ "ordinal": 5, "topic": "order.placed" }] })).await;
    assert_eq!(refused(gap), (409, "BRANCH_REUSED".into()));
    let nowhere =
        register(json!({ "messages": [{ "ordinal": 0, "topic": "order.placed" }] })).await;
    assert_eq!(refused(nowhere), (422, "NO_SUBSCRIPTION".into()));
    let many: Vec<_> = (1..=100).map(|n| placed(n, "coupon")).collect();
    assert_eq!(
        refused(register(json!({ "branches": many })).await),
        (413, "TOO_LARGE".into())
    );
    let foreign = json!({ "initiator": "thief", "branches": [placed(1, "coupon")] });
    assert_eq!(
        refused(register(foreign).await),
        (403, "NOT_INITIATOR".into())
    );
    let unknown = format!("/v1/transactions/{}/branches", node.id());
    let unknown = node
        .post(&unknown, json!({ "branches": [placed(0, "a")] }))
        .await;
    assert_eq!(refused(unknown), (404, "NOT_FOUND".into()));
    node.post(&format!("{path}/cancel"), json!({})).await;
    let late = register(json!({ "branches": [placed(1, "coupon")] })).await;
    assert_eq!(late.1["transaction"]["phase"], "CANCELLING");
    assert_eq!(refused(late), (409, "DECIDED".into()));
    let (_, detail) = node.get(&path).await;
    assert_eq!(states(&detail), ["PENDING"]);
}

#[tokio::test]
async fn services_say_which_database_is_behind_an_endpoint() {
    let node = Node::start().await;
    let body = json!({ "endpoints": [{ "url": "http://127.0.0.1:1", "resource_id": "db-1" }] });
    let (status, reply) = node.put("/v1/services/account", body).await;
    assert_eq!(status, 200, "{reply}");
    let (_, reply) = node.get("/v1/services/account").await;
    assert_eq!(reply["service"]["endpoints"][0]["resource_id"], "db-1");
}
