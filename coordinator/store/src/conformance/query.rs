//! Reading: lists, details and counts.

use std::time::Duration;

use earnest_protocol::{Decision, Name, NodeEpoch, Phase, Timestamp, TransactionId};

use super::{
    Subject, TestClock, branch_done, branched, cancel, confirm, decide_as, done, failed, id, later,
    message, name, park, prepare, submit, topic, transaction,
};
use crate::{AttemptKind, Backlog, Cursor, NewTransaction, SubscriptionRow, TransactionFilter};

async fn found(s: &Subject, filter: TransactionFilter) -> Vec<TransactionId> {
    let page = s
        .store
        .transactions(&filter, None, 100)
        .await
        .expect("the query runs");
    assert_eq!(page.next, None);
    page.rows.into_iter().map(|row| row.id).collect()
}

fn numbers<const N: usize>(n: [u8; N]) -> Vec<TransactionId> {
    n.map(id).to_vec()
}

/// One transaction of each kind, a second apart:
/// 1 CONFIRMED, 2 CONFIRMING, 3 CANCELLED, 4 PREPARED, 5 PREPARED and parked, 6 CONFIRMING with a parked effect,
/// 7 a tombstone, 8 of another namespace and initiator.
async fn some_of_each(s: &Subject) -> NodeEpoch {
    s.subscribe("ledger", "paid").await;
    s.put(SubscriptionRow {
        namespace: name("other"),
        ..super::subscription("elsewhere", "paid")
    })
    .await;
    let new = |n| transaction(n, vec![message("paid")]);
    let node = s.node().await;
    s.ok(submit(new(1))).await;
    let work = s.one_delivery(node).await;
    s.ok(done(&work)).await;
    s.advance(Duration::from_secs(1));
    s.ok(submit(new(6))).await;
    let work = s.one_delivery(node).await;
    s.ok(failed(&work)).await;
    s.advance(Duration::from_secs(1));
    s.ok(submit(new(2))).await;
    s.ok(prepare(new(3))).await;
    s.ok(cancel(3)).await;
    s.ok(prepare(transaction(4, vec![]))).await;
    s.ok(prepare(new(5))).await;
    s.ok(park(5)).await;
    s.advance(Duration::from_secs(1));
    s.ok(cancel(7)).await;
    let other = NewTransaction {
        namespace: name("other"),
        initiator: name("shop"),
        ..new(8)
    };
    s.ok(prepare(other)).await;
    node
}

/// Newest id first; everything that is asked for must hold.
pub async fn filters_find_what_they_say(s: Subject) {
    some_of_each(&s).await;
    let any = TransactionFilter::default;
    assert_eq!(found(&s, any()).await, numbers([8, 7, 6, 5, 4, 3, 2, 1]));
    let of = |phases: &[Phase]| TransactionFilter {
        phases: phases.into(),
        ..any()
    };
    assert_eq!(found(&s, of(&[Phase::Prepared])).await, numbers([8, 5, 4]));
    assert_eq!(found(&s, of(&[Phase::Confirming])).await, numbers([6, 2]));
    assert_eq!(found(&s, of(&[Phase::Confirmed])).await, numbers([1]));
    assert_eq!(found(&s, of(&[Phase::Cancelling])).await, []);
    assert_eq!(found(&s, of(&[Phase::Cancelled])).await, numbers([7, 3]));
    assert_eq!(
        found(&s, of(&[Phase::Confirming, Phase::Cancelled])).await,
        numbers([7, 6, 3, 2])
    );
    assert_eq!(found(&s, of(&Phase::ALL)).await.len(), 8);
    let namespace = Some(name("other"));
    assert_eq!(
        found(&s, TransactionFilter { namespace, ..any() }).await,
        numbers([8])
    );
    let initiator = Some(name("cashier"));
    let filter = TransactionFilter { initiator, ..any() };
    assert_eq!(
        found(&s, filter).await,
        numbers([7, 6, 5, 4, 3, 2, 1]),
        "who cancelled is known"
    );
    let by_key = |key: &str| TransactionFilter {
        business_key: Some(key.into()),
        ..any()
    };
    assert_eq!(found(&s, by_key("order-4")).await, numbers([4]));
    assert_eq!(found(&s, by_key("order-99")).await, []);
    assert_eq!(
        found(&s, by_key("")).await,
        numbers([7]),
        "a tombstone has none"
    );
    let by_topic = |of: &str| TransactionFilter {
        topic: Some(topic(of)),
        ..any()
    };
    assert_eq!(
        found(&s, by_topic("paid")).await,
        numbers([8, 6, 5, 3, 2, 1])
    );
    assert_eq!(found(&s, by_topic("shipped")).await, []);
    let older = |secs| TransactionFilter {
        older_than: Some(Duration::from_secs(secs)),
        ..any()
    };
    assert_eq!(found(&s, older(0)).await.len(), 8);
    assert_eq!(found(&s, older(1)).await, numbers([6, 5, 4, 3, 2, 1]));
    assert_eq!(found(&s, older(2)).await, numbers([6, 1]));
    assert_eq!(found(&s, older(4)).await, []);
}

/// Parked as a whole or with an effect; together with everything else.
pub async fn filters_combine(s: Subject) {
    some_of_each(&s).await;
    let parked = || TransactionFilter {
        parked: true,
        ..TransactionFilter::default()
    };
    assert_eq!(found(&s, parked()).await, numbers([6, 5]));
    let phases = vec![Phase::Prepared, Phase::Cancelled];
    assert_eq!(
        found(&s, TransactionFilter { phases, ..parked() }).await,
        numbers([5])
    );
    let key = Some("order-6".to_owned());
    assert_eq!(
        found(
            &s,
            TransactionFilter {
                business_key: key.clone(),
                ..parked()
            }
        )
        .await,
        numbers([6])
    );
    let phases = vec![Phase::Prepared];
    assert_eq!(
        found(
            &s,
            TransactionFilter {
                business_key: key,
                phases,
                ..parked()
            }
        )
        .await,
        []
    );
    let all = TransactionFilter {
        namespace: Some(Name::default_namespace()),
        phases: vec![Phase::Confirming],
        initiator: Some(name("cashier")),
        business_key: Some("order-2".into()),
        topic: Some(topic("paid")),
        older_than: Some(Duration::from_secs(1)),
        parked: false,
    };
    assert_eq!(found(&s, all.clone()).await, numbers([2]));
    assert_eq!(
        found(
            &s,
            TransactionFilter {
                parked: true,
                ..all
            }
        )
        .await,
        []
    );
}

/// Page by page: each row once, and the last page says that it is the last.
pub async fn pages_show_each_row_once(s: Subject) {
    for n in 1..=10 {
        s.ok(prepare(transaction(n, vec![]))).await;
    }
    for n in [2, 4, 6] {
        s.ok(cancel(n)).await;
    }
    let open = TransactionFilter {
        phases: vec![Phase::Prepared],
        ..TransactionFilter::default()
    };
    for (filter, expected) in [
        (
            TransactionFilter::default(),
            numbers([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ),
        (open, numbers([10, 9, 8, 7, 5, 3, 1])),
    ] {
        for limit in [1, 3, 5, 7, 10, 11] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = s
                    .store
                    .transactions(&filter, after, limit)
                    .await
                    .expect("the query runs");
                assert!(
                    !page.rows.is_empty() && page.rows.len() <= limit,
                    "an empty page says nothing"
                );
                seen.extend(page.rows.iter().map(|row| row.id));
                assert_eq!(
                    page.next,
                    (seen.len() < expected.len()).then(|| Cursor(seen[seen.len() - 1]))
                );
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{limit} at a time");
        }
    }
    let beyond = Some(Cursor(id(1)));
    let page = s
        .store
        .transactions(&TransactionFilter::default(), beyond, 5)
        .await
        .expect("the query runs");
    assert!(page.rows.is_empty() && page.next.is_none());
}

/// Everything of one transaction, and nothing of another.
pub async fn detail_shows_all_of_one_transaction(s: Subject) {
    some_of_each(&s).await;
    let detail = s.detail(6).await;
    assert_eq!(
        Some(detail.transaction),
        s.store.transaction(id(6)).await.expect("the query runs")
    );
    assert_eq!(detail.messages, [message("paid")]);
    assert_eq!(detail.deliveries.len(), 1);
    assert_eq!(detail.attempts.len(), 1);
    assert_eq!(detail.attempts[0].transaction, id(6));
    assert!(s.detail_of(id(99)).await.is_none());
    assert!(
        s.store
            .transaction(id(99))
            .await
            .expect("the query runs")
            .is_none()
    );
}

/// The newest hundred attempts, newest first.
pub async fn detail_shows_the_newest_attempts(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid"); 7]))).await;
    let node = s.node().await;
    let mut made = Vec::new();
    for _ in 0..15 {
        for work in s.deliveries(node).await {
            made.push((work.key.ordinal, work.attempt));
            s.ok(later(&work, Duration::ZERO)).await;
        }
    }
    assert_eq!(made.len(), 105);
    let attempts: Vec<_> = s
        .detail(1)
        .await
        .attempts
        .iter()
        .map(|attempt| match &attempt.kind {
            AttemptKind::Delivery(ordinal, _) => (*ordinal, attempt.number),
            AttemptKind::CheckBack | AttemptKind::Branch(..) => panic!("{attempt:?}"),
        })
        .collect();
    assert_eq!(
        attempts,
        made.into_iter().rev().take(100).collect::<Vec<_>>()
    );
}

/// What each subscription owes; only those that owe something, and what nobody takes first.
pub async fn backlog_counts_what_is_owed(s: Subject) {
    assert_eq!(s.store.backlog().await.expect("the query runs"), []);
    some_of_each(&s).await;
    // 8 is confirmed before its subscription goes, 21 after that, 20 never.
    let (default, other) = (Name::default_namespace(), name("other"));
    let lost = NewTransaction {
        namespace: other.clone(),
        ..transaction(21, vec![message("paid")])
    };
    s.ok(prepare(lost)).await;
    s.ok(prepare(transaction(20, vec![message("paid")]))).await;
    s.ok(decide_as(8, Decision::Confirm, None)).await;
    s.store
        .delete_subscription(&other, &name("elsewhere"))
        .await
        .expect("the store runs");
    s.ok(decide_as(21, Decision::Confirm, None)).await;
    let second = TestClock::START.after(Duration::from_secs(2));
    let line = |namespace: &Name,
                subscription: Option<&str>,
                pending,
                parked,
                oldest_pending: Option<Timestamp>| Backlog {
        namespace: namespace.clone(),
        subscription: subscription.map(name),
        pending,
        parked,
        oldest_pending,
    };
    let expected = [
        line(&default, Some("ledger"), 1, 1, Some(second)),
        line(&other, None, 0, 1, None),
        line(&other, Some("elsewhere"), 0, 1, None),
    ];
    assert_eq!(s.store.backlog().await.expect("the query runs"), expected);
}

/// How many are where, without what is over.
pub async fn unfinished_counts_by_phase(s: Subject) {
    let counts = async || {
        let mut counts = s.store.unfinished().await.expect("the query runs");
        counts.retain(|(_, count)| *count > 0);
        counts.sort();
        counts
    };
    assert_eq!(counts().await, []);
    some_of_each(&s).await;
    assert_eq!(
        counts().await,
        [
            (None, 1),
            (Some(Phase::Prepared), 3),
            (Some(Phase::Confirming), 2)
        ]
    );
}

/// The store's time is its clock's; it answers, and says how durable it is.
pub async fn store_tells_its_time_and_health(s: Subject) {
    assert_eq!(s.store.now().await.expect("it runs"), TestClock::START);
    s.advance(Duration::from_secs(5));
    assert_eq!(
        s.store.now().await.expect("it runs"),
        TestClock::START.after(Duration::from_secs(5))
    );
    s.store.ping().await.expect("it answers");
    let durability = s.store.durability().await.expect("it answers");
    assert!(!durability.store.is_empty() && !durability.settings.is_empty());
}

/// What participants have still to be called for, and since when.
pub async fn backlog_counts_branches_that_wait_for_a_call(s: Subject) {
    let backlog = async || s.store.branch_backlog().await.expect("the query runs");
    let node = s.node().await;
    s.ok(prepare(branched(1, 2))).await;
    assert_eq!(backlog().await, [], "nobody is called before the decision");
    s.ok(confirm(1)).await;
    s.advance(Duration::from_secs(1));
    s.ok(prepare(branched(2, 1))).await;
    s.ok(cancel(2)).await;
    let work = s.branch_work(node).await;
    let [waits] = backlog().await.try_into().expect("one participant");
    assert_eq!(waits.service, work[0].branch.service);
    // What is being called waits as well.
    assert_eq!(
        (waits.pending, waits.oldest_pending),
        (3, Some(TestClock::START))
    );
    for work in work.iter().filter(|work| work.key.transaction == id(1)) {
        s.ok(branch_done(work)).await;
    }
    let [waits] = backlog().await.try_into().expect("one participant");
    let later = TestClock::START.after(Duration::from_secs(1));
    assert_eq!((waits.pending, waits.oldest_pending), (1, Some(later)));
}
