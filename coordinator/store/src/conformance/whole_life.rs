//! A transaction that leaves a row in every table that a transaction can, and its end in the purge: what is left after it is for each
//! database's own tests to count.

use std::time::Duration;

use earnest_protocol::Settled;

use super::{
    Subject, branch_done, branch_settled, branched, confirm, done, id, later, message, prepare,
};
use crate::{NewTransaction, Work};

/// Tables with rows of transactions, and of nothing else.
pub const TABLES: [&str; 6] = [
    "transactions",
    "messages",
    "deliveries",
    "branches",
    "branch_contents",
    "attempts",
];

/// Prepares transaction 1 with messages and branches, has calls fail and succeed, and finishes it.
pub async fn lived(s: &Subject) {
    s.subscribe("ledger", "paid").await;
    let node = s.node().await;
    let new = NewTransaction {
        messages: vec![message("paid")],
        ..branched(1, 2)
    };
    s.ok(prepare(new)).await;
    s.ok(confirm(1)).await;
    for last in [false, true] {
        for work in s.claim(node).await.work {
            s.ok(match work {
                Work::Delivery(work) if last => done(&work),
                Work::Delivery(work) => later(&work, Duration::ZERO),
                Work::Branch(work) if last => branch_done(&work),
                Work::Branch(work) => branch_settled(&work, Settled::RetryAfter(Duration::ZERO)),
                other @ Work::CheckBack(_) => panic!("nobody is asked: {other:?}"),
            })
            .await;
        }
    }
    assert!(s.row(1).await.state.phase.is_final());
}

/// Purges it, as long after.
pub async fn purged(s: &Subject) {
    s.advance(Duration::from_hours(24));
    let report = s.store.purge(Duration::from_hours(1), 100).await;
    assert_eq!(report.expect("it runs").removed, 1);
    assert!(s.detail_of(id(1)).await.is_none());
}
