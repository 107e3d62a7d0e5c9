//! What `earnest tx show` and `earnest service show` say of branches and of the databases behind them.

use serde_json::json;

use super::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn shows_what_is_owed_to_whom_and_json_is_what_rest_answers() {
    let world = World::start().await;
    let body = json!({
        "initiator": "cashier",
        "branches": [
            { "service": "account", "action": "debit", "payload": { "cents": 7 } },
            { "service": "coupon", "action": "redeem" },
        ],
    });
    let prepared = world.post("/v1/transactions", body).await;
    let id = prepared["transaction"]["id"].as_str().unwrap().to_owned();
    let shown = world.earnest(&["tx", "show", &id]).await.ok().out;
    for part in [
        "Branches",
        "account",
        "debit",
        "coupon",
        "redeem",
        "REGISTERED",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    // Nobody is registered, so what is decided stays owed.
    world
        .post(&format!("/v1/transactions/{id}/cancel"), json!({}))
        .await;
    world
        .earnest(&["tx", "park", &id, "--reason", "coupon has moved"])
        .await
        .ok();
    let shown = world.earnest(&["tx", "show", &id]).await.ok().out;
    let first = shown.lines().next().unwrap();
    assert!(
        first.starts_with("Cancelled")
            && first
                .contains("but parked: cancel of branch 0 (debit) at account — coupon has moved"),
        "{shown}"
    );
    assert!(shown.contains("PARKED"), "{shown}");
    let retried = world
        .earnest(&["tx", "retry", &id, "--json"])
        .await
        .ok()
        .json();
    assert_eq!(retried["made_due"], 2, "{retried}");
    world.earnest(&["tx", "park", &id]).await.ok();
    let rest = world.rest(&format!("/v1/transactions/{id}")).await;
    let mut ours = world
        .earnest(&["tx", "show", &id, "--json"])
        .await
        .ok()
        .json();
    // The sentence counts time.
    ours["summary"] = rest["summary"].clone();
    assert_eq!(ours, rest);
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_whose_refusal_it_was_and_the_trys_that_are_left() {
    let world = World::start().await;
    let body = json!({
        "initiator": "cashier", "deadline_ms": 600_000, "wait_ms": 0,
        "branches": [{ "service": "account", "action": "debit" }],
    });
    let executed = world.post("/v1/transactions/execute", body).await;
    let id = executed["transaction"]["id"].as_str().unwrap().to_owned();
    let shown = world.earnest(&["tx", "show", &id]).await.ok().out;
    assert!(
        shown.starts_with("1 of 1 Trys have not been answered OK") && shown.contains("TRYING"),
        "{shown}"
    );
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_shown_with_the_databases_behind_it() {
    let world = World::start().await;
    let endpoint = json!({ "url": "http://127.0.0.1:9", "resource_id": "db-1" });
    world
        .put("/v1/services/account", json!({ "endpoints": [endpoint] }))
        .await;
    let shown = world
        .earnest(&["service", "show", "account"])
        .await
        .ok()
        .out;
    assert!(
        shown.contains("DATABASE") && shown.contains("db-1"),
        "{shown}"
    );
    world.node.shutdown().await;
}
