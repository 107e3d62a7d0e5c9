//! Sinks that fail in every way: P4, K1.

use earnest_protocol::{DeliveryState, Phase};
use earnest_store::AttemptKind;

use crate::support::{Does, TOPIC, World, message, minutes, one_message, until};

/// Fails so three times, and then takes it: everything failed is on record, and it is delivered.
async fn retried_until_ok(does: Does, code: &str) {
    let world = World::memory().await;
    let node = world.node("one").await;
    let told = does.clone();
    world.sink.does(move |work| {
        if work.attempt <= 3 {
            told.clone()
        } else {
            Does::Ok
        }
    });
    let id = world.id();
    node.submit(id).await.unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
    assert_eq!(world.sink.times(id), 4);
    let detail = node.detail(id).await;
    assert_eq!(detail.deliveries[0].attempts, 4);
    let attempts: Vec<_> = detail
        .attempts
        .iter()
        .map(|a| (a.number, a.code.as_str(), a.node.as_str()))
        .collect();
    assert_eq!(
        attempts,
        [(3, code, "one"), (2, code, "one"), (1, code, "one")]
    );
    assert!(
        detail
            .attempts
            .iter()
            .all(|a| matches!(a.kind, AttemptKind::Delivery(..)) && !a.error.is_empty())
    );
    assert_eq!(node.board.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn p4_a_sink_that_is_down_is_tried_again() {
    retried_until_ok(Does::Down, "unreachable").await;
}

#[tokio::test(start_paused = true)]
async fn p4_a_sink_that_is_busy_is_tried_again() {
    retried_until_ok(Does::InProgress, "in-progress").await;
}

#[tokio::test(start_paused = true)]
async fn p4_a_sink_that_hangs_is_tried_again() {
    retried_until_ok(Does::Hang, "timeout").await;
}

#[tokio::test(start_paused = true)]
async fn p4_a_port_that_panics_is_tried_again() {
    retried_until_ok(Does::Panic, "internal").await;
}

#[tokio::test(start_paused = true)]
async fn p4_an_answer_that_leaves_a_message_out_is_no_answer_for_it() {
    retried_until_ok(Does::Omit, "bad-answer").await;
}

#[tokio::test(start_paused = true)]
async fn k1_nothing_is_delivered_before_the_sink_answers() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.sink.does(|_| Does::Hang);
    let id = world.id();
    node.submit(id).await.unwrap();
    until("ten attempts are made", async || world.sink.times(id) >= 10).await;
    let detail = node.detail(id).await;
    assert_eq!(detail.deliveries[0].state, DeliveryState::Pending);
    assert_eq!(detail.transaction.state.phase, Phase::Confirming);
    let sentence = node.summary(id).await;
    assert!(
        sentence.contains("message 0 to subscription ledger has been owed for"),
        "{sentence}"
    );
    assert!(sentence.contains("last error: timeout"), "{sentence}");
    world.check().await;
    world.sink.does(|_| Does::Ok);
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn k1_each_message_of_a_call_has_its_own_end() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world
        .sink
        .does(|work| match (work.key.ordinal.0, work.attempt) {
            (1, 1) => Does::InProgress,
            (2, _) => Does::Failed,
            (3, 1) => Does::Omit,
            _ => Does::Ok,
        });
    let id = world.id();
    let mut input = one_message(id);
    input.messages = (0..5).map(|n| message(TOPIC, "", &n.to_string())).collect();
    node.submit_as(input).await.unwrap();
    world.at_rest().await;
    let detail = node.detail(id).await;
    let ends: Vec<_> = detail
        .deliveries
        .iter()
        .map(|d| (d.state, d.attempts))
        .collect();
    let (done, parked) = (DeliveryState::Done, DeliveryState::Parked);
    assert_eq!(
        ends,
        [(done, 1), (done, 2), (parked, 1), (done, 2), (done, 2)]
    );
    assert_eq!(detail.transaction.state.phase, Phase::Confirming);
}

#[tokio::test(start_paused = true)]
async fn p4_failed_parks_and_an_operator_brings_it_back() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.sink.does(|_| Does::Failed);
    let id = world.id();
    node.submit(id).await.unwrap();
    world.at_rest().await;
    assert_eq!(world.sink.times(id), 1);
    assert_eq!(node.phase(id).await, Some(Phase::Confirming));
    let sentence = node.summary(id).await;
    assert!(
        sentence.contains("parked: message 0 to subscription ledger — no such account"),
        "{sentence}"
    );
    assert!(
        sentence.contains(&format!("earnest tx retry {id}")),
        "{sentence}"
    );

    // Parked means parked: no time brings it back.
    tokio::time::sleep(minutes(120)).await;
    assert_eq!(world.sink.times(id), 1);

    world.sink.does(|_| Does::Ok);
    let (_, made_due) = node
        .coordinator
        .retry(&id.to_string(), "ann")
        .await
        .unwrap();
    assert_eq!(made_due, 1);
    until("it is delivered", async || {
        node.phase(id).await == Some(Phase::Confirmed)
    })
    .await;
    world.check().await;
    assert_eq!(world.sink.times(id), 2);
}

#[tokio::test(start_paused = true)]
async fn p4_a_message_without_a_subscription_waits_for_one() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let id = world.id();
    node.prepare(id).await.unwrap();
    let (namespace, name) = (
        earnest_protocol::Name::default_namespace(),
        "ledger".parse().unwrap(),
    );
    world
        .store
        .delete_subscription(&namespace, &name)
        .await
        .unwrap();
    node.confirm(id).await.unwrap();
    world.at_rest().await;
    let sentence = node.summary(id).await;
    assert!(sentence.contains("message 0 to nobody"), "{sentence}");
    world.subscribe("books", TOPIC, |_| ()).await;
    node.coordinator
        .retry(&id.to_string(), "ann")
        .await
        .unwrap();
    until("it is delivered", async || {
        node.phase(id).await == Some(Phase::Confirmed)
    })
    .await;
    assert_eq!(world.sink.to("books"), 1);
}
