//! Every command failed before and after it is written, run twice, and its node killed on both sides of it: the
//! caller gets a right answer, decisions stand, everything owed is done in the end, and no work is orphaned.

use earnest_coordinator::driver::DriverOptions;
use tokio::time::timeout;

use crate::support::{COMMANDS, Fault, Setup, When, World, live, millis, minutes};

/// One life per command, with one fault at it.
async fn each(when: When, nodes: &[&'static str]) {
    for command in COMMANDS {
        let world = World::memory().await;
        let mut all = vec![];
        for name in nodes {
            all.push(world.node(name).await);
        }
        let fault = Fault::once(when, command);
        for node in &all {
            node.store.fail(fault.clone());
        }
        let lived = timeout(minutes(60), live(&world, &all)).await;
        assert!(
            lived.is_ok(),
            "{when:?} at {command}: not over after an hour"
        );
        assert_eq!(
            all.iter().map(|node| node.store.fired()).sum::<usize>(),
            1,
            "{when:?} at {command} happened"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn p2_each_command_fails_before_it_is_written() {
    each(When::Before, &["one"]).await;
}

#[tokio::test(start_paused = true)]
async fn p2_each_command_is_written_by_a_commit_of_unknown_outcome() {
    each(When::After, &["one"]).await;
}

#[tokio::test(start_paused = true)]
async fn p2_each_command_is_lost_by_a_commit_of_unknown_outcome() {
    each(When::Lost, &["one"]).await;
}

#[tokio::test(start_paused = true)]
async fn p2_the_node_dies_before_each_command_is_written() {
    each(When::CrashBefore, &["one", "two"]).await;
}

#[tokio::test(start_paused = true)]
async fn p2_the_node_dies_after_each_command_is_written() {
    each(When::CrashAfter, &["one", "two"]).await;
}

#[tokio::test(start_paused = true)]
async fn p1_every_command_run_twice_is_as_good_as_once() {
    let world = World::memory().await;
    let nodes = [world.node("one").await];
    nodes[0].store.fail(Fault::twice(When::After));
    live(&world, &nodes).await;
    assert!(nodes[0].store.fired() > 50);
}

/// SQLite: every command fails once, all in one life.
async fn on_sqlite(when: When) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::sqlite(directory.path()).await;
    let driver = DriverOptions {
        poll: millis(20),
        ..DriverOptions::default()
    };
    let nodes = [world
        .node_with(
            "one",
            Setup {
                driver,
                ..Setup::default()
            },
        )
        .await];
    for command in COMMANDS {
        nodes[0].store.fail(Fault::once(when, command));
    }
    assert!(
        timeout(minutes(2), live(&world, &nodes)).await.is_ok(),
        "{when:?}: not over after two minutes"
    );
    assert_eq!(nodes[0].store.fired(), COMMANDS.len());
}

#[tokio::test]
async fn p2_sqlite_each_command_fails_before_it_is_written() {
    on_sqlite(When::Before).await;
}

#[tokio::test]
async fn p2_sqlite_each_command_is_written_by_a_commit_of_unknown_outcome() {
    on_sqlite(When::After).await;
}
