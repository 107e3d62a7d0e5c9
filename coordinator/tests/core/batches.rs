//! How the journal forms batches (DESIGN §5).

use earnest_coordinator::journal::JournalOptions;
use earnest_protocol::Decision;
use futures_util::future::join_all;

use crate::support::{Node, Setup, World, one_message, until};

fn journal(journal: JournalOptions) -> Setup {
    Setup {
        journal,
        ..Setup::default()
    }
}

/// Holds the writer up with one command, has `count` more wait, lets go, and returns the sizes of the batches after it.
async fn sizes_of(world: &World, node: &Node<'_>, count: usize, payload: usize) -> Vec<usize> {
    let ids = world.ids(count + 1);
    let prepare = async |n: usize| {
        let mut input = one_message(ids[n]);
        input.messages[0].payload = vec![b'x'; payload].into();
        node.prepare_as(input).await
    };
    node.store.block();
    let first = prepare(0);
    let rest = async {
        until("the writer is held up", async || {
            node.store.batches().len() == 1
        })
        .await;
        join_all((1..=count).map(prepare)).await
    };
    let release = async {
        until("all wait", async || node.journal.depth() == count + 1).await;
        node.store.unblock();
    };
    let (first, rest, ()) = tokio::join!(first, rest, release);
    assert!(first.is_ok() && rest.iter().all(Result::is_ok));
    assert_eq!(node.journal.depth(), 0);
    let batches = node.store.batches();
    let written: Vec<_> = batches.iter().flatten().map(|(id, _)| *id).collect();
    assert_eq!(written, ids, "in the order in which they came");
    batches[1..].iter().map(Vec::len).collect()
}

#[tokio::test(start_paused = true)]
async fn p13_all_that_waits_goes_in_one_batch() {
    let world = World::memory().await;
    let node = world.node("one").await;
    assert_eq!(sizes_of(&world, &node, 300, 10).await, [300]);
}

#[tokio::test(start_paused = true)]
async fn p13_batches_are_bounded_by_count() {
    let world = World::memory().await;
    let node = world
        .node_with(
            "one",
            journal(JournalOptions {
                batch_commands: 10,
                ..JournalOptions::default()
            }),
        )
        .await;
    assert_eq!(sizes_of(&world, &node, 25, 10).await, [10, 10, 5]);
}

#[tokio::test(start_paused = true)]
async fn p13_batches_are_bounded_by_bytes() {
    let world = World::memory().await;
    let options = JournalOptions {
        batch_bytes: 100_000,
        ..JournalOptions::default()
    };
    let node = world.node_with("one", journal(options)).await;
    let sizes = sizes_of(&world, &node, 25, 20_000).await;
    assert_eq!(
        sizes, [5; 5],
        "the batch ends with the command that passes the bound"
    );
}

#[tokio::test(start_paused = true)]
async fn p13_a_batch_of_one_turns_group_commit_off() {
    let world = World::memory().await;
    let node = world
        .node_with(
            "one",
            journal(JournalOptions {
                batch_commands: 1,
                ..JournalOptions::default()
            }),
        )
        .await;
    assert_eq!(sizes_of(&world, &node, 7, 10).await, [1; 7]);
}

#[tokio::test(start_paused = true)]
async fn m3_a_batch_holds_at_most_one_command_of_a_transaction() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let [a, b, other] = world.ids(3).try_into().unwrap();
    for id in [a, b] {
        node.prepare(id).await.unwrap();
    }
    let before = node.store.batches().len();
    node.store.block();
    let (confirm, cancel) = (Decision::Confirm, Decision::Cancel);
    let decide = async |id, decision| node.decide(id, decision).await;
    let waiting = async {
        until("the writer is held up", async || {
            node.store.batches().len() > before
        })
        .await;
        // Polled in this order, so they wait in this order.
        tokio::join!(
            decide(a, confirm),
            decide(a, cancel),
            decide(b, cancel),
            decide(a, confirm),
            decide(b, confirm)
        )
    };
    let release = async {
        until("all wait", async || node.journal.depth() == 6).await;
        node.store.unblock();
    };
    let (_, told, ()) = tokio::join!(node.prepare(other), waiting, release);
    let batches = node.store.batches().split_off(before + 1);
    let named: Vec<Vec<_>> = batches
        .into_iter()
        .map(|b| {
            b.into_iter()
                .filter(|(_, name)| *name != "delivery_settled")
                .collect()
        })
        .collect();
    let named: Vec<Vec<_>> = named
        .into_iter()
        .filter(|b: &Vec<_>| !b.is_empty())
        .collect();
    let expected = [
        vec![(a, "confirm"), (b, "cancel")],
        vec![(a, "cancel"), (b, "confirm")],
        vec![(a, "confirm")],
    ];
    assert_eq!(named, expected);
    assert!(
        told.0.is_ok() && told.1.is_err() && told.2.is_ok() && told.3.is_ok() && told.4.is_err()
    );
}
