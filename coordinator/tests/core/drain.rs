//! A node that stops: calls under way end, the rest is given back, another goes on at once.

use std::time::Duration;

use earnest_coordinator::driver::DriverOptions;
use earnest_protocol::{LeaseToken, Phase};
use tokio::time::timeout;

use crate::support::{
    Does, Fault, SUBSCRIPTION, Setup, TOPIC, When, World, minutes, seconds, until,
};

fn setup(lease: Duration, drain: Duration) -> Setup {
    Setup {
        driver: DriverOptions {
            lease,
            drain,
            ..DriverOptions::default()
        },
        ..Setup::default()
    }
}

#[tokio::test(start_paused = true)]
async fn p10_a_drain_ends_calls_and_gives_the_rest_back_at_once() {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.concurrency = 1)
        .await;
    // Leases outlast the test: what was not given back would never be done.
    let mut one = world
        .node_with("one", setup(minutes(24 * 60), seconds(10)))
        .await;
    let two = world
        .node_with("two", setup(minutes(24 * 60), seconds(10)))
        .await;
    world.sink.does(|_| Does::Slow(seconds(1)));
    let ids = world.ids(10);
    for id in &ids {
        one.submit(*id).await.unwrap();
    }
    until("one is at it", async || !world.sink.handed().is_empty()).await;
    one.drain().await;
    assert_eq!(one.board.total(), 0);
    let by_one = world
        .sink
        .handed()
        .into_iter()
        .filter(|h| h.node == "one")
        .count();
    assert!(
        (1..ids.len()).contains(&by_one),
        "{by_one} were ended, the rest was not begun"
    );
    world.at_rest().await;
    assert!(
        ids.iter().all(|id| world.sink.times(*id) == 1),
        "nothing was handed over twice"
    );

    // Callers that still reach the old node are served; the other delivers.
    let id = world.id();
    one.submit(id).await.unwrap();
    until("it is delivered", async || {
        two.phase(id).await == Some(Phase::Confirmed)
    })
    .await;
    assert_eq!(world.sink.handed().last().map(|h| h.node), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn p10_a_drain_longer_than_the_lease_keeps_its_calls() {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.timeout = minutes(1))
        .await;
    let mut one = world.node_with("one", setup(seconds(2), minutes(1))).await;
    let _two = world.node_with("two", setup(seconds(2), minutes(1))).await;
    world.sink.does(|_| Does::Slow(seconds(20)));
    let id = world.id();
    one.submit(id).await.unwrap();
    until("one is at it", async || world.sink.times(id) == 1).await;
    one.drain().await;
    world.at_rest().await;
    assert_eq!(
        world.sink.times(id),
        1,
        "nobody else took what was under way"
    );
}

#[tokio::test(start_paused = true)]
async fn p10_a_drain_waits_for_a_hanging_call_no_longer_than_it_may() {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.timeout = minutes(10))
        .await;
    let mut one = world.node_with("one", setup(seconds(5), seconds(10))).await;
    let two = world.node("two").await;
    world.sink.does(|_| Does::Hang);
    let id = world.id();
    one.submit(id).await.unwrap();
    until("one is at it", async || world.sink.times(id) == 1).await;
    world.sink.does(|_| Does::Ok);
    assert!(timeout(seconds(30), one.drain()).await.is_ok());
    world.at_rest().await;
    assert_eq!(two.phase(id).await, Some(Phase::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn p10_a_drain_ends_although_the_database_hangs() {
    let world = World::memory().await;
    let mut one = world.node_with("one", setup(seconds(5), seconds(10))).await;
    let two = world.node("two").await;
    world.sink.does(|_| Does::Slow(seconds(1)));
    let id = world.id();
    one.submit(id).await.unwrap();
    until("one is at it", async || world.sink.times(id) == 1).await;
    one.store.kill();
    tokio::time::sleep(seconds(20)).await;
    assert!(
        timeout(minutes(1), one.drain()).await.is_ok(),
        "SIGTERM is not held up"
    );
    world.at_rest().await;
    assert_eq!(two.phase(id).await, Some(Phase::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn p10_a_drained_node_leases_nothing_more() {
    let world = World::memory().await;
    let mut one = world.node("one").await;
    one.drain().await;
    let id = world.id();
    one.submit(id).await.unwrap();
    let delivery = one.detail(id).await.deliveries[0].clone();
    assert_eq!((delivery.holder, delivery.token), (None, LeaseToken::NONE));
    assert_eq!(one.board.total(), 0);
    let _two = world.node("two").await;
    world.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p10_a_drained_node_keeps_nothing_that_a_late_batch_has_leased() {
    let world = World::memory().await;
    let mut one = world.node("one").await;
    one.store.fail(Fault::once(When::Held, "submit"));
    let id = world.id();
    let driver = one.take_driver();
    let drain = async {
        until("it is written and leased", async || one.store.is_blocked()).await;
        driver.drain().await;
        one.store.unblock();
    };
    let (told, ()) = tokio::join!(one.submit(id), drain);
    told.unwrap();
    assert_eq!(one.board.total(), 0, "the board took nothing");
    let _two = world.node("two").await;
    world.at_rest().await;
    assert_eq!(world.sink.handed()[0].node, "two");
}
