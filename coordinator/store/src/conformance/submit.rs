//! Submit: prepare and confirm in one step.

use std::time::Duration;

use earnest_protocol::{Decider, Phase};

use super::{Subject, TestClock, cancel, id, message, prepare, submit, topic, transaction};
use crate::{Rejection, Reply};

/// Recorded, decided and owed in one go.
pub async fn submit_records_confirms_and_owes(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let reply = s.ok(submit(transaction(1, vec![message("paid")]))).await;
    let Reply::Transaction {
        row,
        created: true,
        decided: true,
        ..
    } = reply
    else {
        panic!("{reply:?}")
    };
    assert_eq!(row.state.phase, Phase::Confirming);
    assert_eq!(row.decided, Some((TestClock::START, Decider::Initiator)));
    assert_eq!((row.check_due, s.row(1).await), (None, *row));
    let node = s.node().await;
    let work = s.one_delivery(node).await;
    assert_eq!(
        (work.key.transaction, work.message),
        (id(1), message("paid"))
    );
    s.dump().await.check();
}

/// Nothing is owed: final at once.
pub async fn submit_without_messages_is_confirmed(s: Subject) {
    let row = s.ok_row(submit(transaction(1, vec![]))).await;
    assert_eq!(
        (row.state.phase, row.finished_at),
        (Phase::Confirmed, Some(TestClock::START))
    );
    s.dump().await.check();
}

/// The same again: the present state.
pub async fn submit_again_returns_the_present_state(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = || submit(transaction(1, vec![message("paid")]));
    let first = s.ok_row(new()).await;
    let before = s.dump().await;
    s.advance(Duration::from_secs(1));
    let again = s.ok(new()).await;
    assert_eq!(
        again,
        Reply::Transaction {
            row: Box::new(first),
            created: false,
            decided: false,
            made_due: 0
        }
    );
    assert_eq!(s.dump().await, before);
}

/// M6 for Submit.
pub async fn submit_with_other_content_is_refused(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    s.ok(prepare(transaction(2, vec![message("paid")]))).await;
    let before = s.dump().await;
    for n in [1, 2] {
        let refused = s.run(submit(transaction(n, vec![]))).await;
        assert_eq!(refused, Err(Rejection::IdReused { id: id(n) }));
    }
    assert_eq!(s.dump().await, before);
}

/// It meets its own Prepare: confirmed.
pub async fn submit_after_prepare_confirms(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = transaction(1, vec![message("paid")]);
    s.ok(prepare(new.clone())).await;
    let reply = s.ok(submit(new)).await;
    let Reply::Transaction {
        row,
        created: false,
        decided: true,
        ..
    } = reply
    else {
        panic!("{reply:?}")
    };
    assert_eq!(
        (row.state.phase, row.state.open_effects),
        (Phase::Confirming, 1)
    );
    s.dump().await.check();
}

/// P1: it was cancelled before, known or not.
pub async fn p1_submit_after_cancel_is_refused(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = |n| transaction(n, vec![message("paid")]);
    s.ok(prepare(new(1))).await;
    s.ok(cancel(1)).await;
    s.ok(cancel(2)).await;
    let before = s.dump().await;
    for n in [1, 2] {
        let refused = s.run(submit(new(n))).await;
        assert!(
            matches!(&refused, Err(Rejection::AlreadyDecided(row)) if row.state.phase == Phase::Cancelled)
        );
    }
    assert_eq!(s.dump().await, before);
}

/// A message that would go nowhere.
pub async fn submit_without_subscription_is_refused_unless_allowed(s: Subject) {
    let mut new = transaction(1, vec![message("paid")]);
    let refused = s.run(submit(new.clone())).await;
    assert_eq!(
        refused,
        Err(Rejection::NoSubscription {
            topic: topic("paid")
        })
    );
    new.options.allow_no_subscription = true;
    assert_eq!(s.ok_row(submit(new)).await.state.phase, Phase::Confirmed);
}
