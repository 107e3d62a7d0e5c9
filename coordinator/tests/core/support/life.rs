//! One run through every command there is, by a caller that repeats what went wrong: what the tests of each step do.

use earnest_coordinator::service::{Code, OperatorDecideInput, ServiceError};
use earnest_protocol::{Decision, InitiatorOutcome, Phase, TransactionId};
use tokio::time::timeout;

use super::{Does, Node, Says, World, millis, one_message, reserve::reserve, seconds, until};

/// Every command's name.
pub(crate) const COMMANDS: [&str; 14] = [
    "prepare",
    "submit",
    "confirm",
    "cancel",
    "checked_back",
    "deadline_passed",
    "delivery_settled",
    "release_delivery",
    "release_check_back",
    "operator",
    "register_branches",
    "branch_tried",
    "branch_settled",
    "release_branch",
];

/// More than run at once for one initiator, so that some wait when its breaker opens.
const ASKED: usize = 64;

/// Calls the nodes in turn until one answers with more than *again later*.
pub(crate) async fn call<'n, 'w, T>(
    nodes: &'n [Node<'w>],
    ask: impl AsyncFn(&'n Node<'w>) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    let lives = |node: &&Node<'_>| !node.store.is_dead();
    for node in nodes.iter().cycle().take(10_000).filter(lives) {
        match timeout(seconds(2), ask(node)).await {
            Ok(Err(error)) if error.code.is_retryable() => tokio::time::sleep(millis(20)).await,
            Ok(answer) => return answer,
            Err(_) => {}
        }
    }
    panic!("no node answers")
}

/// Runs through it all; at the end everything is final.
pub(crate) async fn live(world: &World, nodes: &[Node<'_>]) {
    let mut ends = vec![];
    ends.extend(decided(world, nodes).await);
    ends.extend(asked(world, nodes).await);
    ends.extend(overdue(world, nodes).await);
    ends.extend(hard_to_deliver(world, nodes).await);
    ends.extend(paused(world, nodes).await);
    ends.extend(operated(world, nodes).await);
    ends.extend(reserve(world, nodes).await);
    world.at_rest().await;
    for (id, phase) in ends {
        assert_eq!(nodes[0].phase(id).await, Some(phase), "{id}");
        let times = world.sink.times(id);
        assert_eq!(
            times > 0,
            phase == Phase::Confirmed,
            "{id} was handed over {times} times"
        );
    }
    for node in nodes.iter().filter(|node| !node.store.is_dead()) {
        until("the board is empty", async || node.board.total() == 0).await;
    }
}

pub(super) type Ends = Vec<(TransactionId, Phase)>;

/// Prepare, confirm, cancel, submit, and a cancel that comes first.
async fn decided(world: &World, nodes: &[Node<'_>]) -> Ends {
    let [confirmed, cancelled, submitted, unknown] = world.ids(4).try_into().unwrap();
    for id in [confirmed, cancelled] {
        call(nodes, async |node| node.prepare(id).await)
            .await
            .unwrap();
    }
    call(nodes, async |node| node.confirm(confirmed).await)
        .await
        .unwrap();
    for id in [cancelled, unknown] {
        call(nodes, async |node| node.cancel(id).await)
            .await
            .unwrap();
    }
    call(nodes, async |node| node.submit(submitted).await)
        .await
        .unwrap();
    let late = call(nodes, async |node| node.prepare(unknown).await)
        .await
        .unwrap_err();
    assert_eq!(late.code, Code::Decided, "the tombstone stands");
    let opposite = call(nodes, async |node| node.cancel(confirmed).await)
        .await
        .unwrap_err();
    assert_eq!(opposite.code, Code::Decided);
    vec![
        (confirmed, Phase::Confirmed),
        (cancelled, Phase::Cancelled),
        (submitted, Phase::Confirmed),
        (unknown, Phase::Cancelled),
    ]
}

/// Check-backs of many, of which some are given back unasked, with every answer.
async fn asked(world: &World, nodes: &[Node<'_>]) -> Ends {
    let ids = world.ids(ASKED);
    let rolled_back = ids[0];
    world.initiator.says(Says::LateNothing);
    for id in &ids {
        let mut input = one_message(*id);
        input.options.check_after = Some(millis(200));
        call(nodes, async |node| node.prepare_as(input.clone()).await)
            .await
            .unwrap();
    }
    let held = || nodes.iter().map(|node| node.board.total()).sum::<usize>();
    until("all are leased", async || held() >= ASKED).await;
    world.initiator.speak();
    world.initiator.answers(move |work| match work.attempt {
        0..=2 => Says::InProgress,
        _ if work.id == rolled_back => Says::RolledBack,
        _ => Says::Committed,
    });
    let end = |id| {
        if id == rolled_back {
            Phase::Cancelled
        } else {
            Phase::Confirmed
        }
    };
    ids.into_iter().map(|id| (id, end(id))).collect()
}

/// A deadline where nobody can be asked.
async fn overdue(world: &World, nodes: &[Node<'_>]) -> Ends {
    let id = world.id();
    let mut input = one_message(id);
    input.initiator = "clerk".into();
    input.options.outcome = Some(InitiatorOutcome::None);
    input.options.check_after = Some(millis(50));
    call(nodes, async |node| node.prepare_as(input.clone()).await)
        .await
        .unwrap();
    vec![(id, Phase::Cancelled)]
}

/// Deliveries that fail once, or for good until a person has seen to it.
async fn hard_to_deliver(world: &World, nodes: &[Node<'_>]) -> Ends {
    let [again, parked] = world.ids(2).try_into().unwrap();
    world.sink.does(move |work| match work.attempt {
        1 if work.key.transaction == again => Does::InProgress,
        1 if work.key.transaction == parked => Does::Failed,
        _ => Does::Ok,
    });
    for id in [again, parked] {
        call(nodes, async |node| node.submit(id).await)
            .await
            .unwrap();
    }
    until("it is parked", async || {
        nodes[0]
            .detail(parked)
            .await
            .transaction
            .state
            .parked_effects
            == 1
    })
    .await;
    call(nodes, async |node| {
        node.coordinator.retry(&parked.to_string(), "ann").await
    })
    .await
    .unwrap();
    vec![(again, Phase::Confirmed), (parked, Phase::Confirmed)]
}

/// A pause while work waits in memory.
async fn paused(world: &World, nodes: &[Node<'_>]) -> Ends {
    world
        .subscribe("slow", "invoice.sent", |row| row.concurrency = 1)
        .await;
    world.sink.does(|_| Does::Slow(millis(30)));
    let ids = world.ids(5);
    for id in &ids {
        let mut input = one_message(*id);
        input.messages[0].topic = "invoice.sent".into();
        call(nodes, async |node| node.submit_as(input.clone()).await)
            .await
            .unwrap();
    }
    let pause = async |paused| {
        call(nodes, async |node| {
            node.coordinator
                .pause_subscription("", "slow", paused)
                .await
        })
        .await
    };
    pause(true).await.unwrap();
    world.sink.does(|_| Does::Ok);
    pause(false).await.unwrap();
    ids.into_iter().map(|id| (id, Phase::Confirmed)).collect()
}

/// A person parks and decides, and parks a delivery and brings it back.
async fn operated(world: &World, nodes: &[Node<'_>]) -> Ends {
    let [forced, held] = world.ids(2).try_into().unwrap();
    call(nodes, async |node| node.prepare(forced).await)
        .await
        .unwrap();
    call(nodes, async |node| {
        node.coordinator.park(&forced.to_string(), "", "ann").await
    })
    .await
    .unwrap();
    let decide = || OperatorDecideInput {
        id: forced.to_string(),
        decision: Decision::Cancel,
        force: true,
        actor: "ann".into(),
        reason: String::new(),
    };
    call(nodes, async |node| {
        node.coordinator.operator_decides(decide()).await
    })
    .await
    .unwrap();

    world.sink.does(|_| Does::InProgress);
    call(nodes, async |node| node.submit(held).await)
        .await
        .unwrap();
    // A park that was written already answers that nothing is left to park.
    let told = call(nodes, async |node| {
        node.coordinator.park(&held.to_string(), "", "ann").await
    })
    .await;
    assert!(told.is_ok() || told.is_err_and(|error| error.code == Code::Invalid));
    world.sink.does(|_| Does::Ok);
    call(nodes, async |node| {
        node.coordinator.retry(&held.to_string(), "ann").await
    })
    .await
    .unwrap();
    vec![(forced, Phase::Cancelled), (held, Phase::Confirmed)]
}
