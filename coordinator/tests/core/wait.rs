//! Bounded waits: told at once of what this node writes, soon of what another does, and never for longer than asked.

use earnest_coordinator::service::{Code, DecideInput, Until, WaitInput};
use earnest_protocol::{Decision, Phase, TransactionId};
use earnest_store::TransactionRow;
use tokio::time::Instant;

use crate::support::{Answers, Node, World, millis, reservations, seconds, until};

fn wait(until: Until, at_most: std::time::Duration) -> WaitInput {
    WaitInput { until, at_most }
}

async fn confirm_and_wait(node: &Node<'_>, id: TransactionId, at_most: u64) -> TransactionRow {
    let input = DecideInput {
        id: id.to_string(),
        decision: Decision::Confirm,
        initiator: String::new(),
        namespace: String::new(),
        wait: Some(wait(Until::FinalPhase, seconds(at_most))),
    };
    node.coordinator.decide(input).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn p11_a_waiter_is_told_at_once_of_what_this_node_writes() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.participants.answer(|_| Answers::Slow(seconds(3)));
    let id = world.id();
    node.prepare_as(reservations(id, &["account", "coupon"]))
        .await
        .unwrap();
    let began = Instant::now();
    let row = confirm_and_wait(&node, id, 30).await;
    assert_eq!(row.state.phase, Phase::Confirmed);
    let took = began.elapsed();
    assert!(
        took < seconds(3) + millis(20),
        "no look was waited for: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn p11_a_wait_ends_with_the_transaction_as_it_stands() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.participants.answer(|_| Answers::InProgress);
    let id = world.id();
    node.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    let began = Instant::now();
    let row = confirm_and_wait(&node, id, 2).await;
    assert_eq!(row.state.phase, Phase::Confirming);
    assert!(began.elapsed() >= seconds(2) && began.elapsed() < seconds(3));
    let missing = world.id().to_string();
    let unknown = node
        .coordinator
        .await_transaction(&missing, wait(Until::Decision, seconds(60)))
        .await;
    assert_eq!(
        unknown.unwrap_err().code,
        Code::NotFound,
        "nobody waits for nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn p11_what_another_node_writes_is_seen_soon() {
    let world = World::memory().await;
    let one = world.node("one").await;
    let two = world.node("two").await;
    let id = world.id();
    one.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    let text = id.to_string();
    let waiting = one
        .coordinator
        .await_transaction(&text, wait(Until::Decision, seconds(60)));
    let decided = async {
        tokio::time::sleep(seconds(10)).await;
        two.confirm(id).await.unwrap();
        Instant::now()
    };
    let (row, at) = tokio::join!(waiting, decided);
    assert_eq!(row.unwrap().state.phase.decision(), Some(Decision::Confirm));
    assert!(at.elapsed() <= seconds(1) + millis(20));
}

#[tokio::test(start_paused = true)]
async fn p13_many_waiters_of_one_transaction_cost_one_look_at_a_time() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let id = world.id();
    node.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    let looks = node.store.looks();
    let text = id.to_string();
    let waits = (0..200).map(|_| {
        node.coordinator
            .await_transaction(&text, wait(Until::Decision, seconds(10)))
    });
    let rows = futures_util::future::join_all(waits).await;
    assert!(
        rows.iter()
            .all(|row| row.as_ref().unwrap().state.phase == Phase::Prepared)
    );
    let looks = node.store.looks() - looks - 200;
    assert!(
        looks <= 40,
        "beside each one's first: {looks} looks in ten seconds"
    );
    assert_eq!(node.journal.waiters().count(), 0, "and they are forgotten");
}

#[tokio::test(start_paused = true)]
async fn p13_a_node_that_leaves_lets_its_waiters_go() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let id = world.id();
    node.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    let text = id.to_string();
    let waiting = node
        .coordinator
        .await_transaction(&text, wait(Until::Decision, seconds(60)));
    let leave = async {
        until("it waits", async || node.journal.waiters().count() == 1).await;
        node.journal.waiters().close();
    };
    let began = Instant::now();
    let (row, ()) = tokio::join!(waiting, leave);
    assert_eq!(row.unwrap().state.phase, Phase::Prepared);
    assert!(began.elapsed() < seconds(1));
}
