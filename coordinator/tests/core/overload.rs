//! Too much: refused early, bounded in memory, and nothing that was accepted is lost (P13).

use earnest_coordinator::{
    driver::{BoardOptions, DriverOptions},
    journal::{JournalError, JournalOptions},
    service::Code,
};
use earnest_protocol::{LeaseToken, Phase};
use earnest_store::Command;
use futures_util::future::join_all;

use crate::support::{Does, Setup, World, millis, one_message, seconds, until};

fn journal(journal: JournalOptions) -> Setup {
    Setup {
        journal,
        ..Setup::default()
    }
}

#[tokio::test(start_paused = true)]
async fn p13_a_queue_full_by_count_refuses_at_once() {
    let world = World::memory().await;
    let node = world
        .node_with(
            "one",
            journal(JournalOptions {
                queue_commands: 8,
                ..JournalOptions::default()
            }),
        )
        .await;
    node.store.block();
    let ids = world.ids(8);
    let calls = join_all(ids.iter().map(|id| node.prepare(*id)));
    let overload = async {
        until("the queue is full", async || node.journal.depth() == 8).await;
        // The database stands still: whoever is answered now was not made to wait for it.
        let refused = node.prepare(world.id()).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        assert!(refused.code.is_retryable() && refused.hint.contains("repeat the same call"));
        assert_eq!(node.journal.depth(), 8);
        node.store.unblock();
    };
    let (told, ()) = tokio::join!(calls, overload);
    assert!(told.iter().all(Result::is_ok));
    assert_eq!(node.journal.depth(), 0);
    node.prepare(world.id()).await.unwrap();
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn p13_a_queue_full_by_bytes_refuses_at_once() {
    let world = World::memory().await;
    let node = world
        .node_with(
            "one",
            journal(JournalOptions {
                queue_bytes: 50_000,
                ..JournalOptions::default()
            }),
        )
        .await;
    let large = |id| {
        let mut input = one_message(id);
        input.messages[0].payload = vec![b'x'; 20_000].into();
        input
    };
    node.store.block();
    let ids = world.ids(2);
    let calls = join_all(ids.iter().map(|id| node.prepare_as(large(*id))));
    let overload = async {
        until("both wait", async || node.journal.depth() == 2).await;
        assert_eq!(
            node.prepare_as(large(world.id())).await.unwrap_err().code,
            Code::Overloaded
        );
        let small = node.prepare(world.id());
        let unblock = async {
            until("a small one still has room", async || {
                node.journal.depth() == 3
            })
            .await;
            node.store.unblock();
        };
        tokio::join!(small, unblock).0.unwrap();
    };
    let (told, ()) = tokio::join!(calls, overload);
    assert!(told.iter().all(Result::is_ok));
    // Larger than the whole queue: alone it fits.
    let mut huge = large(world.id());
    huge.messages[0].payload = vec![b'x'; 200_000].into();
    node.prepare_as(huge).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p13_commands_of_the_coordinators_own_wait_instead() {
    let world = World::memory().await;
    let node = world
        .node_with(
            "one",
            journal(JournalOptions {
                queue_commands: 4,
                ..JournalOptions::default()
            }),
        )
        .await;
    node.store.block();
    let ids = world.ids(4);
    let release = |id| Command::ReleaseCheckBack {
        id,
        token: LeaseToken::NONE,
    };
    let calls = join_all(ids.iter().map(|id| node.prepare(*id)));
    let own = async {
        until("the queue is full", async || node.journal.depth() == 4).await;
        let refused = node.journal.write(release(ids[0])).await;
        assert!(matches!(refused, Err(JournalError::Full)));
        let unblock = async {
            tokio::time::sleep(seconds(5)).await;
            node.store.unblock();
        };
        tokio::join!(node.journal.write_own(release(ids[0])), unblock).0
    };
    let (_, written) = tokio::join!(calls, own);
    assert!(written.is_ok(), "it waited for room");
}

#[tokio::test(start_paused = true)]
async fn p13_after_an_overload_all_that_was_accepted_is_delivered_and_nothing_else() {
    let world = World::memory().await;
    let options = JournalOptions {
        queue_commands: 64,
        batch_commands: 16,
        ..JournalOptions::default()
    };
    let node = world.node_with("one", journal(options)).await;
    world.sink.does(|work| {
        if work.attempt == 1 {
            Does::InProgress
        } else {
            Does::Slow(millis(20))
        }
    });
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20 {
        let ids = world.ids(200);
        let told = join_all(ids.iter().map(|id| node.submit(*id))).await;
        for (id, told) in ids.iter().zip(told) {
            match told {
                Ok(_) => accepted += 1,
                Err(error) => {
                    assert_eq!(error.code, Code::Overloaded);
                    assert_eq!(
                        node.phase(*id).await,
                        None,
                        "what was refused left nothing behind"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(
        accepted >= 20 * 32 && refused > 0,
        "{accepted} accepted, {refused} refused"
    );
    world.at_rest().await;
    assert_eq!(world.ledger.decisions(), accepted);
    until("the board is empty", async || node.board.total() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn p13_work_in_memory_is_bounded_however_much_is_owed() {
    let world = World::memory().await;
    let bound = 32;
    let setup = Setup {
        board: BoardOptions {
            total: bound,
            per_target: bound / 2,
        },
        journal: JournalOptions {
            batch_commands: 8,
            ..JournalOptions::default()
        },
        driver: DriverOptions {
            poll: millis(1),
            ..DriverOptions::default()
        },
    };
    let node = world.node_with("one", setup).await;
    world
        .subscribe("books", crate::support::TOPIC, |_| ())
        .await;
    world.sink.does(|work| {
        if work.attempt == 1 {
            Does::InProgress
        } else {
            Does::Slow(millis(5))
        }
    });
    let ids = world.ids(600);
    let mut most = 0;
    for some in ids.chunks(8) {
        let told = join_all(some.iter().map(|id| node.submit(*id))).await;
        assert!(told.iter().all(Result::is_ok), "owing much refuses nobody");
        most = most.max(node.board.total());
    }
    while node.phase(ids[599]).await != Some(Phase::Confirmed) || node.board.total() > 0 {
        most = most.max(node.board.total());
        tokio::time::sleep(millis(1)).await;
    }
    // A batch that found room may have taken all it made due, beside a claim that saw the same room.
    assert!(
        most <= 2 * bound + 2 * 8,
        "{most} pieces of work were in memory"
    );
    assert!(most >= bound / 2);
    world.at_rest().await;
}
