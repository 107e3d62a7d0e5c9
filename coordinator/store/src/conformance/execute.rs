//! Execute: Trys that the coordinator runs, and that decide.

use std::time::Duration;

use earnest_protocol::{
    BranchCall, BranchState, Decider, InitiatorOutcome, Options, Phase, TrySettled,
};

use super::{Subject, branch::states, branch_done, branched, confirm, name, prepare, tried};
use crate::{Command, NewTransaction, Rejection, Reply, Work};

pub(super) fn executed(n: u8, branches: usize) -> NewTransaction {
    let options = Options {
        outcome: InitiatorOutcome::Executed,
        ..Options::default()
    };
    NewTransaction {
        options,
        ..branched(n, branches)
    }
}

/// Execute: all Trys OK confirm; the calls go on from there.
pub async fn executed_transaction_confirms_when_all_are_tried(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(executed(1, 2))).await;
    assert_eq!(states(&s, 1).await, [BranchState::Trying; 2]);
    s.dump().await.check();
    let early = s.run(confirm(1)).await;
    assert!(matches!(early, Err(Rejection::Untried(_))), "T3: {early:?}");
    let work = s.branch_work(node).await;
    assert!(work.iter().all(|work| work.call == BranchCall::Try));
    let row = s.ok_row(tried(&work[0], TrySettled::Ok)).await;
    assert_eq!((row.state.phase, row.state.untried), (Phase::Prepared, 1));
    s.dump().await.check();
    let row = s.ok_row(tried(&work[1], TrySettled::Ok)).await;
    assert_eq!(row.state.phase, Phase::Confirming);
    assert_eq!(
        row.decided.as_ref().map(|(_, by)| by),
        Some(&Decider::Tries)
    );
    s.dump().await.check();
    for work in s.branch_work(node).await {
        assert_eq!((work.call, work.attempt), (BranchCall::Confirm, 1));
        s.ok(branch_done(&work)).await;
    }
    assert_eq!(s.row(1).await.state.phase, Phase::Confirmed);
}

/// Execute: a refusal cancels all, those too whose Try is still under way; their late answers count for nothing.
pub async fn p10_refused_try_cancels_and_bars_the_others(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(executed(1, 3))).await;
    let work = s.branch_work(node).await;
    s.ok(tried(&work[0], TrySettled::Ok)).await;
    let row = s
        .ok_row(tried(&work[1], TrySettled::Refused("limit reached".into())))
        .await;
    assert_eq!(row.state.phase, Phase::Cancelling);
    let refusal = Decider::Refusal {
        service: name("account"),
        reason: "limit reached".into(),
    };
    assert_eq!(row.decided.map(|(_, by)| by), Some(refusal));
    let before = s.dump().await;
    before.check();
    assert_eq!(
        s.ok(tried(&work[2], TrySettled::Ok)).await,
        Reply::LostLease
    );
    assert_eq!(s.dump().await, before);
    let calls = s.branch_work(node).await;
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|work| work.call == BranchCall::Cancel));
}

/// Execute: a Try without an answer is made again until the deadline cancels.
pub async fn p6_unanswered_try_is_made_again_until_the_deadline(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(executed(1, 1))).await;
    let first = s.one_branch(node).await;
    s.ok(tried(
        &first,
        TrySettled::RetryAfter(Duration::from_secs(2)),
    ))
    .await;
    s.advance(Duration::from_secs(2));
    let second = s.one_branch(node).await;
    assert_eq!((second.call, second.attempt), (BranchCall::Try, 2));
    let deadline = Options::default().check_after;
    s.advance(deadline);
    let [Work::CheckBack(due)] = &s.claim(node).await.work[..] else {
        panic!("the deadline is due")
    };
    let passed = Command::DeadlinePassed {
        id: due.id,
        token: due.token,
    };
    let row = s.ok_row(passed).await;
    assert_eq!(row.decided.map(|(_, by)| by), Some(Decider::Deadline));
    assert_eq!(s.ok(tried(&second, TrySettled::Ok)).await, Reply::LostLease);
    assert_eq!(s.one_branch(node).await.call, BranchCall::Cancel);
    s.dump().await.check();
}
