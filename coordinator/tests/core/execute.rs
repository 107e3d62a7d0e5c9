//! Execute: the coordinator calls every Try, and their answers decide. T3, T5, P1, P6.

use earnest_coordinator::service::{Code, Until, WaitInput};
use earnest_protocol::{
    BranchCall::{Cancel, Confirm, Try},
    Decider, Decision, InitiatorOutcome, Phase,
};

use crate::support::{
    Answers, TOPIC, World, message, millis, minutes, reservations, seconds, until,
};

fn at_once() -> WaitInput {
    WaitInput {
        until: Until::Decision,
        at_most: millis(0),
    }
}

#[tokio::test(start_paused = true)]
async fn t3_all_are_tried_before_any_is_confirmed() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world
        .participants
        .answer(|work| match (work.call, work.key.ordinal.0) {
            (Try, n) => Answers::Slow(millis(10 * u64::from(n))),
            _ => Answers::Ok,
        });
    let id = world.id();
    let mut input = reservations(id, &["account", "coupon", "credit"]);
    input.messages = vec![message(TOPIC, "", "paid")];
    let told = node.execute(input.clone(), None).await.unwrap();
    assert!(told.created);
    assert_eq!(
        told.row.state.phase.decision(),
        Some(Decision::Confirm),
        "it is answered with the decision"
    );
    assert_eq!(told.row.decided.map(|(_, by)| by), Some(Decider::Tries));
    world.at_rest().await;
    let calls = world.participants.calls_of(id);
    let (tries, rest) = calls.split_at(3);
    assert!(tries.iter().all(|(call, _)| *call == Try), "{calls:?}");
    assert!(rest.iter().all(|(call, _)| *call == Confirm), "{calls:?}");
    assert_eq!(rest.len(), 3);
    assert_eq!(world.sink.times(id), 1);

    // The same call again is answered with what became of it, and nothing is tried again.
    let again = node.execute(input, None).await.unwrap();
    assert_eq!(
        (again.created, again.row.state.phase),
        (false, Phase::Confirmed)
    );
    assert_eq!(world.participants.calls_of(id).len(), 6);
}

#[tokio::test(start_paused = true)]
async fn t5_one_refusal_cancels_all_and_says_whose_and_why() {
    let world = World::memory().await;
    let node = world.node("one").await;
    for answer in [Answers::Refused, Answers::Failed] {
        let no = answer.clone();
        world.participants.answer(
            move |work| match (work.call, work.branch.service.as_str()) {
                (Try, "coupon") => no.clone(),
                (Try, _) => Answers::Slow(seconds(1)),
                _ => Answers::Ok,
            },
        );
        let id = world.id();
        let mut input = reservations(id, &["account", "coupon"]);
        input.messages = vec![message(TOPIC, "", "paid")];
        let row = node.execute(input, None).await.unwrap().row;
        let reason = match answer {
            Answers::Refused => "too little",
            _ => "no such account",
        };
        let refusal = Decider::Refusal {
            service: "coupon".parse().unwrap(),
            reason: reason.into(),
        };
        assert_eq!(row.decided.map(|(_, by)| by), Some(refusal));
        world.at_rest().await;
        assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
        let calls = world.participants.calls_of(id);
        for n in [0, 1] {
            assert!(calls.contains(&(Cancel, n)), "{calls:?}");
        }
        assert_eq!(world.sink.times(id), 0);
        let sentence = node.summary(id).await;
        assert!(
            sentence.contains(&format!("by coupon's refusal: {reason}")),
            "{sentence}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn p6_silence_of_a_try_decides_nothing_and_the_deadline_cancels() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world
        .participants
        .answer(|work| match (work.call, work.attempt % 3) {
            (Try, 0) => Answers::Down,
            (Try, 1) => Answers::InProgress,
            (Try, _) => Answers::Omit,
            _ => Answers::Ok,
        });
    let id = world.id();
    let mut input = reservations(id, &["account"]);
    input.options.check_after = Some(seconds(30));
    let waiting = tokio::time::Instant::now();
    node.execute(input.clone(), Some(at_once())).await.unwrap();
    tokio::time::sleep(seconds(29)).await;
    assert_eq!(node.phase(id).await, Some(Phase::Prepared));
    assert!(
        world.participants.calls_of(id).len() > 4,
        "it is tried again and again"
    );
    let sentence = node.summary(id).await;
    assert!(
        sentence.starts_with("1 of 1 Trys have not been answered OK for")
            && sentence.contains("the deadline, which cancels, is due in"),
        "{sentence}"
    );
    let row = node.execute(input, None).await.unwrap().row;
    assert_eq!(row.decided.map(|(_, by)| by), Some(Decider::Deadline));
    assert!(waiting.elapsed() < seconds(32), "by its deadline, about");
    world.at_rest().await;
    assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
    assert_eq!(world.participants.calls_of(id).last(), Some(&(Cancel, 0)));
}

#[tokio::test(start_paused = true)]
async fn p1_a_try_that_ends_after_the_cancel_changes_nothing() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.participants.answer(|work| match work.call {
        Try => Answers::Slow(seconds(5)),
        _ => Answers::Ok,
    });
    let id = world.id();
    node.execute(reservations(id, &["account"]), Some(at_once()))
        .await
        .unwrap();
    until("it is tried", async || {
        !world.participants.calls_of(id).is_empty()
    })
    .await;
    let early = node.confirm(id).await.unwrap_err();
    assert_eq!(early.code, Code::Untried, "nobody confirms before the Trys");
    node.cancel(id).await.unwrap();
    world.at_rest().await;
    tokio::time::sleep(minutes(1)).await;
    assert_eq!(node.phase(id).await, Some(Phase::Cancelled));
    assert_eq!(world.participants.calls_of(id), [(Try, 0), (Cancel, 0)]);
}

#[tokio::test(start_paused = true)]
async fn t3_prepare_never_records_what_the_coordinator_would_try() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let mut input = reservations(world.id(), &["account"]);
    input.options.outcome = Some(InitiatorOutcome::Executed);
    let error = node.prepare_as(input).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.to_string().contains("Execute"), "{error}");
    let error = node
        .execute(reservations(world.id(), &[]), None)
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::Invalid);
}

#[tokio::test(start_paused = true)]
async fn p11_another_node_goes_on_with_the_trys() {
    let world = World::memory().await;
    let one = world.node("one").await;
    world.participants.answer(|_| Answers::Hang);
    let id = world.id();
    one.execute(reservations(id, &["account", "coupon"]), Some(at_once()))
        .await
        .unwrap();
    until("it is tried", async || {
        world.participants.calls_of(id).len() == 2
    })
    .await;
    one.store.kill();
    world.participants.answer(|_| Answers::Ok);
    let two = world.node("two").await;
    world.at_rest().await;
    assert_eq!(two.phase(id).await, Some(Phase::Confirmed));
}
