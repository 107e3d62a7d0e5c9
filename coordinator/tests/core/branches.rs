//! What a decision owes to branches, and how it is paid: T1, T3, T4, T5, P4, P6, P10, P12.

use earnest_coordinator::{
    driver::DriverOptions,
    service::{Code, ServiceInput},
};
use earnest_protocol::{
    BranchCall::{Cancel, Confirm},
    BranchState, Decision, Phase, RetryPolicy,
};
use earnest_store::{AttemptKind, Endpoint, EndpointProtocol};
use tokio::time::timeout;

use crate::support::{
    Answers, Fault, Setup, TOPIC, When, World, branch, message, minutes, reservations, seconds,
    until,
};

/// Looks for due work once an hour: nothing but the fast path calls.
fn hourly() -> Setup {
    let driver = DriverOptions {
        poll: minutes(60),
        ..DriverOptions::default()
    };
    Setup {
        driver,
        ..Setup::default()
    }
}

#[tokio::test(start_paused = true)]
async fn p4_confirm_calls_every_branch_and_delivers_with_no_claim() {
    let world = World::memory().await;
    let node = world.node_with("one", hourly()).await;
    let id = world.id();
    let mut input = reservations(id, &["account", "coupon"]);
    input.messages = vec![message(TOPIC, "", "paid")];
    node.prepare_as(input).await.unwrap();
    node.register(id, 2, vec![branch("credit", "credit")])
        .await
        .unwrap();
    assert!(
        world.participants.called().is_empty(),
        "T4: nothing is called before the decision"
    );
    node.confirm(id).await.unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
    let mut called = world.participants.calls_of(id);
    called.sort_unstable();
    assert_eq!(called, [(Confirm, 0), (Confirm, 1), (Confirm, 2)]);
    let payloads = world
        .participants
        .called()
        .into_iter()
        .map(|c| (c.service, String::from_utf8(c.payload).unwrap()));
    let mut payloads: Vec<_> = payloads.collect();
    payloads.sort();
    assert_eq!(payloads[0], ("account".into(), format!("account {id}")));
    assert_eq!(payloads[2], ("credit".into(), "credit".into()));
    assert_eq!(world.sink.times(id), 1);
    assert_eq!(node.store.claimed(), 0, "nothing was claimed");
    let sentence = node.summary(id).await;
    assert!(
        sentence
            .starts_with("Confirmed; its delivery is done; all 3 branches have taken the confirm"),
        "{sentence}"
    );
}

#[tokio::test(start_paused = true)]
async fn t5_cancel_calls_every_branch_and_delivers_nothing() {
    let world = World::memory().await;
    let node = world.node_with("one", hourly()).await;
    let id = world.id();
    let mut input = reservations(id, &["account", "coupon"]);
    input.messages = vec![message(TOPIC, "", "paid")];
    node.prepare_as(input).await.unwrap();
    node.cancel(id).await.unwrap();
    world.at_rest().await;
    let mut called = world.participants.calls_of(id);
    called.sort_unstable();
    assert_eq!(called, [(Cancel, 0), (Cancel, 1)]);
    assert_eq!(world.sink.times(id), 0);
    assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn t4_no_branch_is_registered_beside_or_after_a_decision() {
    let world = World::memory().await;
    let node = world.node("one").await;
    for decision in [Decision::Confirm, Decision::Cancel] {
        let id = world.id();
        node.prepare_as(reservations(id, &["account"]))
            .await
            .unwrap();
        let late = async || node.register(id, 1, vec![branch("coupon", "late")]).await;
        let (decided, beside) = tokio::join!(node.decide(id, decision), late());
        decided.unwrap();
        for refused in [beside, late().await] {
            let error = refused.unwrap_err();
            assert_eq!(error.code, Code::Decided);
            let stands = error.transaction.expect("it says what stands").state.phase;
            assert_eq!(stands.decision(), Some(decision));
        }
        world.at_rest().await;
        assert_eq!(
            world.participants.calls_of(id),
            [(decision.into(), 0)],
            "and the late branch is told nothing"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn p6_nothing_but_ok_ends_a_branch_and_every_failure_is_kept() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.participants.answer(|work| match work.attempt {
        1 => Answers::Down,
        2 => Answers::Refused,
        3 => Answers::InProgress,
        4 => Answers::Omit,
        5 => Answers::Hang,
        6 => Answers::Panic,
        _ => Answers::Ok,
    });
    let id = world.id();
    node.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    node.confirm(id).await.unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
    assert_eq!(world.participants.calls_of(id), [(Confirm, 0); 7]);
    let detail = node.detail(id).await;
    let kept: Vec<_> = detail
        .attempts
        .iter()
        .rev()
        .map(|a| (a.number, a.code.as_str()))
        .collect();
    let codes = [
        "unreachable",
        "refused",
        "in-progress",
        "bad-answer",
        "timeout",
        "internal",
    ];
    assert_eq!(kept, (1..).zip(codes).collect::<Vec<_>>());
    let of_confirm =
        |kind: &AttemptKind| matches!(kind, AttemptKind::Branch(n, Confirm) if n.0 == 0);
    assert!(detail.attempts.iter().all(|a| of_confirm(&a.kind)));
}

#[tokio::test(start_paused = true)]
async fn p4_a_branch_that_cannot_succeed_is_parked_and_brought_back_by_a_person() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world
        .participants
        .answer(|work| match work.branch.service.as_str() {
            "account" => Answers::Failed,
            _ => Answers::Ok,
        });
    let id = world.id();
    node.prepare_as(reservations(id, &["account", "coupon"]))
        .await
        .unwrap();
    node.confirm(id).await.unwrap();
    world.at_rest().await;
    let detail = node.detail(id).await;
    assert_eq!(
        detail.transaction.state.phase,
        Phase::Confirming,
        "nothing flips the decision, and nothing is dropped"
    );
    let states: Vec<_> = detail.branches.iter().map(|(row, _)| row.state).collect();
    assert_eq!(states, [BranchState::Parked, BranchState::Done]);
    let sentence = node.summary(id).await;
    let parked =
        "Confirmed 0 ms ago, but parked: confirm of branch 0 (debit) at account — no such account.";
    assert!(sentence.starts_with(parked), "{sentence}");
    let calls = world.participants.calls_of(id).len();
    tokio::time::sleep(minutes(60)).await;
    assert_eq!(
        world.participants.calls_of(id).len(),
        calls,
        "parked work is left alone"
    );
    world.participants.answer(|_| Answers::Ok);
    let (_, made_due) = node
        .coordinator
        .retry(&id.to_string(), "ann")
        .await
        .unwrap();
    assert_eq!(made_due, 1);
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn p4_what_a_person_parks_stays_until_they_say_so() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.participants.answer(|_| Answers::InProgress);
    let id = world.id();
    node.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    node.cancel(id).await.unwrap();
    until("it was called", async || {
        !world.participants.called().is_empty()
    })
    .await;
    let sentence = node.summary(id).await;
    assert!(
        sentence.contains("cancel of branch 0 (debit) at account has been owed for"),
        "{sentence}"
    );
    node.coordinator
        .park(&id.to_string(), "the account is being moved", "ann")
        .await
        .unwrap();
    world.participants.answer(|_| Answers::Ok);
    world.at_rest().await;
    tokio::time::sleep(minutes(60)).await;
    assert_eq!(node.phase(id).await, Some(Phase::Cancelling));
    node.coordinator
        .retry(&id.to_string(), "ann")
        .await
        .unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn p12_a_dead_and_a_hanging_participant_do_not_stop_a_third() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world
        .participants
        .answer(|work| match work.branch.service.as_str() {
            "dead" => Answers::Down,
            "hanging" => Answers::Hang,
            _ => Answers::Ok,
        });
    let confirm = async |services: &[&str], count: usize| {
        let ids = world.ids(count);
        for id in &ids {
            node.prepare_as(reservations(*id, services)).await.unwrap();
            node.confirm(*id).await.unwrap();
        }
        ids
    };
    confirm(&["dead", "well"], 1_000).await;
    confirm(&["hanging", "well"], 200).await;
    for _ in 0..30 {
        let ids = confirm(&["well", "good"], 10).await;
        let done = async || {
            let phases = futures_util::future::join_all(ids.iter().map(|id| node.phase(*id))).await;
            phases.iter().all(|phase| *phase == Some(Phase::Confirmed))
        };
        assert!(
            timeout(seconds(1), until("they are final", done))
                .await
                .is_ok()
        );
        tokio::time::sleep(minutes(1)).await;
    }
    let to = |service: &str| {
        let called = world.participants.called();
        called.iter().filter(|c| c.service == service).count()
    };
    let (dead, hanging) = (to("dead"), to("hanging"));
    assert!(
        dead < 1_000 && hanging < 1_000,
        "V3: {dead} and {hanging} calls in half an hour to participants that don't answer"
    );
    world.participants.answer(|_| Answers::Ok);
    world.at_rest().await;
    until("the board is empty", async || node.board.total() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn p12_branches_of_one_participant_ride_together() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.participants.answer(|_| Answers::Slow(seconds(1)));
    let ids = world.ids(500);
    for id in &ids {
        node.prepare_as(reservations(*id, &["account"]))
            .await
            .unwrap();
        node.confirm(*id).await.unwrap();
    }
    // One by one, eight at a time, they would take more than a minute.
    assert!(timeout(seconds(5), world.at_rest()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p10_a_paused_nodes_branch_is_taken_over_and_its_own_end_changes_nothing() {
    let world = World::memory().await;
    let one = world.node("one").await;
    world.participants.answer(|_| Answers::Slow(seconds(1)));
    let id = world.id();
    one.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    one.confirm(id).await.unwrap();
    until("one is at it", async || {
        world.participants.calls_of(id).len() == 1
    })
    .await;
    one.store.kill();
    let two = world.node("two").await;
    world.participants.answer(|_| Answers::InProgress);
    until("two is at it", async || {
        two.detail(id).await.branches[0].0.attempts >= 1
    })
    .await;

    // Its call ends well, but the lease is another's by now.
    one.store.revive();
    until("one has heard of it", async || {
        one.metric("earnest_lost_leases_total") == 1
    })
    .await;
    let detail = two.detail(id).await;
    assert_eq!(detail.transaction.state.phase, Phase::Confirming);
    assert!(detail.attempts.iter().all(|attempt| attempt.node == "two"));
    world.participants.answer(|_| Answers::Ok);
    world.at_rest().await;
    let by_two = |c: &crate::support::Called| c.node == "two";
    assert!(world.participants.called().iter().any(by_two));
}

#[tokio::test(start_paused = true)]
async fn p2_an_end_of_unknown_outcome_is_written_once() {
    for when in [When::After, When::Lost] {
        let world = World::memory().await;
        let node = world.node("one").await;
        node.store.fail(Fault::once(when, "branch_settled"));
        let id = world.id();
        node.prepare_as(reservations(id, &["account", "coupon"]))
            .await
            .unwrap();
        node.confirm(id).await.unwrap();
        world.at_rest().await;
        let state = node.detail(id).await.transaction.state;
        assert_eq!(
            (state.phase, state.open_effects, state.parked_effects),
            (Phase::Confirmed, 0, 0)
        );
    }
}

/// An endpoint is corrected: what waits for the service follows at once, however long it would have waited.
async fn follows_a_registration(world: &World) {
    let mut setup = Setup::default();
    setup.driver.branch_retry = RetryPolicy {
        initial: minutes(60 * 24),
        multiplier_milli: 1_000,
        cap: minutes(60 * 24),
    };
    let node = world.node_with("one", setup).await;
    world.participants.answer(|_| Answers::Down);
    let id = world.id();
    node.prepare_as(reservations(id, &["account"]))
        .await
        .unwrap();
    node.confirm(id).await.unwrap();
    until("it waits for its second call", async || {
        let branch = &node.detail(id).await.branches[0].0;
        branch.attempts == 1 && branch.holder.is_none()
    })
    .await;
    world.participants.answer(|_| Answers::Ok);
    let register = async |name: &str| {
        let input = ServiceInput {
            namespace: String::new(),
            name: name.into(),
            endpoints: vec![Endpoint {
                url: "http://127.0.0.1:1".into(),
                protocol: EndpointProtocol::Grpc,
                resource_id: String::new(),
            }],
            replace: true,
        };
        node.coordinator.register_service(input).await.unwrap();
    };
    register("coupon").await;
    register("account").await;
    let confirmed = async || node.phase(id).await == Some(Phase::Confirmed);
    assert!(
        timeout(minutes(1), until("it is confirmed", confirmed))
            .await
            .is_ok()
    );
    assert_eq!(world.participants.calls_of(id), [(Confirm, 0); 2]);
}

#[tokio::test(start_paused = true)]
async fn p11_branches_follow_a_service_that_registers() {
    follows_a_registration(&World::memory().await).await;
}

#[tokio::test]
async fn p11_sqlite_branches_follow_a_service_that_registers() {
    let directory = tempfile::tempdir().unwrap();
    follows_a_registration(&World::sqlite(directory.path()).await).await;
}
