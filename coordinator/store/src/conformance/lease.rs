//! Leases: a node that dies gives back what it held, and a zombie writes nothing.

use std::time::Duration;

use earnest_protocol::{CheckBackAnswer, NodeEpoch, Options, Phase};

use super::{
    LEASE, Subject, answered, done, later, message, prepare, release, submit, transaction,
};
use crate::{CheckBackWork, DeliveryWork, Reply, Work};

const MOMENT: Duration = Duration::from_micros(1);

/// One node that holds one delivery and one check-back, claimed just now.
async fn holding(s: &Subject) -> (NodeEpoch, DeliveryWork, CheckBackWork) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    s.ok(prepare(transaction(2, vec![message("paid")]))).await;
    s.advance(Options::default().check_after);
    let node = s.node().await;
    let (delivery, check_back) = both(s.claim(node).await.work);
    (node, delivery, check_back)
}

fn both(work: Vec<Work>) -> (DeliveryWork, CheckBackWork) {
    assert_eq!(work.len(), 2, "{work:?}");
    let mut found = (None, None);
    for work in work {
        match work {
            Work::Delivery(work) => found.0 = Some(*work),
            Work::CheckBack(work) => found.1 = Some(*work),
            Work::Branch(other) => panic!("a branch is due: {}", other.key),
        }
    }
    (found.0.expect("a delivery"), found.1.expect("a check-back"))
}

async fn lives(s: &Subject, node: NodeEpoch) -> bool {
    s.store
        .heartbeat(node, LEASE)
        .await
        .expect("the store runs")
}

async fn resign(s: &Subject, node: NodeEpoch) {
    s.store.resign(node).await.expect("the store runs");
}

/// A node that comes back is somebody else.
pub async fn epochs_rise_and_are_never_given_again(s: Subject) {
    let mut last = NodeEpoch(0);
    for _ in 0..4 {
        let node = s.node().await;
        assert!(node > last);
        last = node;
        resign(&s, node).await;
        s.advance(LEASE * 2);
        s.claim(node).await;
    }
}

/// P11: as long as it says that it lives, nobody takes its work.
pub async fn p11_heartbeat_keeps_the_work(s: Subject) {
    let (node, ..) = holding(&s).await;
    for _ in 0..5 {
        s.advance(LEASE);
        assert!(lives(&s, node).await);
        let other = s.node().await;
        assert!(s.claim(other).await.work.is_empty());
    }
}

/// P11: up to its last moment a lease counts; a moment later the work is anybody's.
pub async fn p11_work_of_a_dead_node_is_freed(s: Subject) {
    let (_, delivery, check_back) = holding(&s).await;
    let other = s.node().await;
    s.advance(LEASE);
    assert!(s.claim(other).await.work.is_empty(), "still alive");
    assert!(lives(&s, other).await);
    s.advance(MOMENT);
    let (taken_delivery, taken_check_back) = both(s.claim(other).await.work);
    assert_eq!(
        (&taken_delivery.key, taken_check_back.id),
        (&delivery.key, check_back.id)
    );
    assert!(taken_delivery.token > delivery.token && taken_check_back.token > check_back.token);
    assert_eq!(
        (taken_delivery.attempt, taken_check_back.attempt),
        (1, 1),
        "no attempt was reported"
    );
    assert_eq!(
        (s.delivery(1).await.holder, s.row(2).await.holder),
        (Some(other), Some(other))
    );
}

/// Taken for dead: it is told so, and must enrol anew.
pub async fn p11_heartbeat_of_a_node_taken_for_dead_is_refused(s: Subject) {
    let dead = s.node().await;
    s.advance(LEASE + MOMENT);
    let other = s.node().await;
    s.claim(other).await;
    assert!(!lives(&s, dead).await);
    assert!(!lives(&s, dead).await, "and stays so");
    assert!(lives(&s, other).await);
    assert!(
        !lives(&s, NodeEpoch(other.0 + 100)).await,
        "nor was that one ever enrolled"
    );
}

/// Late, but nobody noticed: nothing of its was given away.
pub async fn late_heartbeat_that_nobody_missed_is_in_time(s: Subject) {
    let (node, delivery, _) = holding(&s).await;
    s.advance(LEASE * 3);
    assert!(lives(&s, node).await);
    let other = s.node().await;
    assert!(s.claim(other).await.work.is_empty());
    assert_eq!(
        s.ok_row(done(&delivery)).await.state.phase,
        Phase::Confirmed
    );
}

/// Drain: what it held is due at once, and it is forgotten.
pub async fn resign_gives_back_at_once(s: Subject) {
    let (node, delivery, check_back) = holding(&s).await;
    resign(&s, node).await;
    assert_eq!(
        (s.delivery(1).await.holder, s.row(2).await.holder),
        (None, None)
    );
    assert!(!lives(&s, node).await);
    assert!(
        s.claim(node).await.work.is_empty(),
        "it takes nothing any more"
    );
    let other = s.node().await;
    let (taken_delivery, taken_check_back) = both(s.claim(other).await.work);
    assert_eq!((taken_delivery.attempt, taken_check_back.attempt), (1, 1));
    assert_eq!(s.ok(done(&delivery)).await, Reply::LostLease);
    assert_eq!(
        s.ok(answered(&check_back, CheckBackAnswer::Committed))
            .await,
        Reply::LostLease
    );
    resign(&s, node).await;
    assert_eq!(
        s.delivery(1).await.holder,
        Some(other),
        "once more takes nothing from others"
    );
}

/// One node's end is not another's.
pub async fn resign_leaves_the_work_of_others(s: Subject) {
    let (node, ..) = holding(&s).await;
    let other = s.node().await;
    resign(&s, other).await;
    assert_eq!(
        (s.delivery(1).await.holder, s.row(2).await.holder),
        (Some(node), Some(node))
    );
}

/// P10: freed and not taken since, so both ends still count.
pub async fn p10_end_after_the_node_was_buried_counts_until_somebody_takes_the_work(s: Subject) {
    let (_, delivery, check_back) = holding(&s).await;
    s.advance(LEASE + MOMENT);
    let other = s.node().await;
    let nothing = crate::ClaimRequest {
        epoch: other,
        total: 0,
        per_target: 0,
        room: [].into(),
    };
    s.claim_within(nothing).await;
    assert_eq!(
        (s.delivery(1).await.holder, s.row(2).await.holder),
        (None, None)
    );
    assert_eq!(
        s.ok_row(done(&delivery)).await.state.phase,
        Phase::Confirmed
    );
    let answer = answered(&check_back, CheckBackAnswer::RolledBack);
    assert_eq!(s.ok_row(answer).await.state.phase, Phase::Cancelled);
    assert!(s.claim(other).await.work.is_empty());
    s.dump().await.check();
}

/// P10: taken by somebody else meanwhile, so neither end counts, late or not.
pub async fn p10_end_after_the_work_was_taken_changes_nothing(s: Subject) {
    let (_, delivery, check_back) = holding(&s).await;
    s.advance(LEASE + MOMENT);
    let other = s.node().await;
    let (second, _) = both(s.claim(other).await.work);
    let before = s.dump().await;
    for command in [
        done(&delivery),
        later(&delivery, Duration::ZERO),
        release(&delivery),
        answered(&check_back, CheckBackAnswer::Committed),
        answered(&check_back, CheckBackAnswer::Unknown),
    ] {
        assert_eq!(s.ok(command).await, Reply::LostLease);
    }
    assert_eq!(s.dump().await, before);
    s.ok(later(&second, Duration::ZERO)).await;
    let before = s.dump().await;
    assert_eq!(
        s.ok(done(&delivery)).await,
        Reply::LostLease,
        "free again, and still not its"
    );
    assert_eq!(s.dump().await, before);
}
