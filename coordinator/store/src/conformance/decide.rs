//! Decisions by the initiator.

use std::{sync::Arc, time::Duration};

use earnest_protocol::{Decider, Decision, DeliveryState, Name, Phase};

use super::{
    Subject, TestClock, cancel, confirm, decide, decide_as, id, message, name, no_grant, prepare,
    retry, topic, transaction,
};
use crate::{Command, Decide, NewTransaction, Rejection, Reply};

/// The same decision again is OK and changes nothing.
pub async fn p1_same_decision_again_is_ok(s: Subject) {
    s.subscribe("ledger", "paid").await;
    for (n, decision) in [(1, Decision::Confirm), (2, Decision::Cancel)] {
        s.ok(prepare(transaction(n, vec![message("paid")]))).await;
        let reply = s.ok(decide(n, decision)).await;
        let Reply::Transaction {
            row,
            created: false,
            decided: true,
            ..
        } = reply
        else {
            panic!("{reply:?}")
        };
        assert_eq!(row.state.phase.decision(), Some(decision));
        assert_eq!(
            row.decided,
            Some((s.store.now().await.expect("it runs"), Decider::Initiator))
        );
        let before = s.dump().await;
        s.advance(Duration::from_secs(1));
        let again = s.ok(decide(n, decision)).await;
        assert_eq!(
            again,
            Reply::Transaction {
                row,
                created: false,
                decided: false,
                made_due: 0
            }
        );
        assert_eq!(s.dump().await, before);
    }
}

/// The opposite one is refused, and says what was decided, when and by whom.
pub async fn p1_opposite_decision_is_refused_with_what_stands(s: Subject) {
    s.subscribe("ledger", "paid").await;
    for (n, first, second) in [
        (1, Decision::Confirm, Decision::Cancel),
        (2, Decision::Cancel, Decision::Confirm),
    ] {
        s.ok(prepare(transaction(n, vec![message("paid")]))).await;
        let stands = s.ok_row(decide(n, first)).await;
        let before = s.dump().await;
        s.advance(Duration::from_secs(1));
        let refused = s.run(decide(n, second)).await;
        assert_eq!(
            refused,
            Err(Rejection::AlreadyDecided(Box::new(stands.clone())))
        );
        let at = s
            .store
            .now()
            .await
            .expect("it runs")
            .before(Duration::from_secs(1));
        assert_eq!(stands.decided, Some((at, Decider::Initiator)));
        assert_eq!(stands.state.phase.decision(), Some(first));
        assert_eq!(s.dump().await, before, "nothing changed");
    }
}

/// Decided at once from two sides: one wins, the other is told so.
pub async fn p1_of_two_opposite_decisions_at_once_one_wins(s: Subject) {
    const RACES: u8 = 40;
    s.subscribe("ledger", "paid").await;
    for n in 0..RACES {
        s.ok(prepare(transaction(n, vec![message("paid")]))).await;
    }
    let run = |decision| {
        let store = Arc::clone(&s.store);
        tokio::spawn(async move {
            let mut won = Vec::new();
            for n in 0..RACES {
                let applied = store
                    .apply(&[decide(n, decision)], no_grant())
                    .await
                    .expect("the batch runs");
                match &applied.results[..] {
                    [Ok(Reply::Transaction { decided: true, .. })] => won.push(n),
                    [Err(Rejection::AlreadyDecided(row))] => {
                        assert_ne!(row.state.phase.decision(), Some(decision));
                    }
                    other => panic!("{other:?}"),
                }
                tokio::task::yield_now().await;
            }
            won
        })
    };
    let (confirms, cancels) = (run(Decision::Confirm), run(Decision::Cancel));
    let confirmed = confirms.await.expect("no panic");
    let cancelled = cancels.await.expect("no panic");
    for n in 0..RACES {
        let says = s.row(n).await.state.phase.decision();
        assert_eq!(confirmed.contains(&n), says == Some(Decision::Confirm));
        assert_eq!(cancelled.contains(&n), says == Some(Decision::Cancel));
    }
    s.dump().await.check();
}

/// Both decisions of one id in one batch: the first stands, the second is refused (M3).
pub async fn p1_opposite_decisions_in_one_batch(s: Subject) {
    s.ok(prepare(transaction(1, vec![]))).await;
    let applied = s.batch(vec![cancel(1), confirm(1)], no_grant()).await;
    assert!(matches!(
        applied.results[0],
        Ok(Reply::Transaction { decided: true, .. })
    ));
    assert!(matches!(
        applied.results[1],
        Err(Rejection::AlreadyDecided(_))
    ));
    assert_eq!(s.row(1).await.state.phase, Phase::Cancelled);
}

/// A Cancel of an id not yet known is kept, so that a late Prepare can be refused.
pub async fn cancel_of_an_unknown_id_leaves_a_tombstone(s: Subject) {
    for (n, initiator) in [(1, Some("cashier")), (2, None)] {
        let reply = s.ok(decide_as(n, Decision::Cancel, initiator)).await;
        let Reply::Transaction {
            row,
            created: true,
            decided: true,
            ..
        } = reply
        else {
            panic!("{reply:?}")
        };
        assert!(row.is_tombstone());
        assert_eq!(
            (row.state.phase, row.initiator.clone()),
            (Phase::Cancelled, initiator.map(name))
        );
        assert_eq!(row.finished_at, Some(TestClock::START));
        assert_eq!(s.row(n).await, *row);
        assert!(matches!(
            s.run(confirm(n)).await,
            Err(Rejection::AlreadyDecided(_))
        ));
    }
    s.dump().await.check();
}

/// A Prepare that is still on its way must not be refused because a Confirm overtook it.
pub async fn confirm_of_an_unknown_id_leaves_nothing(s: Subject) {
    let before = s.dump().await;
    assert_eq!(
        s.run(confirm(1)).await,
        Err(Rejection::NotFound { id: id(1) })
    );
    assert_eq!(s.dump().await, before);
    assert_eq!(
        s.ok_row(prepare(transaction(1, vec![]))).await.state.phase,
        Phase::Prepared
    );
}

/// Whoever says that they are somebody else may not decide; who doesn't say, may.
pub async fn only_the_initiator_decides(s: Subject) {
    s.ok(prepare(transaction(1, vec![]))).await;
    let before = s.dump().await;
    for decision in [Decision::Confirm, Decision::Cancel] {
        let refused = s.run(decide_as(1, decision, Some("ledger"))).await;
        assert_eq!(
            refused,
            Err(Rejection::NotInitiator {
                id: id(1),
                initiator: name("cashier")
            })
        );
    }
    assert_eq!(s.dump().await, before);
    s.ok(decide_as(1, Decision::Confirm, None)).await;
}

/// P4: each message, to every subscription that its topic has at the decision and not at the Prepare.
pub async fn p4_confirm_owes_each_message_to_every_subscription_of_then(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.subscribe("stock", "shipped").await;
    s.subscribe("gone", "paid").await;
    s.ok(prepare(transaction(
        1,
        vec![message("paid"), message("shipped"), message("paid")],
    )))
    .await;
    s.subscribe("rewards", "paid").await;
    s.store
        .delete_subscription(&Name::default_namespace(), &name("gone"))
        .await
        .expect("it runs");
    s.put(crate::SubscriptionRow {
        namespace: name("other"),
        ..super::subscription("x", "paid")
    })
    .await;
    s.advance(Duration::from_secs(2));
    let row = s.ok_row(confirm(1)).await;
    assert_eq!(
        (row.state.phase, row.state.open_effects),
        (Phase::Confirming, 5)
    );
    let now = s.store.now().await.expect("it runs");
    let owed: Vec<_> = s.detail(1).await.deliveries;
    let keys: Vec<_> = owed
        .iter()
        .map(|d| {
            (
                d.key.ordinal.0,
                d.key.subscription.as_ref().expect("one").as_str(),
            )
        })
        .collect();
    assert_eq!(
        keys,
        [
            (0, "ledger"),
            (0, "rewards"),
            (1, "stock"),
            (2, "ledger"),
            (2, "rewards")
        ]
    );
    for delivery in owed {
        assert_eq!(
            (delivery.state, delivery.attempts),
            (DeliveryState::Pending, 0)
        );
        assert_eq!((delivery.due, delivery.created_at), (Some(now), now));
    }
    s.dump().await.check();
}

/// No subscription is left at the decision: visible as parked, and not lost.
pub async fn p4_message_without_subscription_at_the_decision_is_parked(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    s.store
        .delete_subscription(&Name::default_namespace(), &name("ledger"))
        .await
        .expect("it runs");
    let row = s.ok_row(confirm(1)).await;
    assert_eq!(
        (row.state.phase, row.state.parked_effects),
        (Phase::Confirming, 1)
    );
    let delivery = s.delivery(1).await;
    assert_eq!(
        (delivery.state, delivery.key.subscription),
        (DeliveryState::Parked, None)
    );
    assert!(delivery.parked.expect("a reason").as_str().contains("paid"));
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty());
    s.ok(retry(1)).await;
    assert_eq!(
        s.delivery(1).await.state,
        DeliveryState::Parked,
        "still nobody"
    );
    s.dump().await.check();
}

/// Allowed to go nowhere: nothing is owed for it.
pub async fn allowed_message_without_subscription_owes_nothing(s: Subject) {
    let mut new = transaction(1, vec![message("paid")]);
    new.options.allow_no_subscription = true;
    s.ok(prepare(new)).await;
    assert_eq!(s.ok_row(confirm(1)).await.state.phase, Phase::Confirmed);
    assert!(s.detail(1).await.deliveries.is_empty());
    s.dump().await.check();
}

/// Without effects a transaction passes straight through.
pub async fn without_messages_confirm_and_cancel_finish_at_once(s: Subject) {
    for (n, decision, phase) in [
        (1, Decision::Confirm, Phase::Confirmed),
        (2, Decision::Cancel, Phase::Cancelled),
    ] {
        s.ok(prepare(transaction(n, vec![]))).await;
        let row = s.ok_row(decide(n, decision)).await;
        assert_eq!(
            (row.state.phase, row.finished_at),
            (phase, Some(TestClock::START))
        );
        assert_eq!((row.check_due, row.holder), (None, None));
    }
}

/// P3: no message of a cancelled transaction is ever owed.
pub async fn p3_cancel_owes_nothing(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    assert_eq!(s.ok_row(cancel(1)).await.state.phase, Phase::Cancelled);
    assert!(s.detail(1).await.deliveries.is_empty());
    s.advance(Duration::from_hours(1));
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty());
}

/// Ids are global: the namespace of a decision is only for a tombstone.
pub async fn tombstone_keeps_its_namespace(s: Subject) {
    let decide = Decide {
        id: id(1),
        decision: Decision::Cancel,
        initiator: None,
        namespace: name("shop"),
    };
    assert_eq!(
        s.ok_row(Command::Decide(decide)).await.namespace,
        name("shop")
    );
}

/// A subscription of the same topic in another namespace gets nothing.
pub async fn namespaces_do_not_mix(s: Subject) {
    let shop = |row| crate::SubscriptionRow {
        namespace: name("shop"),
        ..row
    };
    s.subscribe("ledger", "paid").await;
    s.put(shop(super::subscription("books", "paid"))).await;
    s.ok(prepare(NewTransaction {
        namespace: name("shop"),
        ..transaction(1, vec![message("paid")])
    }))
    .await;
    s.ok(confirm(1)).await;
    let delivery = s.delivery(1).await;
    assert_eq!(
        (delivery.namespace, delivery.key.subscription),
        (name("shop"), Some(name("books")))
    );
    let node = s.node().await;
    let work = s.one_delivery(node).await;
    assert_eq!(
        (&work.subscription.namespace, &work.subscription.topic),
        (&name("shop"), &topic("paid"))
    );
}
