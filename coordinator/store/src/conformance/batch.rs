//! Batches: one database transaction, whose commands don't notice that they share it.

use std::time::Duration;

use earnest_protocol::CheckBackAnswer;

use super::{
    Subject, Whole, answered, cancel, confirm, done, id, keyed, later, message, no_grant, park,
    prepare, retry, submit, transaction,
};
use crate::{Command, NewTransaction, Rejection, TransactionFilter, Work};

/// Nothing to do is nothing wrong.
pub async fn empty_batch_is_nothing(s: Subject) {
    let before = s.dump().await;
    let applied = s.batch(vec![], no_grant()).await;
    assert!(applied.leased.is_empty());
    assert_eq!(s.dump().await, before);
}

/// Each command has its own answer, in order; a refusal takes nothing else with it.
pub async fn refused_command_takes_no_other_with_it(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let commands = vec![
        prepare(transaction(1, vec![message("paid")])),
        prepare(transaction(2, vec![message("refunded")])),
        confirm(3),
        prepare(transaction(1, vec![])),
        submit(transaction(4, vec![message("paid")])),
        confirm(1),
        cancel(1),
    ];
    let results = s.batch(commands, no_grant()).await.results;
    let refused: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(
        refused,
        [false, true, true, true, false, false, true],
        "{results:?}"
    );
    assert_eq!(results[2], Err(Rejection::NotFound { id: id(3) }));
    assert_eq!(results[3], Err(Rejection::IdReused { id: id(1) }));
    let dump = s.dump().await;
    let ids: Vec<_> = dump.transactions.iter().map(|whole| whole.row.id).collect();
    assert_eq!(ids, [id(4), id(1)]);
    dump.check();
}

/// A reader sees all of a batch or nothing of it.
pub async fn reader_sees_all_of_a_batch_or_nothing(s: Subject) {
    let write = async {
        for n in 1..=40 {
            let both = [n, n + 100].map(|n| prepare(transaction(n, vec![])));
            s.batch(both.into(), no_grant()).await;
        }
    };
    let read = async {
        let mut most = 0;
        while most < 80 {
            let filter = TransactionFilter::default();
            let rows = s
                .store
                .transactions(&filter, None, 100)
                .await
                .expect("the query runs")
                .rows;
            assert_eq!(rows.len() % 2, 0, "half of a batch is visible");
            most = rows.len();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, read);
}

/// In one batch or one by one: the same commands lead to the same state.
pub async fn one_batch_or_one_by_one_is_the_same(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.subscribe_ordered("rewards", "paid").await;
    let node = s.node().await;
    let (together, alone) = (0..8, 10..18);
    let first = |n: u8| {
        let messages = vec![message("paid"), keyed("paid", &format!("k{n}"))];
        let new = NewTransaction {
            business_key: "same".into(),
            ..transaction(n, messages)
        };
        match n % 10 {
            0 | 1 => submit(new),
            2 => cancel(n),
            _ => prepare(new),
        }
    };
    s.batch(together.clone().map(first).collect(), no_grant())
        .await;
    for n in alone.clone() {
        let _ = s.run(first(n)).await;
    }
    s.advance(Duration::from_secs(10));
    let work = s.claim(node).await.work;
    let second = |n: u8| {
        let own: Vec<_> = work.iter().filter_map(|work| of(work, n)).collect();
        match n % 10 {
            3 => vec![confirm(n)],
            4 => vec![cancel(n)],
            5 => vec![park(n)],
            6 => vec![retry(n)],
            _ => own,
        }
    };
    s.batch(together.clone().flat_map(second).collect(), no_grant())
        .await;
    for command in alone.clone().flat_map(second) {
        let _ = s.run(command).await;
    }
    let dump = s.dump().await;
    dump.check();
    let pick = |numbers: std::ops::Range<u8>| -> Vec<Whole> {
        let of = |n| dump.transactions.iter().find(|whole| whole.row.id == id(n));
        numbers.filter_map(of).cloned().map(anonymous).collect()
    };
    assert_eq!(pick(together.clone()).len(), together.len());
    assert_eq!(pick(together), pick(alone));
}

/// What ends `work`, when it is transaction `n`'s.
fn of(work: &Work, n: u8) -> Option<Command> {
    match work {
        Work::CheckBack(work) if work.id == id(n) => {
            Some(answered(work, CheckBackAnswer::Committed))
        }
        Work::Delivery(work) if work.key.transaction == id(n) && work.key.ordinal.0 == 0 => {
            Some(done(work))
        }
        Work::Delivery(work) if work.key.transaction == id(n) => {
            Some(later(work, Duration::from_secs(1)))
        }
        _ => None,
    }
}

/// Without what tells one transaction from another.
fn anonymous(mut whole: Whole) -> Whole {
    whole.row.id = id(0);
    for message in &mut whole.messages {
        message.key.truncate(1);
    }
    whole.row.content = None;
    for delivery in &mut whole.deliveries {
        delivery.key.transaction = id(0);
        delivery.order = delivery
            .order
            .take()
            .map(|(_, position)| ("k".into(), position));
    }
    for attempt in &mut whole.attempts {
        attempt.transaction = id(0);
    }
    whole
}
