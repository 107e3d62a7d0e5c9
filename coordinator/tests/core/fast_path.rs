//! From confirm to delivered without a look at what is due.

use earnest_coordinator::driver::DriverOptions;
use earnest_protocol::Phase;

use crate::support::{
    Node, SUBSCRIPTION, Setup, TOPIC, World, message, minutes, one_message, until,
};

/// Looks for due work once an hour: nothing but the fast path delivers.
fn hourly() -> Setup {
    let driver = DriverOptions {
        poll: minutes(60),
        ..DriverOptions::default()
    };
    Setup {
        driver,
        ..Setup::default()
    }
}

async fn delivered_without_claims(world: &World, node: &Node<'_>) {
    world.at_rest().await;
    assert_eq!(node.store.claimed(), 0, "nothing was claimed");
    assert_eq!(node.metric("earnest_claimed_total"), 0);
    assert_eq!(node.metric("earnest_lost_leases_total"), 0);
    until("the board is empty", async || node.board.total() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn p11_confirm_delivers_with_no_claim() {
    let world = World::memory().await;
    let node = world.node_with("one", hourly()).await;
    let id = world.id();
    let recorded = node.prepare(id).await.unwrap();
    assert!(recorded.created);
    assert_eq!(
        world.sink.times(id),
        0,
        "P3: nothing leaves before the decision"
    );
    node.confirm(id).await.unwrap();
    delivered_without_claims(&world, &node).await;
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
    assert_eq!(world.sink.times(id), 1);
    let sentence = node.summary(id).await;
    assert!(
        sentence.starts_with("Confirmed; its delivery is done"),
        "{sentence}"
    );
}

#[tokio::test(start_paused = true)]
async fn p11_submit_delivers_with_no_claim() {
    let world = World::memory().await;
    let node = world.node_with("one", hourly()).await;
    let ids = world.ids(300);
    for id in &ids {
        node.submit(*id).await.unwrap();
    }
    delivered_without_claims(&world, &node).await;
    assert!(ids.iter().all(|id| world.sink.times(*id) == 1));
}

#[tokio::test(start_paused = true)]
async fn p9_an_ordered_key_runs_on_without_a_claim() {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.ordered = true)
        .await;
    let node = world.node_with("one", hourly()).await;
    let mut bodies = vec![];
    for _ in 0..10 {
        let mut input = one_message(world.id());
        input.messages = (0..3)
            .map(|n| message(TOPIC, "k", &format!("{}/{n}", bodies.len())))
            .collect();
        bodies.extend(
            input
                .messages
                .iter()
                .map(|m| String::from_utf8_lossy(&m.payload).into_owned()),
        );
        node.submit_as(input).await.unwrap();
    }
    delivered_without_claims(&world, &node).await;
    let handed: Vec<_> = world.sink.handed().into_iter().map(|h| h.body).collect();
    assert_eq!(handed, bodies);
}

#[tokio::test(start_paused = true)]
async fn p3_cancel_delivers_nothing() {
    let world = World::memory().await;
    let node = world.node_with("one", hourly()).await;
    let id = world.id();
    node.prepare(id).await.unwrap();
    node.cancel(id).await.unwrap();
    delivered_without_claims(&world, &node).await;
    assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
    assert_eq!(world.sink.calls(), 0);
    let sentence = node.summary(id).await;
    assert!(
        sentence.starts_with("Cancelled; no message left"),
        "{sentence}"
    );
}

#[tokio::test]
async fn p11_sqlite_delivers_with_no_claim() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::sqlite(directory.path()).await;
    let node = world.node_with("one", hourly()).await;
    let ids = world.ids(20);
    for id in &ids {
        node.prepare(*id).await.unwrap();
        node.confirm(*id).await.unwrap();
    }
    delivered_without_claims(&world, &node).await;
    assert!(ids.iter().all(|id| world.sink.times(*id) == 1));
}
