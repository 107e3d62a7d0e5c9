//! The fast path: the commit that makes work due leases it, too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use earnest_protocol::{CheckBackAnswer, NodeEpoch, Phase};

use super::{
    LEASE, Subject, answered, confirm, done, message, name, no_grant, prepare, retry, submit,
    transaction,
};
use crate::{Admission, LeaseGrant, Reply, Target};

/// Admits so many, of any subscription but one.
pub(super) struct Admit {
    left: AtomicUsize,
    not: Option<&'static str>,
}

impl Admission for Admit {
    fn admits(&self, target: &Target) -> bool {
        let (Target::Subscription(_, called) | Target::Participant(_, called)) = target else {
            return false;
        };
        let take = |left: usize| left.checked_sub(1);
        self.not != Some(called.as_str())
            && self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
    }
}

pub(super) fn admit(epoch: NodeEpoch, left: usize) -> LeaseGrant {
    admit_but(epoch, left, None)
}

fn admit_but(epoch: NodeEpoch, left: usize, not: Option<&'static str>) -> LeaseGrant {
    LeaseGrant {
        epoch,
        admission: Arc::new(Admit {
            left: AtomicUsize::new(left),
            not,
        }),
        ..no_grant()
    }
}

/// What is admitted is leased by the decision; the rest is there for claims, and nothing is given twice.
pub async fn admitted_work_is_leased_and_the_rest_is_claimable(s: Subject) {
    let node = s.node().await;
    for called in ["ledger", "rewards", "stock"] {
        s.subscribe(called, "paid").await;
    }
    let leased = s
        .leased(
            submit(transaction(1, vec![message("paid")])),
            admit(node, 2),
        )
        .await;
    assert_eq!(leased.len(), 2);
    for work in &leased {
        assert_eq!((work.attempt, &work.message), (1, &message("paid")));
    }
    let mut keys: Vec<_> = leased.iter().map(|work| work.key.clone()).collect();
    let claimed = s.deliveries(node).await;
    keys.extend(claimed.iter().map(|work| work.key.clone()));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    for work in leased.iter().chain(&claimed) {
        s.ok(done(work)).await;
    }
    assert_eq!(s.row(1).await.state.phase, Phase::Confirmed);
}

/// Every way to a decision leases.
pub async fn every_decision_leases(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    for n in [1, 2, 3] {
        s.ok(prepare(transaction(n, vec![message("paid")]))).await;
    }
    assert_eq!(s.leased(confirm(1), admit(node, 9)).await.len(), 1);
    assert_eq!(
        s.leased(
            submit(transaction(2, vec![message("paid")])),
            admit(node, 9)
        )
        .await
        .len(),
        1
    );
    s.advance(Duration::from_secs(10));
    let work = s.one_check_back(node).await;
    assert_eq!(
        s.leased(answered(&work, CheckBackAnswer::Committed), admit(node, 9))
            .await
            .len(),
        1
    );
    assert_eq!(
        s.leased(
            submit(transaction(4, vec![message("paid")])),
            admit(node, 9)
        )
        .await
        .len(),
        1
    );
    assert!(s.claim(node).await.work.is_empty());
}

/// A target without room is left for claims.
pub async fn target_that_is_not_admitted_is_left_for_claims(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    s.subscribe("rewards", "paid").await;
    let leased = s
        .leased(
            submit(transaction(1, vec![message("paid")])),
            admit_but(node, 9, Some("ledger")),
        )
        .await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].key.subscription, Some(name("rewards")));
    assert_eq!(
        s.one_delivery(node).await.key.subscription,
        Some(name("ledger"))
    );
}

/// A paused subscription is not tried, this way neither.
pub async fn paused_subscription_is_not_leased(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    s.pause("ledger", true).await;
    assert!(
        s.leased(
            submit(transaction(1, vec![message("paid")])),
            admit(node, 9)
        )
        .await
        .is_empty()
    );
    assert!(s.claim(node).await.work.is_empty());
    s.pause("ledger", false).await;
    s.one_delivery(node).await;
}

/// Repeated after a COMMIT of unknown outcome: nothing is leased twice.
pub async fn repeated_decision_leases_nothing(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    let new = || submit(transaction(1, vec![message("paid")]));
    assert_eq!(s.leased(new(), admit(node, 9)).await.len(), 1);
    let before = s.dump().await;
    assert!(s.leased(new(), admit(node, 9)).await.is_empty());
    assert!(s.leased(confirm(1), admit(node, 9)).await.is_empty());
    assert_eq!(s.dump().await, before);
}

/// P11: what a node leased this way and died with is anybody's after the lease.
pub async fn p11_leased_work_of_a_dead_node_is_claimable(s: Subject) {
    let dead = s.node().await;
    s.subscribe("ledger", "paid").await;
    let leased = s
        .leased(
            submit(transaction(1, vec![message("paid")])),
            admit(dead, 9),
        )
        .await;
    s.advance(LEASE + Duration::from_secs(1));
    let node = s.node().await;
    let work = s.one_delivery(node).await;
    assert_eq!(s.ok(done(&leased[0])).await, Reply::LostLease, "P10");
    assert_eq!(s.ok_row(done(&work)).await.state.phase, Phase::Confirmed);
}

/// P11: a node that was taken for dead and doesn't know it yet leases for nothing.
pub async fn p11_lease_of_a_node_taken_for_dead_does_not_last(s: Subject) {
    let dead = s.node().await;
    s.subscribe("ledger", "paid").await;
    s.advance(LEASE + Duration::from_secs(1));
    let node = s.node().await;
    s.claim(node).await;
    s.leased(
        submit(transaction(1, vec![message("paid")])),
        admit(dead, 9),
    )
    .await;
    s.one_delivery(node).await;
}

/// Each piece of work of one batch is leased once, however many commands make it due.
pub async fn one_batch_leases_each_work_once(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    let commands = (1..=5)
        .map(|n| submit(transaction(n, vec![message("paid"); 2])))
        .collect();
    let applied = s.batch(commands, admit(node, 7)).await;
    assert_eq!(applied.leased.len(), 7);
    assert_eq!(s.deliveries(node).await.len(), 3);
    s.dump().await.check();
}

/// Nothing is admitted: nothing is leased, all is claimable.
pub async fn without_admission_all_is_left_for_claims(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    assert!(
        s.leased(submit(transaction(1, vec![message("paid")])), no_grant())
            .await
            .is_empty()
    );
    s.ok(retry(1)).await;
    s.one_delivery(node).await;
}
