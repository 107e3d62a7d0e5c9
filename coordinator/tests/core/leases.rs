//! Nodes that are paused, or taken for dead: P10, R2.

use earnest_coordinator::driver::DriverOptions;
use earnest_protocol::Phase;

use crate::support::{Does, Says, Setup, World, minutes, one_message, seconds, until};

fn leased(lease: std::time::Duration) -> Setup {
    let driver = DriverOptions {
        lease,
        check_back_timeout: minutes(60),
        ..DriverOptions::default()
    };
    Setup {
        driver,
        ..Setup::default()
    }
}

#[tokio::test(start_paused = true)]
async fn p10_a_paused_nodes_delivery_is_taken_over_and_its_own_end_changes_nothing() {
    let world = World::memory().await;
    let one = world.node("one").await;
    world.sink.does(|_| Does::Slow(seconds(1)));
    let id = world.id();
    one.submit(id).await.unwrap();
    until("one is at it", async || world.sink.times(id) == 1).await;
    one.store.kill();
    let two = world.node("two").await;
    world.sink.does(|_| Does::InProgress);
    until("two is at it", async || {
        two.detail(id).await.deliveries[0].attempts >= 2
    })
    .await;
    let before = two.detail(id).await.deliveries[0].clone();
    assert_eq!(before.attempts, 2, "and waits to try again");

    // Its call ends well, but the lease is another's by now.
    one.store.revive();
    until("one has heard of it", async || {
        one.metric("earnest_lost_leases_total") == 1
    })
    .await;
    let detail = two.detail(id).await;
    assert_eq!(detail.transaction.state.phase, Phase::Confirming);
    assert!(detail.attempts.iter().all(|attempt| attempt.node == "two"));
    world.sink.does(|_| Does::Ok);
    world.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p10_a_paused_nodes_check_back_is_taken_over_and_counts_once() {
    let world = World::memory().await;
    let one = world.node_with("one", leased(seconds(5))).await;
    world.initiator.says(Says::LateRolledBack);
    let id = world.id();
    let mut input = one_message(id);
    input.options.check_after = Some(seconds(1));
    input.options.check_back_budget = Some(2);
    one.prepare_as(input).await.unwrap();
    until("one asks", async || world.initiator.asked(id) == 1).await;
    one.store.kill();
    world.initiator.says(Says::InProgress);
    let two = world.node_with("two", leased(seconds(5))).await;
    until("two has heard", async || {
        two.detail(id).await.transaction.check_attempts == 1
    })
    .await;
    world.initiator.says(Says::Nothing);

    // What one was told before its pause is another attempt's business now: asked again, not believed.
    world.initiator.speak();
    one.store.revive();
    until("one has heard of it", async || {
        one.metric("earnest_lost_leases_total") == 1
    })
    .await;
    let row = two.detail(id).await.transaction;
    assert_eq!(
        (row.state.phase, row.state.in_progress_answers),
        (Phase::Prepared, 1)
    );
    world.initiator.says(Says::RolledBack);
    world.at_rest().await;
    assert_eq!(two.phase(id).await, Some(Phase::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn p10_slow_work_that_nobody_else_took_still_ends_well() {
    let world = World::memory().await;
    let node = world.node_with("one", leased(seconds(5))).await;
    world.sink.does(|_| Does::Slow(seconds(1)));
    let id = world.id();
    node.submit(id).await.unwrap();
    until("it is at it", async || world.sink.times(id) == 1).await;
    node.store.kill();
    tokio::time::sleep(minutes(1)).await;
    node.store.revive();
    world.at_rest().await;
    // Expiry only permits another claim. (The node itself may claim what it was taken for dead over.)
    assert!(world.sink.times(id) <= 2);
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn p10_a_node_that_was_taken_for_dead_enrols_anew_and_works_on() {
    let world = World::memory().await;
    let one = world.node("one").await;
    let two = world.node("two").await;
    let epoch = one.board.epoch();
    one.store.kill();
    tokio::time::sleep(minutes(1)).await;
    let id = world.id();
    two.submit(id).await.unwrap();
    world.at_rest().await;
    one.store.revive();
    until("one has enrolled anew", async || one.board.epoch() > epoch).await;
    world.sink.does(|_| Does::InProgress);
    let ids = world.ids(20);
    for id in &ids {
        one.submit(*id).await.unwrap();
    }
    two.store.kill();
    world.sink.does(|_| Does::Ok);
    world.at_rest().await;
    assert!(world.sink.handed().iter().any(|h| h.node == "one"));
}

#[tokio::test(start_paused = true)]
async fn p10_a_call_longer_than_the_lease_is_made_once() {
    let world = World::memory().await;
    world
        .subscribe(crate::support::SUBSCRIPTION, crate::support::TOPIC, |row| {
            row.timeout = minutes(5);
        })
        .await;
    let one = world.node_with("one", leased(seconds(2))).await;
    let _two = world.node_with("two", leased(seconds(2))).await;
    world.sink.does(|_| Does::Slow(minutes(1)));
    let id = world.id();
    one.submit(id).await.unwrap();
    world.at_rest().await;
    assert_eq!(world.sink.times(id), 1, "heartbeats renew the lease");
}
