//! Purge: finished history goes, what is unfinished stays, and what went can't begin anew.

use std::time::Duration;

use earnest_protocol::{Timestamp, TransactionId};

use super::{
    Subject, TestClock, answered, cancel, confirm, done, id, later, message, park, prepare, submit,
    transaction,
};
use crate::{Command, Decide, NewTransaction, PurgeReport, Rejection, TransactionFilter};

const DAY: Duration = Duration::from_hours(24);
const MOMENT: Duration = Duration::from_micros(1);

async fn purge(s: &Subject, older_than: Duration, limit: usize) -> PurgeReport {
    s.store
        .purge(older_than, limit)
        .await
        .expect("the purge runs")
}

async fn known(s: &Subject) -> Vec<TransactionId> {
    let page = s
        .store
        .transactions(&TransactionFilter::default(), None, 1_000)
        .await
        .expect("the query runs");
    page.rows.into_iter().rev().map(|row| row.id).collect()
}

/// A transaction whose id was made at `at`.
fn made(at: Timestamp, n: u8) -> NewTransaction {
    NewTransaction {
        id: TransactionId::from_parts(at, [n; 10]),
        ..transaction(n, vec![])
    }
}

/// Whatever is not over stays, however old.
pub async fn p4_purge_keeps_what_is_unfinished(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let node = s.node().await;
    for n in 1..=3 {
        s.ok(submit(transaction(n, vec![message("paid"); 2]))).await;
    }
    for work in s.deliveries(node).await {
        match (work.key.transaction, work.key.ordinal.0) {
            (of, _) if of == id(1) => s.ok(done(&work)).await,
            (of, 0) if of == id(2) => s.ok(done(&work)).await,
            _ => s.ok(later(&work, DAY * 90)).await,
        };
    }
    s.ok(park(3)).await;
    for n in [4, 5, 6, 7] {
        s.ok(prepare(transaction(n, vec![message("paid")]))).await;
    }
    s.ok(park(5)).await;
    s.ok(cancel(6)).await;
    s.ok(cancel(8)).await;
    s.advance(DAY * 30);
    let before = s.dump().await;
    assert_eq!(
        purge(&s, DAY, 1_000).await,
        PurgeReport {
            removed: 3,
            more: false
        }
    );
    assert_eq!(known(&s).await, [2, 3, 4, 5, 7].map(id));
    let mut expected = before;
    expected
        .transactions
        .retain(|whole| whole.row.finished_at.is_none());
    assert_eq!(s.dump().await, expected, "and nothing of it was touched");
}

/// Of what goes, everything goes: messages, deliveries and attempts. The audit stays.
pub async fn purge_removes_all_of_what_is_finished(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    s.advance(Duration::from_secs(10));
    let node = s.node().await;
    let work = s.one_check_back(node).await;
    s.ok(answered(&work, earnest_protocol::CheckBackAnswer::Unknown))
        .await;
    s.ok(park(1)).await;
    s.ok(confirm(1)).await;
    let work = s.one_delivery(node).await;
    s.ok(later(&work, Duration::ZERO)).await;
    let work = s.one_delivery(node).await;
    s.ok(done(&work)).await;
    assert_eq!(s.detail(1).await.attempts.len(), 2);
    s.advance(DAY * 2);
    let before = s.dump().await;
    assert_eq!(before.audit.len(), 1);
    assert_eq!(
        purge(&s, DAY, 10).await,
        PurgeReport {
            removed: 1,
            more: false
        }
    );
    assert!(s.detail_of(id(1)).await.is_none());
    assert!(
        s.store
            .transaction(id(1))
            .await
            .expect("the query runs")
            .is_none()
    );
    let after = s.dump().await;
    assert_eq!(
        after,
        super::Dump {
            transactions: vec![],
            ..before
        }
    );
    // Nothing of it is left to come up again under an id of its own time.
    assert_eq!(purge(&s, DAY, 10).await, PurgeReport::default());
}

/// Not before its time: what finished just so long ago stays.
pub async fn purge_waits_for_the_age(s: Subject) {
    s.ok(submit(transaction(1, vec![]))).await;
    s.advance(DAY);
    assert_eq!(purge(&s, DAY, 10).await, PurgeReport::default());
    assert_eq!(known(&s).await, [id(1)]);
    s.advance(MOMENT);
    assert_eq!(purge(&s, DAY, 10).await.removed, 1);
}

/// At most so many at once, and says whether to call again.
pub async fn purge_is_bounded(s: Subject) {
    for n in 1..=7 {
        s.ok(submit(transaction(n, vec![]))).await;
        s.advance(MOMENT);
    }
    s.ok(prepare(transaction(8, vec![]))).await;
    s.advance(DAY * 2);
    for (removed, more) in [(3, true), (3, true), (1, false), (0, false)] {
        assert_eq!(purge(&s, DAY, 3).await, PurgeReport { removed, more });
    }
    assert_eq!(known(&s).await, [id(8)]);
}

/// Just as many as asked for: nothing more is left.
pub async fn purge_of_just_so_many_leaves_no_more(s: Subject) {
    for n in 1..=4 {
        s.ok(submit(transaction(n, vec![]))).await;
    }
    s.advance(DAY * 2);
    assert_eq!(
        purge(&s, DAY, 2).await,
        PurgeReport {
            removed: 2,
            more: true
        }
    );
    assert_eq!(
        purge(&s, DAY, 2).await,
        PurgeReport {
            removed: 2,
            more: false
        }
    );
}

/// P1: an id that may have been purged is refused, lest its transaction be decided a second time.
pub async fn p1_purged_id_is_refused(s: Subject) {
    s.ok(submit(transaction(1, vec![]))).await;
    s.ok(prepare(transaction(2, vec![]))).await;
    s.advance(DAY * 2);
    purge(&s, DAY, 10).await;
    let before = s.dump().await;
    for n in [1, 9] {
        let too_old = Err(Rejection::TooOld { id: id(n) });
        assert_eq!(s.run(prepare(transaction(n, vec![]))).await, too_old);
        assert_eq!(s.run(submit(transaction(n, vec![]))).await, too_old);
        assert_eq!(s.run(cancel(n)).await, too_old);
        assert_eq!(
            s.run(confirm(n)).await,
            Err(Rejection::NotFound { id: id(n) })
        );
    }
    assert_eq!(s.dump().await, before);
    s.ok(prepare(transaction(2, vec![]))).await;
    s.ok(confirm(2)).await;
}

/// Only ids older than what was purged are refused, and they stay refused.
pub async fn p1_horizon_stands_where_the_purge_came_to(s: Subject) {
    s.ok(submit(transaction(1, vec![]))).await;
    s.advance(DAY * 2);
    assert_eq!(purge(&s, DAY, 10).await.removed, 1);
    let horizon = TestClock::START.after(DAY);
    let just_before = Timestamp::from_micros(horizon.as_micros() - 1_000);
    s.ok(submit(made(horizon, 3))).await;
    let refused = s.run(submit(made(just_before, 4))).await;
    assert!(
        matches!(refused, Err(Rejection::TooOld { .. })),
        "{refused:?}"
    );
    // A longer time now doesn't bring back what went.
    purge(&s, DAY * 2, 10).await;
    let refused = s.run(submit(made(just_before, 4))).await;
    assert!(
        matches!(refused, Err(Rejection::TooOld { .. })),
        "{refused:?}"
    );
}

/// Nothing went, so no id is in doubt.
pub async fn purge_of_nothing_refuses_nothing(s: Subject) {
    s.ok(prepare(transaction(1, vec![]))).await;
    s.advance(DAY * 2);
    assert_eq!(purge(&s, DAY, 10).await, PurgeReport::default());
    s.ok(submit(transaction(2, vec![]))).await;
    s.ok(cancel(3)).await;
}

/// P1: an id from a clock that runs ahead waits until it, too, would be refused.
pub async fn p1_id_from_the_future_is_not_purged_early(s: Subject) {
    let future = made(TestClock::START.after(DAY * 10), 1);
    s.ok(submit(future.clone())).await;
    s.ok(submit(transaction(2, vec![]))).await;
    s.advance(DAY * 5);
    assert_eq!(
        purge(&s, DAY, 10).await,
        PurgeReport {
            removed: 1,
            more: false
        }
    );
    assert_eq!(known(&s).await, [future.id]);
    s.advance(DAY * 6 + Duration::from_millis(1));
    assert_eq!(
        purge(&s, DAY, 10).await,
        PurgeReport {
            removed: 1,
            more: false
        }
    );
    assert_eq!(
        s.run(submit(future.clone())).await,
        Err(Rejection::TooOld { id: future.id })
    );
}

/// A tombstone is history, too.
pub async fn p1_tombstone_is_purged_like_the_rest(s: Subject) {
    s.ok(cancel(1)).await;
    s.advance(DAY * 2);
    assert_eq!(purge(&s, DAY, 10).await.removed, 1);
    let again = Command::Decide(Decide {
        id: id(1),
        decision: earnest_protocol::Decision::Cancel,
        initiator: None,
        namespace: super::name("default"),
    });
    assert_eq!(s.run(again).await, Err(Rejection::TooOld { id: id(1) }));
}
