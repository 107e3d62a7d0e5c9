//! Ranges of history: made ahead, dropped when all is over, never otherwise.

use std::time::Duration;

use earnest_protocol::{Decision, Timestamp, TransactionId};
use sqlx::Connection;

use super::{HOUR, RETENTION, Ranged, open};
use crate::{
    Command, Decide, NewTransaction, Rejection, RetentionStore,
    conformance::{branch_done, done, keyed, message, name, prepare, reserve, submit},
    postgres::range,
    round::made,
};

fn decided(id: TransactionId, decision: Decision) -> Command {
    Command::Decide(Decide {
        id,
        decision,
        initiator: None,
        namespace: name("default"),
    })
}

/// What is over goes with its range, in one go, and can't begin anew.
#[tokio::test]
async fn p1_range_of_which_all_is_over_is_dropped() {
    let mut r = Ranged::new().await;
    let range = r.ranges().await[1];
    r.s.subscribe_ordered("ledger", "paid").await;
    let node = r.s.node().await;
    for n in 1..=5 {
        let new = made(r.now(), n, vec![keyed("paid", "key")]);
        r.s.ok(submit(new)).await;
    }
    for _ in 1..=5 {
        let work = r.s.one_delivery(node).await;
        r.s.ok(done(&work)).await;
    }
    let young = made(r.now().after(HOUR), 6, vec![]);
    r.s.ok(submit(young.clone())).await;
    // Not before all of the range is as old, although what is in it is.
    r.s.advance(RETENTION + HOUR / 2);
    assert_eq!(r.purge().await, 0);
    assert!(r.is_there(range).await);
    r.s.advance(HOUR / 2);
    let report = r.s.store.purge(RETENTION, 2).await.expect("the purge runs");
    assert_eq!(
        (report.removed, report.more),
        (5, false),
        "more than two rows go at once"
    );
    assert!(!r.is_there(range).await);
    assert!(!r.ranges().await.contains(&range));
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM ordered_keys")
        .fetch_one(&mut r.db)
        .await
        .expect("it is counted");
    assert_eq!(keys, 0, "nothing is left of the key");
    let left = r.s.dump().await.transactions;
    let left: Vec<_> = left.iter().map(|whole| whole.row.id).collect();
    assert_eq!(left, [young.id]);
    let id = TransactionId::from_parts(Timestamp::from_micros(range.since * 1_000), [1; 10]);
    let again = r.s.run(submit(made(id.made_at(), 1, vec![]))).await;
    assert_eq!(again, Err(Rejection::TooOld { id }));
}

/// Whatever is not over holds its range, however old it is; what is over around it goes row by row.
#[tokio::test]
async fn p4_range_with_unfinished_work_is_never_dropped() {
    let mut r = Ranged::new().await;
    let range = r.ranges().await[1];
    for n in 1..=5 {
        r.s.ok(submit(made(r.now(), n, vec![]))).await;
    }
    let open = made(r.now(), 6, vec![]);
    r.s.ok(prepare(open.clone())).await;
    r.s.advance(RETENTION * 10);
    let before = r.s.dump().await;
    assert_eq!(r.purge().await, 5);
    assert_eq!(r.purge().await, 0);
    assert!(r.is_there(range).await);
    let mut expected = before;
    expected
        .transactions
        .retain(|whole| whole.row.finished_at.is_none());
    assert_eq!(r.s.dump().await, expected, "and nothing of it was touched");
    // Over, but not for long enough.
    r.s.ok(decided(open.id, Decision::Cancel)).await;
    r.s.advance(RETENTION);
    assert_eq!(r.purge().await, 0);
    assert!(r.is_there(range).await);
    r.s.advance(Duration::from_micros(1));
    assert_eq!(r.purge().await, 1);
    assert!(!r.is_there(range).await);
}

/// Branches are kept by the same ranges: one that is owed its call holds its range, and all go with it.
#[tokio::test]
async fn p4_branches_hold_their_range_and_go_with_it() {
    let mut r = Ranged::new().await;
    let range = r.ranges().await[1];
    let new = NewTransaction {
        branches: vec![reserve(1), reserve(2)],
        ..made(r.now(), 1, vec![])
    };
    r.s.ok(prepare(new.clone())).await;
    r.s.ok(decided(new.id, Decision::Confirm)).await;
    let mut branches = async |table: String| -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count = sqlx::query_scalar(sql).fetch_one(&mut r.db).await;
        count.expect("it is counted")
    };
    assert_eq!(branches(format!("branches_{}", range.since)).await, 2);
    let contents = format!("branch_contents_{}", range.since);
    assert_eq!(branches(contents).await, 2);
    r.s.advance(RETENTION * 2);
    assert_eq!(r.purge().await, 0);
    assert!(r.is_there(range).await);
    let node = r.s.node().await;
    for work in r.s.branch_work(node).await {
        r.s.ok(branch_done(&work)).await;
    }
    r.s.advance(RETENTION * 2);
    assert_eq!(r.purge().await, 1);
    assert!(!r.is_there(range).await);
    assert!(r.s.dump().await.transactions.is_empty());
}

/// It is looked for again when nobody can write any more: between the look and the drop something may have come.
#[tokio::test]
async fn p4_drop_itself_looks_for_unfinished_work() {
    let mut r = Ranged::new().await;
    let range = r.ranges().await[1];
    let open = made(r.now(), 1, vec![]);
    r.s.ok(prepare(open.clone())).await;
    let mut dropping = r.db.begin().await.expect("it begins");
    let dropped = range::drop(&mut dropping, range).await;
    assert!(!dropped.expect("it looks"));
    dropping.rollback().await.expect("it ends");
    r.s.ok(decided(open.id, Decision::Cancel)).await;
    let mut dropping = r.db.begin().await.expect("it begins");
    let dropped = range::drop(&mut dropping, range).await;
    assert!(dropped.expect("it drops"));
    dropping.rollback().await.expect("it ends");
}

/// Whoever holds a lock on the tables for long is not waited for; the purge comes again.
#[tokio::test]
async fn purge_does_not_wait_for_a_long_reader() {
    let mut r = Ranged::new().await;
    let range = r.ranges().await[1];
    r.s.ok(submit(made(r.now(), 1, vec![]))).await;
    r.s.advance(RETENTION + HOUR);
    let mut reader = super::session(&r.database).await;
    let mut reading = reader.begin().await.expect("it begins");
    sqlx::query("SELECT count(*) FROM transactions")
        .execute(&mut *reading)
        .await
        .expect("it reads");
    assert_eq!(r.purge().await, 0);
    assert!(r.is_there(range).await);
    reading.rollback().await.expect("it ends");
    assert_eq!(r.purge().await, 1);
    assert!(!r.is_there(range).await);
}

/// Two nodes: each range goes once, and neither fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_purge_at_once() {
    let mut r = Ranged::new().await;
    for n in 1..=60 {
        // A range per hour, made as time goes by.
        if n % 10 == 0 {
            r.s.advance(HOUR);
            r.purge().await;
        }
        r.s.ok(submit(made(r.now(), n, vec![]))).await;
    }
    let before = r.ranges().await;
    assert!(before.len() >= 7, "{before:?}");
    r.s.advance(RETENTION * 3);
    let other = open(&r.database, &r.s.clock).await;
    let purge = async |store: &dyn RetentionStore| {
        let mut removed = 0;
        for _ in 0..20 {
            let report = store.purge(RETENTION, 1).await.expect("the purge runs");
            removed += report.removed;
        }
        removed
    };
    let (one, two) = tokio::join!(purge(&*r.store), purge(&*other));
    assert!(r.s.dump().await.transactions.is_empty());
    assert!(one + two >= 60, "{one} and {two}");
    for range in &before[1..] {
        assert!(!r.is_there(*range).await, "{range:?}");
    }
}

/// Ids of a time for which there is no range yet get theirs later, without being copied, and stay the same rows.
#[tokio::test]
async fn what_came_while_no_purge_ran_becomes_a_range() {
    let mut r = Ranged::new().await;
    r.s.advance(HOUR * 5);
    let with_branch = |new| NewTransaction {
        branches: vec![reserve(1)],
        ..new
    };
    let new = with_branch(made(r.now(), 1, vec![message("paid")]));
    let ahead = with_branch(made(r.now().after(HOUR * 48), 2, vec![]));
    r.s.subscribe("ledger", "paid").await;
    for new in [&new, &ahead] {
        r.s.ok(prepare(new.clone())).await;
        assert_eq!(r.table_of(new.id).await, "transactions_late");
    }
    let before = r.s.dump().await;
    r.purge().await;
    let made = *r.ranges().await.iter().rev().nth(1).expect("two are ahead");
    assert_eq!(
        r.table_of(new.id).await,
        format!("transactions_{}", made.since)
    );
    assert_eq!(r.table_of(ahead.id).await, "transactions_late");
    assert_eq!(r.s.dump().await, before);
    let node = r.s.node().await;
    r.s.ok(decided(new.id, Decision::Confirm)).await;
    let work = r.s.claim(node).await.work;
    assert_eq!(work.len(), 2, "a delivery and a branch: {work:?}");
}

/// P9: an order goes on from one range to the next, and one batch may write to all of them.
#[tokio::test]
async fn p9_one_batch_over_all_ranges_keeps_the_order() {
    let r = Ranged::new().await;
    r.s.subscribe_ordered("ledger", "paid").await;
    let node = r.s.node().await;
    let times = [
        r.now().before(HOUR * 5),
        r.now(),
        r.now().after(HOUR),
        r.now().after(HOUR * 30),
    ];
    let news: Vec<_> = (1..)
        .zip(times)
        .map(|(n, at)| made(at, n, vec![keyed("paid", "key")]))
        .collect();
    let grant = crate::conformance::no_grant;
    let all = |command: &dyn Fn(usize) -> Command| (0..news.len()).map(command).collect();
    let prepared = r.s.batch(all(&|n| prepare(news[n].clone())), grant()).await;
    assert!(prepared.results.iter().all(Result::is_ok), "{prepared:?}");
    let confirm = |n: usize| decided(news[n].id, Decision::Confirm);
    let confirmed = r.s.batch(all(&confirm), grant()).await;
    assert!(confirmed.results.iter().all(Result::is_ok), "{confirmed:?}");
    for new in &news {
        let work = r.s.one_delivery(node).await;
        assert_eq!(
            work.key.transaction, new.id,
            "in the order of the decisions"
        );
        r.s.ok(done(&work)).await;
    }
}
