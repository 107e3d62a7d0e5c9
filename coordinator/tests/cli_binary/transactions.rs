//! `earnest tx` against a running node.

use serde_json::{Value, json};

use super::support::World;

/// Records a transaction that nobody decides, and returns its id.
async fn prepared(world: &World, key: &str) -> String {
    prepared_as(world, key, None).await
}

/// With an id of the caller's: ids of the same millisecond come in any order.
async fn prepared_as(world: &World, key: &str, id_of_caller: Option<&str>) -> String {
    let body = json!({
        "id": id_of_caller,
        "initiator": "cashier",
        "business_key": key,
        "messages": [{ "topic": "payments", "key": "alice", "payload": { "amount": 5 } }],
        "options": { "check_after_ms": 600_000, "allow_no_subscription": true },
    });
    id(&world.post("/v1/transactions", body).await)
}

fn id(answer: &Value) -> String {
    answer["transaction"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {answer}"))
        .to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    let each = |of: &Value| of["id"].as_str().unwrap().to_owned();
    list["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(each)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_by_every_filter_and_says_what_an_empty_list_means() {
    let world = World::start().await;
    assert!(
        world
            .earnest(&["tx", "list"])
            .await
            .ok()
            .out
            .contains("no transactions yet")
    );
    let [early, late] = [
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5d-ac97-774b-bcce-b302099a8057",
    ];
    let first = prepared_as(&world, "order-1", Some(early)).await;
    let second = prepared_as(&world, "order-2", Some(late)).await;
    world
        .post(&format!("/v1/transactions/{second}/cancel"), json!({}))
        .await;
    world
        .earnest(&["tx", "park", &first, "--reason", "looking into it"])
        .await
        .ok();

    let cases: [(&[&str], Vec<&String>); 9] = [
        (&[], vec![&second, &first]),
        (&["--phase", "prepared"], vec![&first]),
        (&["--phase", "prepared,cancelled"], vec![&second, &first]),
        (&["--key", "order-2"], vec![&second]),
        (&["--initiator", "cashier"], vec![&second, &first]),
        (&["--initiator", "nobody"], vec![]),
        (&["--topic", "payments", "--parked"], vec![&first]),
        (&["--older-than", "1h"], vec![]),
        (&["--namespace", "other"], vec![]),
    ];
    for (filter, expected) in cases {
        let list = world
            .earnest(&[&["tx", "list", "--json"], filter].concat())
            .await
            .ok()
            .json();
        assert_eq!(
            ids(&list).iter().collect::<Vec<_>>(),
            expected,
            "{filter:?}"
        );
    }
    let table = world
        .earnest(&["tx", "list", "--limit", "1"])
        .await
        .ok()
        .out;
    assert!(
        table.contains(&second) && !table.contains(&first) && table.contains("--limit 10"),
        "{table}"
    );
    let empty = world
        .earnest(&["tx", "list", "--older-than", "1h"])
        .await
        .ok()
        .out;
    assert!(empty.contains("no transaction matches"), "{empty}");
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_the_sentence_first_and_json_is_what_rest_answers() {
    let world = World::start().await;
    let id = prepared(&world, "order-1").await;
    let rest = world.rest(&format!("/v1/transactions/{id}")).await;
    let shown = world.earnest(&["tx", "show", &id]).await.ok().out;
    let first = shown.lines().next().unwrap();
    assert!(
        first.starts_with("cashier has owed a decision for"),
        "{shown}"
    );
    for part in ["PREPARED", "order-1", "Messages", "payments", "alice"] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    let mut ours = world
        .earnest(&["tx", "show", &id, "--json"])
        .await
        .ok()
        .json();
    // The sentence counts time.
    ours["summary"] = rest["summary"].clone();
    assert_eq!(ours, rest);
    let list = world.earnest(&["tx", "list", "--json"]).await.ok().json();
    assert_eq!(list, world.rest("/v1/transactions").await);
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_decide_only_what_is_parked_and_are_told_why() {
    let world = World::start().await;
    let id = prepared(&world, "order-1").await;
    let refused = world.earnest(&["tx", "confirm", &id]).await.failed(1);
    assert!(
        refused.err.contains("NOT_PARKED") && refused.err.contains("what to do:"),
        "{refused:#?}"
    );

    world
        .earnest(&["tx", "park", &id, "--reason", "cashier is gone"])
        .await
        .ok();
    let shown = world.earnest(&["tx", "show", &id]).await.ok().out;
    assert!(
        shown.starts_with("Parked and undecided") && shown.contains("cashier is gone"),
        "{shown}"
    );
    // Nobody can be asked: cashier has no endpoint.
    let refused = world.earnest(&["tx", "cancel", &id]).await.failed(1);
    assert!(
        refused.err.contains("OUTCOME_UNCLEAR") && refused.err.contains("force"),
        "{refused:#?}"
    );

    let cancel = ["tx", "cancel", &id, "--force", "--reason", "ticket 12"];
    let done = world.earnest(&cancel).await.ok().out;
    assert!(
        done.contains("CANCELLED, decided by operator:tester"),
        "{done}"
    );
    let opposite = world
        .earnest(&["tx", "confirm", &id, "--force", "--reason", "x", "--json"])
        .await
        .failed(1);
    let error: Value = serde_json::from_str(&opposite.err).unwrap();
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("DECIDED"), &json!(false))
    );
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_makes_due_and_unparks() {
    let world = World::start().await;
    let id = prepared(&world, "order-1").await;
    world.earnest(&["tx", "park", &id]).await.ok();
    let retried = world
        .earnest(&["tx", "retry", &id, "--json"])
        .await
        .ok()
        .json();
    assert_eq!(retried["made_due"], 1, "{retried}");
    assert_eq!(retried["transaction"]["parked_reason"], Value::Null);
    let finished = prepared(&world, "order-2").await;
    world
        .post(&format!("/v1/transactions/{finished}/cancel"), json!({}))
        .await;
    assert!(
        world
            .earnest(&["tx", "retry", &finished])
            .await
            .ok()
            .out
            .contains("waits for nothing")
    );
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_unknown_ids_are_refused() {
    let world = World::start().await;
    let malformed = world.earnest(&["tx", "show", "order-1"]).await.failed(1);
    assert!(
        malformed.err.contains("not a transaction id"),
        "{malformed:#?}"
    );
    let unknown = world
        .earnest(&["tx", "show", "01890a5d-ac96-774b-bcce-b302099a8057"])
        .await
        .failed(1);
    assert!(unknown.err.contains("NOT_FOUND"), "{unknown:#?}");
    world.node.shutdown().await;
}
