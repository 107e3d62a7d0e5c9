//! TCC branches: registration, and what decisions owe them.

use std::time::Duration;

use earnest_protocol::{
    BranchCall, BranchState, Decision, Ordinal, ParkReason, Phase, Settled, TrySettled,
};

use super::{
    LEASE, Subject, add, branch_done, branch_settled, branched, cancel, confirm, decide, id, keyed,
    message, name, no_grant, park, prepare, register, reserve, retry, transaction, tried,
};
use crate::{AttemptKind, BranchWork, Command, NewTransaction, Rejection, Reply, Work};

pub(super) async fn states(s: &Subject, n: u8) -> Vec<BranchState> {
    let branches = s.detail(n).await.branches;
    branches.iter().map(|(row, _)| row.state).collect()
}

/// A prepared transaction keeps its branches as given, and owes them nothing.
pub async fn p3_prepared_branches_are_kept_and_not_called(s: Subject) {
    let new = branched(1, 2);
    s.ok(prepare(new.clone())).await;
    let detail = s.detail(1).await;
    let kept: Vec<_> = detail
        .branches
        .iter()
        .map(|(_, content)| content.clone())
        .collect();
    assert_eq!(kept, new.branches);
    assert_eq!(states(&s, 1).await, [BranchState::Registered; 2]);
    assert_eq!(detail.transaction.state.branches, 2);
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty());
    s.dump().await.check();
    // The same again is the same transaction, and with another branch it is not.
    let again = s.ok(prepare(new)).await;
    assert!(
        matches!(again, Reply::Transaction { created: false, .. }),
        "{again:?}"
    );
    let other = s.run(prepare(branched(1, 1))).await;
    assert!(
        matches!(other, Err(Rejection::IdReused { .. })),
        "{other:?}"
    );
}

/// Further branches join while it is undecided; a repeated registration adds nothing.
pub async fn branches_join_until_the_decision(s: Subject) {
    s.ok(prepare(branched(1, 1))).await;
    let row = s
        .ok_row(register(1, &[(1, reserve(1)), (7, reserve(7))]))
        .await;
    assert_eq!(row.state.branches, 3);
    let before = s.dump().await;
    s.ok(register(1, &[(7, reserve(7)), (0, reserve(0))])).await;
    assert_eq!(s.dump().await, before, "nothing is new");
    let ordinals: Vec<_> = s
        .detail(1)
        .await
        .branches
        .iter()
        .map(|(row, _)| row.key.ordinal.0)
        .collect();
    assert_eq!(ordinals, [0, 1, 7]);
    before.check();
}

/// What can't be registered, and that nothing is left of it.
pub async fn registrations_are_refused_whole(s: Subject) {
    s.ok(prepare(branched(1, 1))).await;
    let before = s.dump().await;
    let other = s
        .run(register(1, &[(1, reserve(1)), (0, reserve(9))]))
        .await;
    assert!(
        matches!(other, Err(Rejection::BranchReused { key }) if key.ordinal == Ordinal(0)),
        "{other:?}"
    );
    let many: Vec<_> = (1..=super::BRANCHES).map(|n| (n, reserve(n))).collect();
    let many = s.run(register(1, &many)).await;
    assert!(
        matches!(
            many,
            Err(Rejection::TooManyBranches {
                limit: super::BRANCHES,
                ..
            })
        ),
        "{many:?}"
    );
    let unknown = s.run(register(9, &[(0, reserve(0))])).await;
    assert!(
        matches!(unknown, Err(Rejection::NotFound { .. })),
        "{unknown:?}"
    );
    let mut stranger = register(1, &[(1, reserve(1))]);
    if let Command::RegisterBranches(register) = &mut stranger {
        register.initiator = Some(name("somebody"));
    }
    let stranger = s.run(stranger).await;
    assert!(
        matches!(stranger, Err(Rejection::NotInitiator { .. })),
        "{stranger:?}"
    );
    assert_eq!(s.dump().await, before);
}

/// T4: none slips in after a decision; the same one again is still the same one.
pub async fn t4_no_branch_is_registered_after_the_decision(s: Subject) {
    for (n, decision) in [(1, Decision::Confirm), (2, Decision::Cancel)] {
        s.ok(prepare(branched(n, 1))).await;
        s.ok(decide(n, decision)).await;
        let before = s.dump().await;
        let late = s.run(register(n, &[(1, reserve(1))])).await;
        let Err(Rejection::AlreadyDecided(row)) = late else {
            panic!("{late:?}")
        };
        assert_eq!(row.state.phase.decision(), Some(decision));
        s.ok(register(n, &[(0, reserve(0))])).await;
        assert_eq!(s.dump().await, before);
    }
}

/// T4: of a registration and a decision in one moment, either order is one that they could have had.
pub async fn t4_registration_beside_a_decision_owes_no_orphan(s: Subject) {
    const RACES: u8 = 30;
    for n in 1..=RACES {
        s.ok(prepare(branched(n, 1))).await;
        let (registered, decided) =
            tokio::join!(s.run(register(n, &[(1, reserve(1))])), s.run(confirm(n)));
        decided.expect("nothing speaks against it");
        let states = states(&s, n).await;
        match registered {
            Ok(_) => assert_eq!(states, [BranchState::Pending; 2]),
            Err(Rejection::AlreadyDecided(_)) => assert_eq!(states, [BranchState::Pending]),
            Err(other) => panic!("{other}"),
        }
    }
    s.dump().await.check();
}

/// Both decisions owe every branch its call, and the last end finishes.
pub async fn p4_decision_owes_every_branch_its_call(s: Subject) {
    let node = s.node().await;
    for (n, decision, call, end) in [
        (1, Decision::Confirm, BranchCall::Confirm, Phase::Confirmed),
        (2, Decision::Cancel, BranchCall::Cancel, Phase::Cancelled),
    ] {
        let new = branched(n, 2);
        s.ok(prepare(new.clone())).await;
        let row = s.ok_row(decide(n, decision)).await;
        assert_eq!(row.state.phase, decision.entering());
        assert_eq!(row.state.open_effects, 2);
        s.dump().await.check();
        let work = s.branch_work(node).await;
        assert_eq!(work.len(), 2);
        for (work, content) in work.iter().zip(&new.branches) {
            assert_eq!(work.call, call);
            assert_eq!(work.branch, *content);
            assert_eq!(work.initiator, new.initiator);
            assert_eq!(work.created_at, row.created_at);
            assert_eq!((work.attempt, &work.traceparent), (1, &new.traceparent));
        }
        assert!(s.claim(node).await.work.is_empty(), "leased once");
        let row = s.ok_row(branch_done(&work[1])).await;
        assert_eq!(row.state.phase, decision.entering());
        let row = s.ok_row(branch_done(&work[0])).await;
        assert_eq!(row.state.phase, end);
        assert_eq!(states(&s, n).await, [BranchState::Done; 2]);
        s.dump().await.check();
    }
}

/// The decision leases what is admitted, in its own database transaction.
pub async fn decision_leases_the_calls_of_branches(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 2))).await;
    let applied = s
        .batch(vec![confirm(1)], super::fast_path::admit(node, 1))
        .await;
    let [Work::Branch(leased)] = &applied.leased[..] else {
        panic!("{:?}", applied.leased)
    };
    let left = s.branch_work(node).await;
    assert_eq!(left.len(), 1);
    assert_ne!(left[0].key, leased.key);
    s.ok(branch_done(leased)).await;
    assert_eq!(
        s.ok_row(branch_done(&left[0])).await.state.phase,
        Phase::Confirmed
    );
}

/// Messages and branches of one transaction share its decision and its end.
pub async fn messages_and_branches_share_one_decision(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    let new = |n| NewTransaction {
        messages: vec![message("paid")],
        ..branched(n, 1)
    };
    s.ok(prepare(new(1))).await;
    s.ok(prepare(new(2))).await;
    assert_eq!(s.ok_row(confirm(1)).await.state.open_effects, 2);
    assert_eq!(
        s.ok_row(cancel(2)).await.state.open_effects,
        1,
        "a cancelled message is owed to nobody"
    );
    s.dump().await.check();
    let mut phases = Vec::new();
    for work in s.claim(node).await.work {
        let end = match &work {
            Work::Branch(work) => branch_done(work),
            Work::Delivery(work) => super::done(work),
            Work::CheckBack(other) => panic!("{other:?}"),
        };
        phases.push(s.ok_row(end).await.state.phase);
    }
    assert!(
        phases.contains(&Phase::Cancelled) && phases.contains(&Phase::Confirmed),
        "{phases:?}"
    );
    s.dump().await.check();
}

/// Messages join an undecided transaction as branches do, and leave with its own.
pub async fn messages_join_until_the_decision(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(NewTransaction {
        messages: vec![message("paid")],
        ..branched(1, 1)
    }))
    .await;
    let more = [(1, keyed("paid", "k")), (2, message("paid"))];
    assert_eq!(s.ok_row(add(1, &more)).await.message_count, 3);
    let before = s.dump().await;
    before.check();
    s.ok(add(1, &more)).await;
    assert_eq!(s.dump().await, before, "nothing is new");
    for (misplaced, refusal) in [
        (vec![(1, message("paid"))], "another one"),
        (vec![(4, message("paid"))], "not the next"),
        (vec![(3, message("paid"))], "at most 3"),
        (vec![(3, message("nowhere"))], "no subscription"),
    ] {
        let refused = s.run(add(1, &misplaced)).await.expect_err("it is refused");
        assert!(refused.to_string().contains(refusal), "{refused}");
    }
    assert_eq!(s.dump().await, before);
    assert_eq!(s.ok_row(confirm(1)).await.state.open_effects, 4);
    let late = s.run(add(1, &[(3, message("paid"))])).await;
    assert!(late.is_err(), "{late:?}");
    s.ok(add(1, &more)).await;
    let messages = s.detail(1).await.messages;
    assert_eq!(
        messages,
        [message("paid"), keyed("paid", "k"), message("paid")]
    );
    s.dump().await.check();
}

/// A call that failed is due again after its delay, and its record says which call it was.
pub async fn branch_is_called_again_after_its_delay(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 1))).await;
    s.ok(confirm(1)).await;
    let first = s.one_branch(node).await;
    s.ok(branch_settled(
        &first,
        Settled::RetryAfter(Duration::from_secs(3)),
    ))
    .await;
    assert!(s.claim(node).await.work.is_empty());
    s.advance(Duration::from_secs(3));
    let second = s.one_branch(node).await;
    assert_eq!(second.attempt, 2);
    assert!(second.token > first.token);
    s.ok(branch_done(&second)).await;
    let attempts = s.detail(1).await.attempts;
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        attempts[0].kind,
        AttemptKind::Branch(Ordinal(0), BranchCall::Confirm)
    );
    assert_eq!(attempts[0].number, 1);
}

/// A branch that can't succeed waits for a person, and keeps the transaction open; the others go on.
pub async fn p4_parked_branch_waits_for_a_person(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 2))).await;
    s.ok(cancel(1)).await;
    let work = s.branch_work(node).await;
    s.ok(branch_done(&work[0])).await;
    let row = s
        .ok_row(branch_settled(
            &work[1],
            Settled::Park(ParkReason::new("gone")),
        ))
        .await;
    assert_eq!(
        (
            row.state.phase,
            row.state.open_effects,
            row.state.parked_effects
        ),
        (Phase::Cancelling, 0, 1)
    );
    s.dump().await.check();
    s.advance(Duration::from_secs(100));
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty());
    let reply = s.ok(retry(1)).await;
    assert!(
        matches!(reply, Reply::Transaction { made_due: 1, .. }),
        "{reply:?}"
    );
    s.dump().await.check();
    let again = s.one_branch(node).await;
    assert_eq!(again.call, BranchCall::Cancel);
    assert_eq!(
        s.ok_row(branch_done(&again)).await.state.phase,
        Phase::Cancelled
    );
}

/// A person sets aside what is owed to branches, too, and takes it up again.
pub async fn p10_park_takes_the_lease_of_a_branch(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 2))).await;
    s.ok(confirm(1)).await;
    let work = s.branch_work(node).await;
    s.ok(park(1)).await;
    assert_eq!(states(&s, 1).await, [BranchState::Parked; 2]);
    s.dump().await.check();
    assert_eq!(s.ok(branch_done(&work[0])).await, Reply::LostLease);
    s.ok(retry(1)).await;
    assert_eq!(s.branch_work(node).await.len(), 2);
}

/// An end under another lease than the last, or of what is over, changes nothing.
pub async fn p10_stale_branch_changes_nothing(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 1))).await;
    s.ok(confirm(1)).await;
    let first = s.one_branch(node).await;
    s.advance(LEASE + Duration::from_secs(1));
    let other = s.node().await;
    let second = s.one_branch(other).await;
    assert!(second.token > first.token);
    let before = s.dump().await;
    for stale in [
        branch_done(&first),
        branch_settled(&first, Settled::Park(ParkReason::new("gone"))),
        tried(&first, TrySettled::Ok),
        tried(&second, TrySettled::Refused("no".into())),
        release(&first),
    ] {
        let shown = format!("{stale:?}");
        assert_eq!(s.ok(stale).await, Reply::LostLease, "{shown}");
        assert_eq!(s.dump().await, before, "{shown}");
    }
    s.ok(branch_done(&second)).await;
    let before = s.dump().await;
    for late in [branch_done(&second), release(&second)] {
        assert_eq!(s.ok(late).await, Reply::LostLease);
    }
    assert_eq!(s.dump().await, before);
}

fn release(work: &BranchWork) -> Command {
    Command::ReleaseBranch {
        key: work.key,
        token: work.token,
    }
}

/// What was given back is due at once; what a dead node held is somebody else's.
pub async fn p11_calls_of_a_dead_node_are_claimable(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 1))).await;
    s.ok(confirm(1)).await;
    let work = s.one_branch(node).await;
    s.ok(release(&work)).await;
    let again = s.one_branch(node).await;
    assert_eq!(again.attempt, 1, "no attempt was made");
    s.store.resign(node).await.expect("the store runs");
    let other = s.node().await;
    let taken = s.one_branch(other).await;
    s.advance(LEASE + Duration::from_secs(1));
    let third = s.node().await;
    let taken_again = s.one_branch(third).await;
    assert!(taken_again.token > taken.token);
    s.ok(branch_done(&taken_again)).await;
}

/// Participants share a claim fairly, and each has its bound.
pub async fn p12_one_participant_does_not_stop_the_others(s: Subject) {
    let node = s.node().await;
    for n in 1..=6 {
        s.ok(prepare(branched(n, 1))).await;
        s.ok(confirm(n)).await;
    }
    let mut other = branched(7, 1);
    other.branches[0].service = name("rarely");
    s.ok(prepare(other)).await;
    s.ok(confirm(7)).await;
    let request = crate::ClaimRequest {
        epoch: node,
        total: 4,
        per_target: 3,
        room: std::collections::HashMap::new(),
    };
    let claimed = s.claim_within(request).await.work;
    assert_eq!(claimed.len(), 4);
    let rare = |work: &&Work| matches!(work, Work::Branch(b) if b.branch.service == name("rarely"));
    assert_eq!(claimed.iter().filter(rare).count(), 1);
}

/// Ends of one transaction, and of several, share a batch, and each sees what the one before it did.
pub async fn ends_of_one_transaction_share_a_batch(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    for n in 1..=4 {
        s.ok(prepare(NewTransaction {
            messages: vec![message("paid")],
            ..branched(n, 3)
        }))
        .await;
    }
    s.batch((1..=4).map(confirm).collect(), no_grant()).await;
    let work = s.claim(node).await.work;
    assert_eq!(work.len(), 16);
    let end = |work: &Work| match work {
        Work::Branch(work) if work.key.ordinal == Ordinal(2) => {
            branch_settled(work, Settled::Park(ParkReason::new("gone")))
        }
        Work::Branch(work) => branch_done(work),
        Work::Delivery(work) => super::done(work),
        Work::CheckBack(other) => panic!("{other:?}"),
    };
    let applied = s.batch(work.iter().map(end).collect(), no_grant()).await;
    assert!(applied.results.iter().all(Result::is_ok), "{applied:?}");
    for n in 1..=4 {
        let state = s.row(n).await.state;
        assert_eq!(
            (state.phase, state.open_effects, state.parked_effects),
            (Phase::Confirming, 0, 1)
        );
    }
    s.dump().await.check();
    // Twice in one batch is once.
    s.ok(retry(1)).await;
    let last = s.one_branch(node).await;
    let twice = s
        .batch(vec![branch_done(&last), branch_done(&last)], no_grant())
        .await;
    assert_eq!(twice.results[1], Ok(Reply::LostLease));
    assert_eq!(s.row(1).await.state.phase, Phase::Confirmed);
    s.dump().await.check();
}

/// The purge takes branches with the rest, and nothing of what is not over.
pub async fn purge_takes_finished_branches(s: Subject) {
    let node = s.node().await;
    for n in [1, 2] {
        s.ok(prepare(branched(n, 1))).await;
        s.ok(confirm(n)).await;
    }
    let work = s.branch_work(node).await;
    let of = |n: u8| {
        work.iter()
            .find(|work| work.key.transaction == id(n))
            .expect("leased")
    };
    s.ok(branch_settled(of(1), Settled::RetryAfter(Duration::ZERO)))
        .await;
    s.ok(branch_done(&s.one_branch(node).await)).await;
    s.advance(Duration::from_hours(1));
    let report = s
        .store
        .purge(Duration::from_mins(1), 100)
        .await
        .expect("it runs");
    assert_eq!(report.removed, 1);
    assert!(s.detail_of(id(1)).await.is_none());
    assert_eq!(s.detail(2).await.branches.len(), 1);
    s.dump().await.check();
    // Without branches the id's place is free for nothing: it is refused as too old.
    let again = s.run(prepare(transaction(1, vec![]))).await;
    assert!(matches!(again, Err(Rejection::TooOld { .. })), "{again:?}");
}
