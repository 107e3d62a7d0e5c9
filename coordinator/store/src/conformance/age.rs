//! Branches whose participant is silent for too long.

use std::time::Duration;

use earnest_protocol::{BranchState, Phase, Settled};

use super::{Subject, branch_done, branch_settled, branched, cancel, confirm, prepare, retry};
use crate::{BranchWork, Command};

const HOUR: Duration = Duration::from_hours(1);

/// The participant did not answer, and may be silent for an hour after the decision.
fn silence(work: &BranchWork) -> Command {
    let Command::BranchSettled(mut settled) = branch_settled(work, Settled::RetryAfter(HOUR / 2))
    else {
        unreachable!("it ends a branch's call");
    };
    settled.park_after = Some(HOUR);
    Command::BranchSettled(settled)
}

/// A branch that is not done for too long is parked for a person; the decision stands, and the other branch is done.
pub async fn p4_branch_that_is_not_done_for_long_is_parked(s: Subject) {
    for (n, decide, deciding, decided) in [
        (1, confirm(1), Phase::Confirming, Phase::Confirmed),
        (2, cancel(2), Phase::Cancelling, Phase::Cancelled),
    ] {
        s.ok(prepare(branched(n, 2))).await;
        // The age is the decision's, not the transaction's.
        s.advance(HOUR * 2);
        s.ok(decide).await;
        let node = s.node().await;
        let work = s.branch_work(node).await;
        let row = s.ok_row(silence(&work[0])).await;
        assert_eq!((row.state.phase, row.state.parked_effects), (deciding, 0));
        s.ok(branch_done(&work[1])).await;

        s.advance(HOUR);
        let node = s.node().await;
        let work = s.one_branch(node).await;
        let row = s.ok_row(silence(&work)).await;
        assert_eq!((row.state.phase, row.state.parked_effects), (deciding, 1));
        s.advance(HOUR * 24);
        let node = s.node().await;
        assert!(s.claim(node).await.work.is_empty(), "a person has it");
        let branch = &s.detail(n).await.branches[0].0;
        assert_eq!(branch.state, BranchState::Parked);
        let why = branch.parked.as_ref().expect("a reason").as_str();
        assert!(why.contains("3600 s after the decision"), "{why}");

        s.ok(retry(n)).await;
        let work = s.one_branch(node).await;
        s.ok_row(silence(&work)).await;
        assert!(s.claim(node).await.work.is_empty(), "one more call");
        s.ok(retry(n)).await;
        let work = s.one_branch(node).await;
        assert_eq!(s.ok_row(branch_done(&work)).await.state.phase, decided);
        s.dump().await.check();
    }
}
