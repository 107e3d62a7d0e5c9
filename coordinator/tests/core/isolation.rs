//! Dead, hanging and huge destinations beside one that is well: P12, V2, V3.

use earnest_coordinator::driver::BreakerState;
use tokio::time::timeout;

use crate::support::{Does, Node, Says, World, minutes, one_message, seconds, until};

async fn submit_to(
    world: &World,
    node: &Node<'_>,
    topic: &str,
    count: usize,
) -> Vec<earnest_protocol::TransactionId> {
    let ids = world.ids(count);
    for id in &ids {
        let mut input = one_message(*id);
        input.messages[0].topic = topic.into();
        node.submit_as(input).await.unwrap();
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn p12_a_dead_and_a_hanging_destination_do_not_stop_a_third() {
    let world = World::memory().await;
    let node = world.node("one").await;
    for (name, topic) in [
        ("dead", "dead.topic"),
        ("hanging", "hanging.topic"),
        ("well", "well.topic"),
    ] {
        world.subscribe(name, topic, |_| ()).await;
    }
    let script = |work: &earnest_store::DeliveryWork| match work.subscription.name.as_str() {
        "dead" => Does::Down,
        "hanging" => Does::Hang,
        _ => Does::Ok,
    };
    world.sink.does(script);
    submit_to(&world, &node, "dead.topic", 5_000).await;
    submit_to(&world, &node, "hanging.topic", 500).await;
    tokio::time::sleep(seconds(30)).await;
    assert_eq!(node.breaker("dead"), BreakerState::Open);

    // An hour of trouble next door.
    for _ in 0..60 {
        let ids = submit_to(&world, &node, "well.topic", 20).await;
        let delivered = async || ids.iter().all(|id| world.sink.times(*id) == 1);
        assert!(
            timeout(seconds(1), until("they are delivered", delivered))
                .await
                .is_ok()
        );
        tokio::time::sleep(minutes(1)).await;
    }
    let (dead, hanging) = (world.sink.to("dead"), world.sink.to("hanging"));
    assert!(
        dead < 64 * 8 + 300,
        "V3: a dead destination was handed {dead} messages in an hour"
    );
    assert!(
        hanging < 64 * 8 + 300,
        "V3: a hanging destination was handed {hanging} messages in an hour"
    );

    world.sink.does(|_| Does::Ok);
    world.at_rest().await;
    for name in ["dead", "hanging", "well"] {
        assert_eq!(node.breaker(name), BreakerState::Closed, "{name}");
    }
    until("the board is empty", async || node.board.total() == 0).await;
    assert_eq!(
        (
            world.sink.to("dead") - dead,
            world.sink.to("hanging") - hanging
        ),
        (5_000, 500)
    );
}

#[tokio::test(start_paused = true)]
async fn p12_a_breaker_lets_one_probe_through_and_closes_with_its_answer() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.sink.does(|_| Does::Down);
    let ids = submit_to(&world, &node, crate::support::TOPIC, 100).await;
    until("the breaker is open", async || {
        node.breaker("ledger") == BreakerState::Open
    })
    .await;
    until("the rest was given back", async || node.board.total() == 0).await;
    let handed = world.sink.handed().len();
    until("three probes were made", async || {
        world.sink.handed().len() >= handed + 3
    })
    .await;
    assert_eq!(world.sink.handed().len(), handed + 3, "one at a time");
    world.sink.does(|_| Does::Failed);
    until("a refusal is an answer too", async || {
        node.breaker("ledger") == BreakerState::Closed
    })
    .await;
    world.at_rest().await;
    let parked = node.coordinator.subscriptions("").await.unwrap()[0]
        .1
        .as_ref()
        .unwrap()
        .parked;
    assert_eq!(parked, ids.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn p12_a_dead_initiator_does_not_stop_another() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world
        .initiator
        .answers(|work| match work.initiator.as_str() {
            "dead" => Says::Nothing,
            "hanging" => Says::Hang,
            _ => Says::Committed,
        });
    let mut well = vec![];
    for (initiator, count) in [("dead", 1_000), ("hanging", 300), ("cashier", 50)] {
        for id in world.ids(count) {
            let mut input = one_message(id);
            input.initiator = initiator.into();
            input.options.check_after = Some(seconds(1));
            node.prepare_as(input).await.unwrap();
            if initiator == "cashier" {
                well.push(id);
            }
        }
    }
    let delivered = async || well.iter().all(|id| world.sink.times(*id) == 1);
    assert!(
        timeout(
            seconds(3),
            until("the others are asked and delivered", delivered)
        )
        .await
        .is_ok()
    );
    tokio::time::sleep(minutes(30)).await;
    let asked = world.initiator.asked_at_all() - well.len();
    assert!(
        asked < 600,
        "V3: {asked} calls in half an hour to initiators that don't answer"
    );
    world.initiator.says(Says::RolledBack);
    world.at_rest().await;
    until("the board is empty", async || node.board.total() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn p12_a_backlog_larger_than_memory_leaves_room_for_others() {
    let world = World::memory().await;
    world
        .subscribe("slow", "slow.topic", |row| row.concurrency = 1)
        .await;
    let node = world.node("one").await;
    world
        .sink
        .does(|work| match work.subscription.name.as_str() {
            "slow" => Does::Slow(seconds(1)),
            _ => Does::Ok,
        });
    submit_to(&world, &node, "slow.topic", 3_000).await;
    let ids = submit_to(&world, &node, crate::support::TOPIC, 200).await;
    let delivered = async || ids.iter().all(|id| world.sink.times(*id) == 1);
    assert!(
        timeout(seconds(1), until("they are delivered", delivered))
            .await
            .is_ok()
    );
    assert!(world.sink.to("slow") < 10);
    world.sink.does(|_| Does::Ok);
    world.at_rest().await;
}
