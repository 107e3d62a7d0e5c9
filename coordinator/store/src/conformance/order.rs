//! Order: one at a time per key, in the order of the decisions (P9).

use std::time::Duration;

use earnest_protocol::{DeliveryState, TransactionId};

use super::{
    Subject, cancel, confirm, done, failed, fast_path::admit, id, keyed, later, message, name,
    no_grant, park, prepare, release, retry, submit, transaction,
};
use crate::{DeliveryWork, Reply};

fn of_key(n: u8, key: &str) -> crate::Command {
    submit(transaction(n, vec![keyed("paid", key)]))
}

fn ids(work: &[DeliveryWork]) -> Vec<TransactionId> {
    work.iter().map(|work| work.key.transaction).collect()
}

/// Takes and ends what is due, one claim after the other, until nothing is; returns the order.
async fn drain(s: &Subject) -> Vec<TransactionId> {
    let node = s.node().await;
    let mut order = Vec::new();
    loop {
        let work = s.deliveries(node).await;
        if work.is_empty() {
            return order;
        }
        order.extend(ids(&work));
        for work in work {
            s.ok(done(&work)).await;
        }
    }
}

/// The order is that of the decisions, whatever that of the Prepares.
pub async fn p9_order_is_that_of_the_decisions(s: Subject) {
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2, 3, 4] {
        s.ok(prepare(transaction(n, vec![keyed("paid", "k")])))
            .await;
    }
    for command in [confirm(3), confirm(1), cancel(2), confirm(4)] {
        s.ok(command).await;
    }
    assert_eq!(drain(&s).await, [3, 1, 4].map(id));
    s.dump().await.check();
}

/// One at a time: the next is due when the one before is acknowledged, and not before.
pub async fn p9_one_at_a_time_per_key(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2, 3] {
        s.ok(of_key(n, "k")).await;
    }
    for n in [1, 2, 3] {
        let work = s.one_delivery(node).await;
        assert_eq!(work.key.transaction, id(n));
        assert!(s.deliveries(node).await.is_empty());
        s.ok(done(&work)).await;
    }
    assert!(s.claim(node).await.work.is_empty());
    s.ok(of_key(4, "k")).await;
    assert_eq!(
        s.one_delivery(node).await.key.transaction,
        id(4),
        "nobody is in front of it"
    );
}

/// Keys don't wait for one another, and what has none waits for nobody.
pub async fn p9_other_keys_do_not_wait(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    for (n, key) in [(1, "a"), (2, "a"), (3, "b"), (4, ""), (5, "")] {
        s.ok(of_key(n, key)).await;
    }
    let mut due = ids(&s.deliveries(node).await);
    due.sort();
    assert_eq!(due, [1, 3, 4, 5].map(id));
}

/// Only those subscriptions that ask for order keep it, and none holds up another.
pub async fn p9_other_subscriptions_do_not_wait(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    s.subscribe_ordered("rewards", "paid").await;
    s.subscribe("stock", "paid").await;
    for n in [1, 2] {
        s.ok(of_key(n, "k")).await;
    }
    let mut work = s.deliveries(node).await;
    let count = |called: &str| {
        work.iter()
            .filter(|work| work.subscription.name == name(called))
            .count()
    };
    assert_eq!(
        (count("ledger"), count("rewards"), count("stock")),
        (1, 1, 2)
    );
    work.retain(|work| work.subscription.name == name("ledger"));
    s.ok(done(&work[0])).await;
    let next = s.one_delivery(node).await;
    assert_eq!(
        (next.key.transaction, &next.subscription.name),
        (id(2), &name("ledger"))
    );
}

/// The messages of one transaction follow one another in its order.
pub async fn p9_messages_of_one_transaction_keep_their_order(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    let messages = vec![
        keyed("paid", "k"),
        message("paid"),
        keyed("paid", "k"),
        keyed("paid", "k"),
    ];
    s.ok(submit(transaction(1, messages))).await;
    let first = s.deliveries(node).await;
    let ordinals: Vec<_> = first.iter().map(|work| work.key.ordinal.0).collect();
    assert_eq!(ordinals, [0, 1]);
    s.ok(done(&first[0])).await;
    for ordinal in [2, 3] {
        let work = s.one_delivery(node).await;
        assert_eq!(work.key.ordinal.0, ordinal);
        s.ok(done(&work)).await;
    }
    s.dump().await.check();
}

/// What fails, is given back or is set aside is not overtaken.
pub async fn p9_nothing_overtakes_the_first(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2, 3] {
        s.ok(of_key(n, "k")).await;
    }
    let work = s.one_delivery(node).await;
    s.ok(later(&work, Duration::from_secs(2))).await;
    let claimed = s.claim(node).await;
    assert!(claimed.work.is_empty());
    assert_eq!(claimed.next_due, Some(Duration::from_secs(2)));
    s.advance(Duration::from_secs(2));
    let work = s.one_delivery(node).await;
    s.ok(release(&work)).await;
    let work = s.one_delivery(node).await;
    assert_eq!(work.key.transaction, id(1));
    s.ok(failed(&work)).await;
    let claimed = s.claim(node).await;
    assert!(
        claimed.work.is_empty() && claimed.next_due.is_none(),
        "a person must see to it first"
    );
    s.ok(of_key(4, "k")).await;
    assert!(s.claim(node).await.work.is_empty());
    s.ok(retry(1)).await;
    assert_eq!(drain(&s).await, [1, 2, 3, 4].map(id));
}

/// One in the middle that is set aside holds up those behind it, and is taken up in its place.
pub async fn p9_parked_in_the_middle_keeps_its_place(s: Subject) {
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2, 3] {
        s.ok(of_key(n, "k")).await;
    }
    s.ok(park(2)).await;
    assert_eq!(drain(&s).await, [id(1)]);
    let reply = s.ok(retry(3)).await;
    assert!(
        matches!(reply, Reply::Transaction { made_due: 0, .. }),
        "it is not its turn: {reply:?}"
    );
    s.ok(retry(2)).await;
    assert_eq!(drain(&s).await, [2, 3].map(id));
    s.dump().await.check();
}

/// A person's retry lets nothing pass either.
pub async fn p9_retry_lets_nothing_pass(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2] {
        s.ok(of_key(n, "k")).await;
    }
    s.ok(park(2)).await;
    s.ok(retry(2)).await;
    let waiting = s.delivery(2).await;
    assert_eq!((waiting.state, waiting.due), (DeliveryState::Pending, None));
    assert_eq!(s.one_delivery(node).await.key.transaction, id(1));
}

/// The subscription goes and comes back: the order of then still counts.
pub async fn p9_order_outlives_its_subscription(s: Subject) {
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2, 3] {
        s.ok(of_key(n, "k")).await;
    }
    s.store
        .delete_subscription(&name("default"), &name("ledger"))
        .await
        .expect("the store runs");
    s.subscribe_ordered("ledger", "paid").await;
    s.ok(of_key(4, "k")).await;
    for n in [3, 1, 2] {
        s.ok(retry(n)).await;
    }
    assert_eq!(drain(&s).await, [1, 2, 3, 4].map(id));
    s.dump().await.check();
}

/// In one batch the order is that of the commands.
pub async fn p9_order_within_a_batch(s: Subject) {
    s.subscribe_ordered("ledger", "paid").await;
    s.batch([3, 1, 2].map(|n| of_key(n, "k")).into(), no_grant())
        .await;
    assert_eq!(drain(&s).await, [3, 1, 2].map(id));
}

/// The fast path: only the first is leased by the decision, and each next one by the end of the one before.
pub async fn p9_fast_path_keeps_order(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    let commands = [1, 2, 3].map(|n| of_key(n, "k"));
    let mut leased = super::only_deliveries(s.batch(commands.into(), admit(node, 9)).await.leased);
    for n in [1, 2, 3] {
        assert_eq!(ids(&leased), [id(n)]);
        assert!(s.claim(node).await.work.is_empty());
        leased = s.leased(done(&leased[0]), admit(node, 9)).await;
    }
    assert!(leased.is_empty());
    s.dump().await.check();
}

/// Paused, it neither loses nor reorders anything.
pub async fn p9_pause_keeps_order(s: Subject) {
    let node = s.node().await;
    s.subscribe_ordered("ledger", "paid").await;
    for n in [1, 2] {
        s.ok(of_key(n, "k")).await;
    }
    let work = s.one_delivery(node).await;
    s.pause("ledger", true).await;
    assert!(s.leased(done(&work), admit(node, 9)).await.is_empty());
    s.ok(of_key(3, "k")).await;
    assert!(s.claim(node).await.work.is_empty());
    s.pause("ledger", false).await;
    assert_eq!(drain(&s).await, [2, 3].map(id));
}
