//! Claims: what is due, for whom there is room, and no target at the cost of another.

use std::{collections::HashMap, time::Duration};

use earnest_protocol::{Name, NodeEpoch};

use super::{
    Subject, TestClock, done, id, keyed, later, message, name, prepare, submit, transaction,
};
use crate::{ClaimRequest, Claimed, Target, Work};

fn subscription(called: &str) -> Target {
    Target::Subscription(Name::default_namespace(), name(called))
}

fn initiator() -> Target {
    Target::Initiator(Name::default_namespace(), name(super::INITIATOR))
}

fn within(epoch: NodeEpoch, total: usize, per_target: usize) -> ClaimRequest {
    ClaimRequest {
        epoch,
        total,
        per_target,
        room: HashMap::new(),
    }
}

fn of(claimed: &Claimed, target: &Target) -> usize {
    claimed
        .work
        .iter()
        .filter(|work| work.target() == *target)
        .count()
}

/// Five deliveries to each of two subscriptions.
async fn five_each(s: &Subject) -> NodeEpoch {
    s.subscribe("ledger", "paid").await;
    s.subscribe("rewards", "paid").await;
    for n in 1..=5 {
        s.ok(submit(transaction(n, vec![message("paid")]))).await;
    }
    s.node().await
}

/// P12: so many per target, and for those with less room less.
pub async fn p12_claim_is_bounded_per_target(s: Subject) {
    let node = five_each(&s).await;
    let claimed = s.claim_within(within(node, 100, 2)).await;
    assert_eq!(
        (
            of(&claimed, &subscription("ledger")),
            of(&claimed, &subscription("rewards"))
        ),
        (2, 2)
    );
    let room = [(subscription("ledger"), 0), (subscription("rewards"), 3)].into();
    let claimed = s
        .claim_within(ClaimRequest {
            room,
            ..within(node, 100, 1)
        })
        .await;
    assert_eq!(
        (
            of(&claimed, &subscription("ledger")),
            of(&claimed, &subscription("rewards"))
        ),
        (0, 3)
    );
    let claimed = s.claim_within(within(node, 100, 100)).await;
    assert_eq!(
        (
            of(&claimed, &subscription("ledger")),
            of(&claimed, &subscription("rewards"))
        ),
        (3, 0)
    );
}

/// P12: a short total is shared, check-backs and deliveries alike.
pub async fn p12_claim_is_bounded_in_total_and_fair(s: Subject) {
    let node = five_each(&s).await;
    for n in 11..=15 {
        s.ok(prepare(transaction(n, vec![]))).await;
    }
    s.advance(Duration::from_secs(10));
    let claimed = s.claim_within(within(node, 6, 100)).await;
    for target in [subscription("ledger"), subscription("rewards"), initiator()] {
        assert_eq!(of(&claimed, &target), 2, "{target}: {:?}", claimed.work);
    }
}

/// P12: what one target doesn't need is the others'.
pub async fn p12_unused_share_goes_to_others(s: Subject) {
    let node = five_each(&s).await;
    let room = [(subscription("rewards"), 4)].into();
    s.claim_within(ClaimRequest {
        room,
        ..within(node, 100, 0)
    })
    .await;
    let claimed = s.claim_within(within(node, 4, 100)).await;
    assert_eq!(
        (
            of(&claimed, &subscription("ledger")),
            of(&claimed, &subscription("rewards"))
        ),
        (3, 1)
    );
}

/// P12: a target without room costs the others nothing.
pub async fn p12_target_without_room_costs_others_nothing(s: Subject) {
    let node = five_each(&s).await;
    let room: HashMap<_, _> = [(subscription("ledger"), 0)].into();
    let claimed = s
        .claim_within(ClaimRequest {
            room,
            ..within(node, 5, 100)
        })
        .await;
    assert_eq!(of(&claimed, &subscription("rewards")), 5);
}

/// No room is no work, and changes nothing.
pub async fn claim_without_room_takes_nothing(s: Subject) {
    let node = five_each(&s).await;
    let before = s.dump().await;
    for (total, per_target) in [(0, 0), (0, 5), (5, 0)] {
        assert!(
            s.claim_within(within(node, total, per_target))
                .await
                .work
                .is_empty()
        );
    }
    assert_eq!(s.dump().await, before);
}

/// A paused subscription is passed over, and neither wakes nor starves anybody.
pub async fn paused_subscription_is_passed_over(s: Subject) {
    let node = five_each(&s).await;
    let first = s.claim_within(within(node, 100, 1)).await;
    for work in &first.work {
        let Work::Delivery(work) = work else {
            panic!("{work:?}")
        };
        s.ok(later(
            work,
            Duration::from_secs(if work.subscription.name == name("ledger") {
                3
            } else {
                7
            }),
        ))
        .await;
    }
    s.pause("ledger", true).await;
    let claimed = s.claim_within(within(node, 4, 100)).await;
    assert_eq!(
        (claimed.work.len(), of(&claimed, &subscription("ledger"))),
        (4, 0)
    );
    assert_eq!(claimed.next_due, Some(Duration::from_secs(7)));
    s.pause("ledger", false).await;
    let claimed = s.claim(node).await;
    assert_eq!(of(&claimed, &subscription("ledger")), 4);
    assert_eq!(claimed.next_due, Some(Duration::from_secs(3)));
}

/// The time to the next thing that is free and not yet due; what is due or held is not waited for.
pub async fn next_due_is_the_time_to_the_next_free_thing(s: Subject) {
    let node = s.node().await;
    assert_eq!(s.claim(node).await.next_due, None);
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![]))).await;
    assert_eq!(s.claim(node).await.next_due, Some(Duration::from_secs(10)));
    s.ok(submit(transaction(2, vec![message("paid")]))).await;
    let nothing = s.claim_within(within(node, 0, 0)).await;
    assert_eq!(
        nothing.next_due,
        Some(Duration::from_secs(10)),
        "due now is not due later"
    );
    let work = s.one_delivery(node).await;
    s.ok(later(&work, Duration::from_secs(4))).await;
    assert_eq!(s.claim(node).await.next_due, Some(Duration::from_secs(4)));
    s.advance(Duration::from_secs(3));
    assert_eq!(s.claim(node).await.next_due, Some(Duration::from_secs(1)));
    s.advance(Duration::from_secs(1));
    let claimed = s.claim(node).await;
    assert_eq!(
        (claimed.work.len(), claimed.next_due),
        (1, Some(Duration::from_secs(6)))
    );
    s.advance(Duration::from_secs(6));
    let claimed = s.claim(node).await;
    assert_eq!(
        (claimed.work.len(), claimed.next_due),
        (1, None),
        "both are held"
    );
}

/// The longest due first.
pub async fn longest_due_comes_first(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    for n in [5, 2, 8, 1] {
        s.ok(submit(transaction(n, vec![message("paid")]))).await;
        s.advance(Duration::from_secs(1));
    }
    let mut order = Vec::new();
    for work in s.deliveries(node).await {
        order.push(work.key.transaction);
    }
    assert_eq!(order, [5, 2, 8, 1].map(id));
    for n in [25, 22, 28, 21] {
        s.ok(prepare(transaction(n, vec![]))).await;
        s.advance(Duration::from_secs(1));
    }
    s.advance(Duration::from_secs(10));
    let work = s.claim_within(within(node, 3, 100)).await.work;
    let order: Vec<_> = work
        .iter()
        .map(|work| work.clone().release().transaction())
        .collect();
    assert_eq!(order, [25, 22, 28].map(id));
}

/// However many nodes claim at once: each piece of work is one node's.
pub async fn p10_work_is_leased_to_one_node_only(s: Subject) {
    s.subscribe("ledger", "paid").await;
    for n in 1..=30 {
        s.ok(submit(transaction(n, vec![message("paid")]))).await;
    }
    let nodes = [s.node().await, s.node().await, s.node().await];
    let [a, b, c] = nodes.map(|node| s.claim_within(within(node, 15, 15)));
    let (a, b, c) = tokio::join!(a, b, c);
    let work: Vec<_> = [a, b, c]
        .into_iter()
        .flat_map(|claimed| super::only_deliveries(claimed.work))
        .collect();
    let mut keys: Vec<_> = work.iter().map(|work| work.key.clone()).collect();
    assert_eq!(keys.len(), 30);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 30, "something was leased twice");
    for work in &work {
        s.ok_row(done(work)).await;
    }
    s.dump().await.check();
}

/// Nobody would ever free what an epoch without a node leases.
pub async fn p11_claim_of_nobody_takes_nothing(s: Subject) {
    let node = five_each(&s).await;
    let before = s.dump().await;
    assert!(s.claim(NodeEpoch(node.0 + 100)).await.work.is_empty());
    assert_eq!(s.dump().await, before);
}

/// A second claim finds what the first one left, and the token tells them apart.
pub async fn each_claim_raises_the_token(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![keyed("paid", "k")]))).await;
    let node = s.node().await;
    let mut last = None;
    for attempt in 1..=5 {
        let work = s.one_delivery(node).await;
        assert_eq!((work.attempt, work.decided_at), (attempt, TestClock::START));
        assert!(Some(work.token) > last);
        last = Some(work.token);
        s.ok(later(&work, Duration::ZERO)).await;
    }
}
