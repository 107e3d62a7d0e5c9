//! Messages of one key in the order of their decisions: P9.

use std::collections::{BTreeMap, BTreeSet};

use earnest_protocol::DeliveryState;
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::support::{
    Does, Fault, SUBSCRIPTION, TOPIC, When, World, message, millis, one_message, seconds, until,
};

const KEYS: usize = 5;

/// Each key's bodies in the order of their decisions, as the database has it.
async fn decided_order(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut order: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
    for id in world
        .sink
        .handed()
        .iter()
        .map(|h| h.key.transaction)
        .collect::<BTreeSet<_>>()
    {
        let detail = world.store.detail(id).await.unwrap().unwrap();
        for delivery in detail.deliveries {
            let body = &detail.messages[delivery.key.ordinal.0 as usize].payload;
            let (key, position) = delivery.order.expect("it is ordered");
            order
                .entry(key)
                .or_default()
                .insert(position, String::from_utf8_lossy(body).into_owned());
        }
    }
    order
        .into_iter()
        .map(|(key, bodies)| (key, bodies.into_values().collect()))
        .collect()
}

/// Each key's bodies as they were handed over, without repetitions of one that was tried again.
fn handed_order(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for handed in world.sink.handed() {
        let bodies = order.entry(handed.order_key).or_default();
        if bodies.last() != Some(&handed.body) {
            bodies.push(handed.body);
        }
    }
    order
}

/// Several callers at two nodes at once, a sink that fails often, and commits of unknown outcome.
async fn in_order(seed: u64) {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.ordered = true)
        .await;
    let nodes = [world.node("one").await, world.node("two").await];
    let mut chance = SmallRng::seed_from_u64(seed);
    for node in &nodes {
        node.store
            .fail(Fault::once(When::After, "delivery_settled"));
    }
    world
        .sink
        .does(move |work| match chance.random_range(0..10) {
            0 => Does::Down,
            1 => Does::Omit,
            2..=4 => Does::InProgress,
            5 => Does::Slow(millis(u64::from(work.key.ordinal.0) * 7)),
            _ => Does::Ok,
        });
    let submit = async |n: usize| {
        let node = &nodes[n % 2];
        tokio::time::sleep(millis(n as u64 / 20)).await;
        let mut input = one_message(world.id());
        let message = |m| {
            message(
                TOPIC,
                &format!("key {}", (n + m) % KEYS),
                &format!("{n}/{m}"),
            )
        };
        input.messages = (0..3).map(message).collect();
        node.submit_as(input).await.unwrap();
    };
    join_all((0..60).map(submit)).await;
    world.at_rest().await;
    let expected = decided_order(&world).await;
    assert_eq!(expected.values().map(Vec::len).sum::<usize>(), 180);
    assert_eq!(handed_order(&world), expected, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn p9_each_key_keeps_the_order_of_its_decisions_whatever_fails() {
    for seed in 0..20 {
        in_order(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p9_a_parked_message_blocks_its_own_key_only() {
    let world = World::memory().await;
    world
        .subscribe(SUBSCRIPTION, TOPIC, |row| row.ordered = true)
        .await;
    let node = world.node("one").await;
    world.sink.does(|work| {
        if work.message.payload == "a0" {
            Does::Failed
        } else {
            Does::Ok
        }
    });
    let mut first = None;
    for n in 0..5 {
        let mut input = one_message(world.id());
        input.messages = vec![
            message(TOPIC, "a", &format!("a{n}")),
            message(TOPIC, "b", &format!("b{n}")),
            message(TOPIC, "", "c"),
        ];
        let recorded = node.submit_as(input).await.unwrap();
        first.get_or_insert(recorded.row.id);
    }
    let first = first.unwrap();
    until("all but one key is delivered", async || {
        world.sink.handed().len() == 11
    })
    .await;
    tokio::time::sleep(seconds(600)).await;
    let bodies = |key: &str| -> Vec<_> {
        world
            .sink
            .handed()
            .into_iter()
            .filter(|h| h.order_key == key)
            .map(|h| h.body)
            .collect()
    };
    assert_eq!(
        (bodies("a"), bodies("b").len(), bodies("").len()),
        (vec!["a0".to_owned()], 5, 5)
    );
    let detail = node.detail(first).await;
    assert_eq!(detail.deliveries[0].state, DeliveryState::Parked);

    world.sink.does(|_| Does::Ok);
    node.coordinator
        .retry(&first.to_string(), "ann")
        .await
        .unwrap();
    until("the key goes on", async || bodies("a").len() == 6).await;
    assert_eq!(bodies("a"), ["a0", "a0", "a1", "a2", "a3", "a4"]);
    world.at_rest().await;
}
