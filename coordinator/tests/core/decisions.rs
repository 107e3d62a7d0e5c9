//! One decision, whoever asks for it, wherever and whenever: P1, M3.

use earnest_coordinator::service::Code;
use earnest_protocol::{Decision, Phase};
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::support::{Fault, Node, Says, When, World, micros, one_message, seconds, until};

const BOTH: [Decision; 2] = [Decision::Confirm, Decision::Cancel];

/// Asks until there is an answer that says what was decided.
async fn insist(node: &Node<'_>, id: earnest_protocol::TransactionId, decision: Decision) -> bool {
    loop {
        match node.decide(id, decision).await {
            Ok(_) => return true,
            Err(error) if error.code == Code::Decided => {
                let decided = if decision == Decision::Confirm {
                    "cancel at "
                } else {
                    "confirm at "
                };
                assert!(error.message.contains(decided), "{error}");
                return false;
            }
            Err(error) => assert!(error.code.is_retryable(), "{error}"),
        }
    }
}

/// Callers at two nodes, a check-back that answers meanwhile, and a database that fails now and then.
async fn opposite_decisions(seed: u64) {
    let chance = &mut SmallRng::seed_from_u64(seed);
    let world = World::memory().await;
    let nodes = [world.node("one").await, world.node("two").await];
    let id = world.id();
    let mut input = one_message(id);
    input.options.check_after = Some(if chance.random() {
        micros(1_000)
    } else {
        seconds(60)
    });
    world.initiator.says(if chance.random() {
        Says::Committed
    } else {
        Says::RolledBack
    });
    nodes[0].prepare_as(input).await.unwrap();
    for node in &nodes {
        for command in ["confirm", "cancel", "checked_back"] {
            if chance.random_bool(0.3) {
                let when = [When::Before, When::After, When::Lost];
                node.store
                    .fail(Fault::once(*when.choose(chance).unwrap(), command));
            }
        }
    }
    let callers: Vec<_> = (0..8)
        .map(|_| {
            (
                chance.random_range(0..2),
                *BOTH.choose(chance).unwrap(),
                chance.random_range(0..3_000),
            )
        })
        .collect();
    let nodes = &nodes;
    let told = join_all(callers.iter().map(
        async |(node, decision, delay): &(usize, Decision, u64)| {
            // Several a millisecond, and some at the very same time.
            tokio::time::sleep(micros(delay / 500 * 500)).await;
            (*decision, insist(&nodes[*node], id, *decision).await)
        },
    ))
    .await;
    world.at_rest().await;
    let stands = nodes[0]
        .phase(id)
        .await
        .and_then(Phase::decision)
        .expect("it is decided");
    for (asked, got) in told {
        assert_eq!(
            got,
            asked == stands,
            "seed {seed}: {asked} was told so, and {stands} stands"
        );
    }
    assert_eq!(
        world.sink.times(id) > 0,
        stands == Decision::Confirm,
        "seed {seed}"
    );
}

#[tokio::test(start_paused = true)]
async fn m3_of_opposite_decisions_exactly_one_wins() {
    for seed in 0..300 {
        opposite_decisions(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn m3_the_first_in_the_queue_wins_and_all_others_hear_of_it() {
    for first in BOTH {
        let world = World::memory().await;
        let node = world.node("one").await;
        let id = world.id();
        node.prepare(id).await.unwrap();
        node.store.block();
        let second = if first == Decision::Confirm {
            Decision::Cancel
        } else {
            Decision::Confirm
        };
        let asked = (0..50).map(|n| if n % 2 == 0 { first } else { second });
        let release = async {
            until("all wait", async || node.journal.depth() == 50).await;
            node.store.unblock();
        };
        let told =
            join_all(asked.map(async |decision| (decision, insist(&node, id, decision).await)));
        let (told, ()) = tokio::join!(told, release);
        assert!(
            told.iter()
                .all(|(decision, got)| *got == (*decision == first))
        );
        world.at_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn m3_a_repeated_decision_is_ok_for_ever() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let id = world.id();
    node.prepare(id).await.unwrap();
    for _ in 0..3 {
        node.confirm(id).await.unwrap();
        world.at_rest().await;
        assert!(!node.prepare(id).await.unwrap().created);
    }
    assert_eq!(world.sink.times(id), 1);
    assert_eq!(node.cancel(id).await.unwrap_err().code, Code::Decided);
}

#[tokio::test(start_paused = true)]
async fn m6_the_same_id_with_other_content_is_refused() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let id = world.id();
    node.prepare(id).await.unwrap();
    let mut other = one_message(id);
    other.messages[0].payload = "other".into();
    assert_eq!(
        node.prepare_as(other.clone()).await.unwrap_err().code,
        Code::IdReused
    );
    assert_eq!(
        node.submit_as(other).await.unwrap_err().code,
        Code::IdReused
    );
    assert_eq!(node.phase(id).await, Some(Phase::Prepared));
}
