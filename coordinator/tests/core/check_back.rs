//! Silence is never an answer: P6, and what an operator may do then.

use earnest_coordinator::service::{Code, OperatorDecideInput, OptionsInput, ServiceInput};
use earnest_protocol::{Decision, InitiatorOutcome, OnBudgetSpent, Phase, TransactionId};
use earnest_store::{Endpoint, EndpointProtocol, TransactionRow};
use tokio::time::Instant;

use crate::support::{Node, Says, World, millis, minutes, one_message, seconds, until};

/// Prepared, and asked about after a second, at most `budget` times *in progress*.
async fn prepared(world: &World, node: &Node<'_>, budget: u32) -> TransactionId {
    let id = world.id();
    let mut input = one_message(id);
    input.options.check_after = Some(seconds(1));
    input.options.check_back_budget = Some(budget);
    node.prepare_as(input).await.unwrap();
    id
}

async fn row(node: &Node<'_>, id: TransactionId) -> TransactionRow {
    node.detail(id).await.transaction
}

fn operator(id: TransactionId, decision: Decision, force: bool) -> OperatorDecideInput {
    OperatorDecideInput {
        id: id.to_string(),
        decision,
        force,
        actor: "ann".into(),
        reason: "ticket 7".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn p6_committed_confirms_and_rolled_back_cancels() {
    for (says, phase, times) in [
        (Says::Committed, Phase::Confirmed, 1),
        (Says::RolledBack, Phase::Cancelled, 0),
    ] {
        let world = World::memory().await;
        let node = world.node("one").await;
        world.initiator.says(says);
        let id = prepared(&world, &node, 3).await;
        let sentence = node.summary(id).await;
        assert!(
            sentence.contains("cashier has owed a decision")
                && sentence.contains("check-back number 1"),
            "{sentence}"
        );
        world.at_rest().await;
        assert_eq!(node.phase(id).await, Some(phase));
        assert_eq!(
            (world.initiator.asked(id), world.sink.times(id)),
            (1, times)
        );
        assert!(node.summary(id).await.contains("by check-back"));
    }
}

#[tokio::test(start_paused = true)]
async fn p6_any_number_of_silences_decides_nothing_and_spends_nothing() {
    for (says, code) in [
        (Says::Nothing, "unreachable"),
        (Says::Hang, "timeout"),
        (Says::Panic, "internal"),
    ] {
        let world = World::memory().await;
        let node = world.node("one").await;
        world.initiator.says(says);
        let id = prepared(&world, &node, 2).await;
        until("it was asked twenty times", async || {
            row(&node, id).await.check_attempts >= 20
        })
        .await;
        let detail = node.detail(id).await;
        let state = &detail.transaction.state;
        assert_eq!(
            (state.phase, state.in_progress_answers),
            (Phase::Prepared, 0)
        );
        assert_eq!(state.parked, None);
        assert!(detail.attempts.len() >= 20 && detail.attempts.iter().all(|a| a.code == code));
        let sentence = node.summary(id).await;
        assert!(
            sentence.contains(&format!("last error: {code}")),
            "{sentence}"
        );
        // Two *in progress* answers with silence between them still spend the whole budget, and no less does.
        world.initiator.says(Says::Committed);
        world.at_rest().await;
        assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
    }
}

#[tokio::test(start_paused = true)]
async fn p11_a_service_that_registers_is_asked_within_a_second() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.says(Says::Nothing);
    let id = prepared(&world, &node, 3).await;
    until("the waits are at their longest", async || {
        row(&node, id).await.check_attempts >= 12
    })
    .await;
    world.initiator.says(Says::Committed);
    let endpoint = Endpoint {
        resource_id: String::new(),
        url: "http://127.0.0.1:1".into(),
        protocol: EndpointProtocol::Grpc,
    };
    let input = ServiceInput {
        namespace: String::new(),
        name: "cashier".into(),
        endpoints: vec![endpoint],
        replace: false,
    };
    let registered = Instant::now();
    node.coordinator.register_service(input).await.unwrap();
    until("it is confirmed", async || {
        node.phase(id).await == Some(Phase::Confirmed)
    })
    .await;
    // Time stands still but for the waits of those who have nothing to do.
    let took = registered.elapsed();
    assert!(took < seconds(1), "{took:?}");
    world.at_rest().await;
}

#[tokio::test(start_paused = true)]
async fn p6_only_in_progress_spends_the_budget_and_that_parks() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.answers(|work| {
        if work.attempt % 3 == 0 {
            Says::InProgress
        } else {
            Says::Nothing
        }
    });
    let id = prepared(&world, &node, 4).await;
    world.at_rest().await;
    let parked = row(&node, id).await;
    assert_eq!(
        (parked.state.in_progress_answers, parked.check_attempts),
        (4, 12)
    );
    let sentence = node.summary(id).await;
    assert!(
        sentence.contains("Parked and undecided") && sentence.contains("budget spent"),
        "{sentence}"
    );
    tokio::time::sleep(minutes(120)).await;
    assert_eq!(
        world.initiator.asked(id),
        12,
        "parked: nobody is asked any more"
    );

    // A late Confirm of the initiator is as good as ever.
    node.confirm(id).await.unwrap();
    until("it is delivered", async || {
        node.phase(id).await == Some(Phase::Confirmed)
    })
    .await;
    assert_eq!(world.sink.times(id), 1);
}

#[tokio::test(start_paused = true)]
async fn p6_a_retried_parked_transaction_starts_with_a_whole_budget() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.says(Says::InProgress);
    let id = prepared(&world, &node, 2).await;
    world.at_rest().await;
    node.coordinator
        .retry(&id.to_string(), "ann")
        .await
        .unwrap();
    world.at_rest().await;
    assert_eq!(world.initiator.asked(id), 4);
    world.initiator.says(Says::RolledBack);
    node.coordinator
        .retry(&id.to_string(), "ann")
        .await
        .unwrap();
    until("it is cancelled", async || {
        node.phase(id).await == Some(Phase::Cancelled)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn p6_a_spent_budget_cancels_only_where_that_was_asked_for() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.says(Says::InProgress);
    let id = world.id();
    let mut input = one_message(id);
    input.options = OptionsInput {
        check_after: Some(millis(500)),
        outcome: Some(InitiatorOutcome::Asked),
        on_budget_spent: Some(OnBudgetSpent::Cancel),
        check_back_budget: Some(3),
        ..OptionsInput::default()
    };
    node.prepare_as(input.clone()).await.unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
    assert_eq!(world.initiator.asked(id), 3);
    input.id = None;
    input.options.outcome = Some(InitiatorOutcome::Local);
    let refused = node.prepare_as(input).await.unwrap_err();
    assert_eq!(refused.code, Code::Invalid);
}

#[tokio::test(start_paused = true)]
async fn p6_an_operator_decides_with_the_initiator_or_by_force() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.says(Says::InProgress);
    let (confirmed, forced, undecided) = (
        prepared(&world, &node, 1).await,
        prepared(&world, &node, 1).await,
        prepared(&world, &node, 1).await,
    );
    let decides = |id, decision, force| {
        node.coordinator
            .operator_decides(operator(id, decision, force))
    };
    let not_parked = decides(undecided, Decision::Confirm, false)
        .await
        .unwrap_err();
    assert_eq!(not_parked.code, Code::NotParked);
    world.at_rest().await;

    for (says, decision) in [
        (Says::InProgress, Decision::Confirm),
        (Says::Nothing, Decision::Confirm),
        (Says::RolledBack, Decision::Confirm),
        (Says::Committed, Decision::Cancel),
    ] {
        world.initiator.says(says);
        let refused = decides(confirmed, decision, false).await.unwrap_err();
        assert_eq!(
            refused.code,
            Code::OutcomeUnclear,
            "{decision} against {says:?}"
        );
        assert_eq!(node.phase(confirmed).await, Some(Phase::Prepared));
    }
    world.initiator.says(Says::Committed);
    decides(confirmed, Decision::Confirm, false).await.unwrap();
    world.initiator.says(Says::Nothing);
    decides(forced, Decision::Cancel, true).await.unwrap();
    let opposite = decides(confirmed, Decision::Cancel, true)
        .await
        .unwrap_err();
    assert_eq!(opposite.code, Code::Decided);

    until("it is delivered", async || {
        node.phase(confirmed).await == Some(Phase::Confirmed)
    })
    .await;
    assert_eq!(node.phase(forced).await, Some(Phase::Cancelled));
    assert_eq!(node.phase(undecided).await, Some(Phase::Prepared));
    let audit = world.store.audit(10).await.unwrap();
    let lines: Vec<_> = audit
        .iter()
        .rev()
        .map(|a| (a.action.as_str(), a.detail.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("decide confirm", "ticket 7 [initiator: committed]"),
            ("decide cancel", "ticket 7 [initiator: no answer] [forced]"),
        ]
    );
}
