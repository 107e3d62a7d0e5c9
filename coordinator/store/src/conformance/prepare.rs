//! Prepare.

use std::time::Duration;

use bytes::Bytes;
use earnest_protocol::{Decider, Phase};

use super::{Subject, TestClock, cancel, confirm, message, name, prepare, transaction};
use crate::{Message, Rejection, Reply, SubscriptionRow};

/// Recorded, due for a check-back, and nothing is owed yet (P3).
pub async fn p3_prepare_records_and_sends_nothing(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let reply = s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    let Reply::Transaction {
        row,
        created: true,
        decided: false,
        made_due: 0,
    } = reply
    else {
        panic!("{reply:?}")
    };
    let detail = s.detail(1).await;
    assert_eq!(detail.transaction, *row);
    assert_eq!(
        (row.state.phase, row.decided.clone(), row.message_count),
        (Phase::Prepared, None, 1)
    );
    assert_eq!(row.created_at, TestClock::START);
    assert_eq!(
        row.check_due,
        Some(TestClock::START.after(Duration::from_secs(10)))
    );
    assert_eq!((detail.deliveries.len(), detail.attempts.len()), (0, 0));
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty());
}

/// Every field comes back as it was given.
pub async fn prepare_keeps_messages_as_given(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let odd = Message {
        key: "clé-7".into(),
        headers: [
            ("a".into(), "1".into()),
            ("traceparent".into(), "00-x".into()),
        ]
        .into(),
        payload: Bytes::from_static(&[0, 255, 10, 0]),
        content_type: "application/octet-stream".into(),
        content_encoding: "gzip".into(),
        key_id: "k1".into(),
        ..message("paid")
    };
    let empty = Message {
        headers: [].into(),
        payload: Bytes::new(),
        ..message("paid")
    };
    let messages = vec![odd, empty, message("paid")];
    s.ok(prepare(transaction(1, messages.clone()))).await;
    assert_eq!(s.detail(1).await.messages, messages);
}

/// The same again: the present state, whatever that is by now.
pub async fn prepare_again_returns_the_present_state(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = || prepare(transaction(1, vec![message("paid")]));
    let first = s.ok_row(new()).await;
    s.advance(Duration::from_secs(3));
    let before = s.dump().await;
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
    let confirmed = s.ok_row(confirm(1)).await;
    assert_eq!(s.ok_row(new()).await, confirmed);
}

/// M6: same id, other content.
pub async fn prepare_with_other_content_is_refused(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    let before = s.dump().await;
    for messages in [
        vec![],
        vec![message("paid"); 2],
        vec![Message {
            key: "k".into(),
            ..message("paid")
        }],
    ] {
        let refused = s.run(prepare(transaction(1, messages))).await;
        assert_eq!(refused, Err(Rejection::IdReused { id: super::id(1) }));
    }
    s.ok(confirm(1)).await;
    let refused = s.run(prepare(transaction(1, vec![]))).await;
    assert_eq!(
        refused,
        Err(Rejection::IdReused { id: super::id(1) }),
        "decided or not"
    );
    assert_eq!(s.detail(1).await.messages, before.transactions[0].messages);
}

/// A Prepare that comes after a Cancel finds the tombstone.
pub async fn prepare_after_cancel_is_refused(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(cancel(1)).await;
    let before = s.dump().await;
    s.advance(Duration::from_secs(1));
    let refused = s.run(prepare(transaction(1, vec![message("paid")]))).await;
    let Err(Rejection::AlreadyDecided(row)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(row.state.phase, Phase::Cancelled);
    assert_eq!(row.decided, Some((TestClock::START, Decider::Initiator)));
    assert_eq!(s.dump().await, before);
}

/// A message that would go nowhere is refused, unless that is wanted.
pub async fn prepare_without_subscription_is_refused_unless_allowed(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let foreign = SubscriptionRow {
        namespace: name("other"),
        ..super::subscription("ledger", "refunded")
    };
    s.put(foreign).await;
    let mut new = transaction(1, vec![message("paid"), message("refunded")]);
    let refused = s.run(prepare(new.clone())).await;
    assert_eq!(
        refused,
        Err(Rejection::NoSubscription {
            topic: super::topic("refunded")
        })
    );
    assert_eq!(s.detail_of(super::id(1)).await.map(|d| d.transaction), None);
    new.options.allow_no_subscription = true;
    assert_eq!(s.ok_row(prepare(new)).await.state.phase, Phase::Prepared);
}

/// The subscription is deleted after the Prepare: its repetition must not fail.
pub async fn prepare_again_needs_no_subscription(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = || prepare(transaction(1, vec![message("paid")]));
    let first = s.ok_row(new()).await;
    s.store
        .delete_subscription(&super::name("default"), &name("ledger"))
        .await
        .expect("it runs");
    assert_eq!(s.ok_row(new()).await, first);
}
