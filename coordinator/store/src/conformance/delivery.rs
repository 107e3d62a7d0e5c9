//! Deliveries, attempt by attempt.

use std::time::Duration;

use earnest_protocol::{DeliveryState, LeaseToken, NodeEpoch, Ordinal, Phase};

use super::{
    LEASE, Subject, TestClock, cancel, done, failed, id, later, message, name, release, retry,
    submit, transaction,
};
use crate::{AttemptKind, DeliveryKey, DeliveryWork, Reply};

/// Submits transaction 1 with a message for one subscription, and claims the delivery.
async fn claimed(s: &Subject) -> (NodeEpoch, DeliveryWork) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    (node, s.one_delivery(node).await)
}

/// A claimed delivery carries all that its call needs.
pub async fn work_carries_all_that_the_call_needs(s: Subject) {
    let row = s.subscribe("ledger", "paid").await;
    s.advance(Duration::from_secs(1));
    s.ok(super::prepare(transaction(1, vec![message("paid")])))
        .await;
    s.advance(Duration::from_secs(1));
    s.ok(super::confirm(1)).await;
    let node = s.node().await;
    let work = s.one_delivery(node).await;
    let key = DeliveryKey {
        transaction: id(1),
        ordinal: Ordinal(0),
        subscription: Some(name("ledger")),
    };
    assert_eq!((&work.key, &work.message), (&key, &message("paid")));
    assert_eq!(*work.subscription, row);
    assert_eq!((work.initiator, work.attempt), (name("cashier"), 1));
    assert_eq!(
        work.created_at,
        TestClock::START.after(Duration::from_secs(1))
    );
    assert_eq!(
        work.decided_at,
        TestClock::START.after(Duration::from_secs(2))
    );
    assert_eq!(work.traceparent, transaction(1, vec![]).traceparent);
    let delivery = s.delivery(1).await;
    assert_eq!((delivery.holder, delivery.token), (Some(node), work.token));
    assert!(s.claim(node).await.work.is_empty(), "it is leased");
}

/// The last effect that is done finishes the transaction, and not one before.
pub async fn last_effect_done_finishes(s: Subject) {
    let node = s.node().await;
    s.subscribe("ledger", "paid").await;
    s.subscribe("rewards", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    let work = s.deliveries(node).await;
    s.advance(Duration::from_secs(1));
    let row = s.ok_row(done(&work[0])).await;
    assert_eq!(
        (row.state.phase, row.state.open_effects, row.finished_at),
        (Phase::Confirming, 1, None)
    );
    s.advance(Duration::from_secs(1));
    let row = s.ok_row(done(&work[1])).await;
    let now = s.store.now().await.expect("it runs");
    assert_eq!(
        (row.state.phase, row.state.open_effects, row.finished_at),
        (Phase::Confirmed, 0, Some(now))
    );
    let detail = s.detail(1).await;
    assert!(detail.attempts.is_empty());
    for delivery in detail.deliveries {
        assert_eq!(
            (delivery.state, delivery.attempts, delivery.due),
            (DeliveryState::Done, 1, None)
        );
    }
    s.dump().await.check();
    s.advance(Duration::from_hours(24));
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty(), "K1: never again");
}

/// Failed for now: due after the delay and not before, with its attempt kept.
pub async fn retry_is_due_after_its_delay(s: Subject) {
    let (node, work) = claimed(&s).await;
    let row = s.ok_row(later(&work, Duration::from_secs(3))).await;
    assert_eq!(
        (row.state.phase, row.state.open_effects),
        (Phase::Confirming, 1)
    );
    let delivery = s.delivery(1).await;
    assert_eq!((delivery.attempts, delivery.holder), (1, None));
    assert_eq!(
        delivery.due,
        Some(TestClock::START.after(Duration::from_secs(3)))
    );
    let early = s.claim(node).await;
    assert!(early.work.is_empty());
    assert_eq!(early.next_due, Some(Duration::from_secs(3)));
    s.advance(Duration::from_secs(3));
    let again = s.one_delivery(node).await;
    assert_eq!(again.attempt, 2);
    assert!(again.token > work.token);
    let attempts = s.detail(1).await.attempts;
    let [attempt] = &attempts[..] else {
        panic!("{attempts:?}")
    };
    assert_eq!(
        attempt.kind,
        AttemptKind::Delivery(Ordinal(0), Some(name("ledger")))
    );
    assert_eq!(
        (attempt.number, attempt.at, attempt.code.as_str()),
        (1, TestClock::START, "unreachable")
    );
    assert_eq!(
        (attempt.node.as_str(), attempt.duration),
        ("node-a", Duration::from_millis(7))
    );
    assert_eq!(
        (attempt.target.as_str(), attempt.error.as_str()),
        ("http://127.0.0.1:1", "it said: unreachable")
    );
}

/// P4: failed for good is parked; CONFIRMING stays until a person has seen to it.
pub async fn p4_parked_delivery_keeps_the_transaction_open(s: Subject) {
    let (node, work) = claimed(&s).await;
    let row = s.ok_row(failed(&work)).await;
    assert_eq!(
        (
            row.state.phase,
            row.state.open_effects,
            row.state.parked_effects
        ),
        (Phase::Confirming, 0, 1)
    );
    assert_eq!(row.finished_at, None);
    let delivery = s.delivery(1).await;
    assert_eq!(
        (delivery.state, delivery.due, delivery.holder),
        (DeliveryState::Parked, None, None)
    );
    assert_eq!(
        delivery.parked.expect("a reason").as_str(),
        "no such account"
    );
    assert_eq!(s.claim(node).await.next_due, None, "never by itself");
    s.ok(retry(1)).await;
    let work = s.one_delivery(node).await;
    assert_eq!(work.attempt, 2);
    assert_eq!(s.ok_row(done(&work)).await.state.phase, Phase::Confirmed);
    s.dump().await.check();
}

/// P10: under an older lease nothing is written, whatever is said.
pub async fn p10_stale_delivery_changes_nothing(s: Subject) {
    let (_, first) = claimed(&s).await;
    s.advance(LEASE + Duration::from_secs(1));
    let other = s.node().await;
    let second = s.one_delivery(other).await;
    assert!(second.token > first.token);
    let never = DeliveryWork {
        token: LeaseToken(second.token.0 + 7),
        ..second.clone()
    };
    let before = s.dump().await;
    for stale in [&first, &never] {
        for command in [
            done(stale),
            later(stale, Duration::ZERO),
            failed(stale),
            release(stale),
        ] {
            let shown = format!("{command:?}");
            assert_eq!(s.ok(command).await, Reply::LostLease, "{shown}");
            assert_eq!(s.dump().await, before, "{shown}");
        }
    }
    assert_eq!(s.ok_row(done(&second)).await.state.phase, Phase::Confirmed);
}

/// P10: expiry only permits another claim; slow work that nobody took still completes.
pub async fn p10_expired_delivery_that_nobody_took_still_completes(s: Subject) {
    let (_, work) = claimed(&s).await;
    s.advance(LEASE * 3);
    // Taken for dead and freed, but its work is not taken: nothing was claimed.
    let other = s.node().await;
    let request = crate::ClaimRequest {
        epoch: other,
        total: 0,
        per_target: 0,
        room: [].into(),
    };
    assert!(s.claim_within(request).await.work.is_empty());
    assert_eq!(s.ok_row(done(&work)).await.state.phase, Phase::Confirmed);
}

/// P10: done, and then done again by a zombie.
pub async fn p10_settled_delivery_takes_no_second_end(s: Subject) {
    let (_, work) = claimed(&s).await;
    s.ok(done(&work)).await;
    let before = s.dump().await;
    for command in [
        done(&work),
        later(&work, Duration::ZERO),
        failed(&work),
        release(&work),
    ] {
        assert_eq!(s.ok(command).await, Reply::LostLease);
    }
    assert_eq!(s.dump().await, before);
}

/// Given back: due at once as the same attempt, and the old token is spent.
pub async fn released_delivery_is_due_at_once(s: Subject) {
    let (node, work) = claimed(&s).await;
    s.advance(Duration::from_secs(1));
    s.ok(release(&work)).await;
    let delivery = s.delivery(1).await;
    assert_eq!((delivery.attempts, delivery.holder), (0, None));
    assert_eq!(s.ok(release(&work)).await, Reply::LostLease);
    let again = s.one_delivery(node).await;
    assert_eq!(again.attempt, 1);
    assert_eq!(s.ok(done(&work)).await, Reply::LostLease);
    s.dump().await.check();
}

/// Nobody owes what was never decided.
pub async fn end_of_an_unknown_delivery_is_lost(s: Subject) {
    let (_, work) = claimed(&s).await;
    s.ok(cancel(2)).await;
    for n in [2, 3] {
        let key = DeliveryKey {
            transaction: id(n),
            ..work.key.clone()
        };
        let other = DeliveryWork {
            key,
            ..work.clone()
        };
        assert_eq!(s.ok(done(&other)).await, Reply::LostLease);
        assert_eq!(s.ok(release(&other)).await, Reply::LostLease);
    }
}
