//! Several coordinator nodes: calls are spread over them, and one that is away costs its callers nothing but a try.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use earnest::{Chance, Timeouts, sqlite::Earnest};
use tonic::Code;

use common::{
    Database, TOPIC,
    coordinator::{FakeCoordinator, Mishap, refusal},
    service,
};

/// Ids that go to the first endpoint and the second one in turn; counts the pauses, which draw four bytes each.
#[derive(Clone, Default)]
struct InTurn {
    ids: Arc<AtomicU8>,
    pauses: Arc<AtomicUsize>,
}

impl Chance for InTurn {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(1);
        match bytes.len() {
            10 => bytes[9] = self.ids.fetch_add(1, Ordering::SeqCst),
            4 => _ = self.pauses.fetch_add(1, Ordering::SeqCst),
            _ => {}
        }
    }
}

struct World {
    _database: Database,
    nodes: [FakeCoordinator; 2],
    earnest: Earnest,
    chance: InTurn,
}

impl World {
    async fn create() -> Self {
        let database = Database::create().await;
        let nodes = [
            FakeCoordinator::start().await,
            FakeCoordinator::start().await,
        ];
        let chance = InTurn::default();
        let timeouts = Timeouts {
            prepare: Duration::from_secs(3),
            decide: Duration::from_secs(3),
            ..Timeouts::default()
        };
        let earnest = service(&database)
            .chance(chance.clone())
            .timeouts(timeouts)
            .connect(format!("{},{}", nodes[0].url, nodes[1].url))
            .await
            .unwrap();
        Self {
            _database: database,
            nodes,
            earnest,
            chance,
        }
    }

    async fn send(&self) {
        let mut tx = self.earnest.begin().await.unwrap();
        tx.send(TOPIC, "", &1).unwrap();
        tx.commit().await.unwrap();
    }

    fn calls(&self) -> [usize; 2] {
        [0, 1].map(|node| self.nodes[node].calls().len())
    }

    fn pauses(&self) -> usize {
        self.chance.pauses.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn transactions_are_spread_evenly_and_each_keeps_to_its_node() {
    let world = World::create().await;
    for _ in 0..8 {
        world.send().await;
    }
    for node in &world.nodes {
        assert_eq!(node.call_names(), ["Prepare", "Confirm"].repeat(4));
    }
}

#[tokio::test]
async fn a_call_that_no_node_takes_goes_to_the_next_one_at_once() {
    let broken = || Mishap::ReplyBroken;
    let leaving = || Mishap::Refused(refusal(Code::Unavailable, "UNAVAILABLE", true));
    let full = || Mishap::Refused(refusal(Code::ResourceExhausted, "OVERLOADED", true));
    let stuck = || Mishap::RequestLost;
    for (said, mishap) in [
        ("broken", broken()),
        ("leaving", leaving()),
        ("full", full()),
        ("stuck", stuck()),
    ] {
        let world = World::create().await;
        world.nodes[0].mishap("Prepare", mishap);
        world.send().await;
        assert_eq!(world.nodes[0].call_names()[..1], ["Prepare"], "{said}");
        assert_eq!(world.nodes[1].call_names()[..1], ["Prepare"], "{said}");
        assert_eq!(world.pauses(), 0, "{said}");
    }
}

#[tokio::test]
async fn calls_in_flight_to_a_node_that_goes_away_are_made_at_the_other() {
    let world = World::create().await;
    for _ in 0..4 {
        world.nodes[0].mishap("Prepare", Mishap::ReplyBroken);
    }
    futures_util::future::join_all((0..8).map(|_| world.send())).await;
    let prepares = |node: &FakeCoordinator| {
        let calls = node.call_names();
        calls.iter().filter(|name| **name == "Prepare").count()
    };
    assert!((1..=4).contains(&prepares(&world.nodes[0])));
    assert_eq!(prepares(&world.nodes[1]), 8);
    assert_eq!(world.pauses(), 0);
}

#[tokio::test]
async fn a_node_that_leaves_is_passed_over_and_taken_again_when_it_is_back() {
    let world = World::create().await;
    let leaving = refusal(Code::Unavailable, "UNAVAILABLE", true);
    world.nodes[0].mishap("Prepare", Mishap::Refused(leaving));
    world.send().await;
    let asked = world.nodes[0].calls().len();
    let served = world.calls()[1];
    world.send().await;
    world.send().await;
    assert_eq!(world.nodes[0].calls().len(), asked);
    assert_eq!(world.calls()[1], served + 4);

    let taken_again = async {
        while world.nodes[0].calls().len() == asked {
            world.send().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), taken_again);
    in_time.await.expect("it is asked again");
    let before = world.calls();
    for _ in 0..4 {
        world.send().await;
    }
    let after = world.calls();
    assert_eq!([after[0] - before[0], after[1] - before[1]], [4, 4]);
}

#[tokio::test]
async fn where_no_node_has_room_they_are_asked_again_after_a_pause() {
    let world = World::create().await;
    for node in &world.nodes {
        let full = refusal(Code::ResourceExhausted, "OVERLOADED", true);
        node.mishap("Prepare", Mishap::Refused(full));
    }
    world.send().await;
    assert_eq!(world.pauses(), 1);
    assert_eq!(world.calls(), [3, 1]);
}
