//! Ends that nobody asked for twice: contradictions, deadlines, tombstones.

use earnest_coordinator::service::Code;
use earnest_protocol::{InitiatorOutcome, Phase};

use crate::support::{Says, World, minutes, one_message, seconds, until};

#[tokio::test(start_paused = true)]
async fn p1_an_answer_that_contradicts_the_decision_is_recorded_counted_and_changes_nothing() {
    let world = World::memory().await;
    let node = world.node("one").await;
    world.initiator.says(Says::LateRolledBack);
    let id = world.id();
    let mut input = one_message(id);
    input.options.check_after = Some(seconds(1));
    node.prepare_as(input).await.unwrap();
    until("it is asked", async || world.initiator.asked(id) == 1).await;
    node.confirm(id).await.unwrap();
    world.at_rest().await;
    world.initiator.speak();
    until("it is counted", async || {
        node.metric("earnest_contradictions_total") == 1
    })
    .await;
    let detail = node.detail(id).await;
    assert_eq!(detail.transaction.state.phase, Phase::Confirmed);
    let codes: Vec<_> = detail.attempts.iter().map(|a| a.code.as_str()).collect();
    assert_eq!(codes, ["contradiction"]);
    assert_eq!(world.sink.times(id), 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn p6_a_deadline_cancels_only_where_nobody_can_be_asked() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let [in_time, late] = world.ids(2).try_into().unwrap();
    for id in [in_time, late] {
        let mut input = one_message(id);
        input.options.outcome = Some(InitiatorOutcome::None);
        input.options.check_after = Some(minutes(2));
        node.prepare_as(input).await.unwrap();
    }
    tokio::time::sleep(minutes(1)).await;
    assert_eq!(node.phase(late).await, Some(Phase::Prepared));
    let sentence = node.summary(late).await;
    assert!(
        sentence.contains("nobody can be asked, and the deadline, which cancels, is due in"),
        "{sentence}"
    );
    node.confirm(in_time).await.unwrap();
    world.at_rest().await;
    assert_eq!(node.phase(in_time).await, Some(Phase::Confirmed));
    assert_eq!(node.phase(late).await, Some(Phase::Cancelled));
    assert_eq!(world.initiator.asked_at_all(), 0);
    let sentence = node.summary(late).await;
    assert!(sentence.contains("by deadline"), "{sentence}");
    assert_eq!(node.confirm(late).await.unwrap_err().code, Code::Decided);
}

#[tokio::test(start_paused = true)]
async fn p1_a_cancel_that_comes_first_leaves_a_tombstone() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let [cancelled, unknown] = world.ids(2).try_into().unwrap();
    node.cancel(cancelled).await.unwrap();
    node.cancel(cancelled).await.unwrap();
    for refused in [node.prepare(cancelled).await, node.submit(cancelled).await] {
        assert_eq!(refused.unwrap_err().code, Code::Decided);
    }
    assert_eq!(
        node.confirm(cancelled).await.unwrap_err().code,
        Code::Decided
    );
    let sentence = node.summary(cancelled).await;
    assert!(
        sentence.starts_with("Cancelled before it was prepared"),
        "{sentence}"
    );

    // A Confirm that comes first leaves nothing: the Prepare on its way must not be refused.
    assert_eq!(
        node.confirm(unknown).await.unwrap_err().code,
        Code::NotFound
    );
    node.prepare(unknown).await.unwrap();
    node.confirm(unknown).await.unwrap();
    world.at_rest().await;
    assert_eq!(
        (world.sink.times(cancelled), world.sink.times(unknown)),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn p1_only_the_initiator_decides() {
    let world = World::memory().await;
    let node = world.node("one").await;
    let id = world.id();
    let mut input = one_message(id);
    input.initiator = "clerk".into();
    node.prepare_as(input).await.unwrap();
    for refused in [node.confirm(id).await, node.cancel(id).await] {
        assert_eq!(refused.unwrap_err().code, Code::NotInitiator);
    }
    assert_eq!(node.phase(id).await, Some(Phase::Prepared));
}
