//! Check-backs: the coordinator asks, and only an answer decides.

use std::time::Duration;

use earnest_protocol::{CheckBackAnswer, Decider, InitiatorOutcome, OnBudgetSpent, Options, Phase};

use super::{
    Subject, TestClock, answered, cancel, confirm, id, later, message, name, prepare, transaction,
};
use crate::{AttemptKind, CheckBackWork, Command, NewTransaction, Reply};

pub(super) async fn prepared(s: &Subject, n: u8, options: Options) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(NewTransaction {
        options,
        ..transaction(n, vec![message("paid")])
    }))
    .await;
}

/// Prepares transaction 1 and claims its first check-back.
pub(super) async fn asked(s: &Subject, options: Options) -> CheckBackWork {
    prepared(s, 1, options).await;
    s.advance(options.check_after);
    let node = s.node().await;
    s.one_check_back(node).await
}

/// Not before `check_after`, then at once, and with all that the call needs.
pub async fn check_back_is_due_after_check_after(s: Subject) {
    prepared(&s, 1, Options::default()).await;
    let node = s.node().await;
    s.advance(Duration::from_micros(9_999_999));
    let early = s.claim(node).await;
    assert!(early.work.is_empty());
    assert_eq!(early.next_due, Some(Duration::from_micros(1)));
    s.advance(Duration::from_micros(1));
    let work = s.one_check_back(node).await;
    assert_eq!(
        (work.id, work.attempt, work.created_at),
        (id(1), 1, TestClock::START)
    );
    assert_eq!(
        (work.namespace, work.initiator),
        (name("default"), name("cashier"))
    );
    assert_eq!(
        (work.resource_id.as_str(), work.options),
        ("db-1", Options::default())
    );
    assert_eq!(work.traceparent, transaction(1, vec![]).traceparent);
    assert!(s.claim(node).await.work.is_empty(), "it is leased");
    assert_eq!(s.row(1).await.holder, Some(node));
}

/// What is decided is not asked about.
pub async fn decided_transaction_is_not_checked_back(s: Subject) {
    for n in [1, 2] {
        s.ok(prepare(transaction(n, vec![]))).await;
    }
    s.ok(confirm(1)).await;
    s.ok(cancel(2)).await;
    s.advance(Duration::from_hours(1));
    let node = s.node().await;
    let claimed = s.claim(node).await;
    assert!(claimed.work.is_empty() && claimed.next_due.is_none());
}

/// *Committed* confirms and owes, *rolled back* cancels.
pub async fn answer_decides(s: Subject) {
    for n in [1, 2] {
        prepared(&s, n, Options::default()).await;
    }
    s.advance(Duration::from_secs(10));
    let node = s.node().await;
    let work = s.check_backs(node).await;
    assert_eq!(work.len(), 2);
    let now = s.store.now().await.expect("it runs");
    for (work, answer) in work
        .iter()
        .zip([CheckBackAnswer::Committed, CheckBackAnswer::RolledBack])
    {
        let reply = s.ok(answered(work, answer)).await;
        let Reply::Settled(row) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(row.decided, Some((now, Decider::CheckBack)));
        assert_eq!(
            (row.check_due, row.holder, row.check_attempts),
            (None, None, 1)
        );
    }
    let (confirmed, cancelled) = (s.detail_of(work[0].id).await, s.detail_of(work[1].id).await);
    let (confirmed, cancelled) = (confirmed.expect("known"), cancelled.expect("known"));
    assert_eq!(
        (
            confirmed.transaction.state.phase,
            confirmed.deliveries.len()
        ),
        (Phase::Confirming, 1)
    );
    assert_eq!(
        (
            cancelled.transaction.state.phase,
            cancelled.deliveries.len()
        ),
        (Phase::Cancelled, 0)
    );
    assert!(
        confirmed.attempts.is_empty(),
        "a call that brought an outcome did not fail"
    );
    s.dump().await.check();
}

/// However often nobody answers: nothing is decided, and no budget is spent.
pub async fn p6_unknown_answers_never_spend_the_budget(s: Subject) {
    let options = Options {
        outcome: InitiatorOutcome::Asked,
        on_budget_spent: OnBudgetSpent::Cancel,
        check_back_budget: 1,
        ..Options::default()
    };
    prepared(&s, 1, options).await;
    s.advance(options.check_after);
    for n in 1..=20 {
        let node = s.node().await;
        let work = s.one_check_back(node).await;
        assert_eq!(work.attempt, n);
        let row = s.ok_row(answered(&work, CheckBackAnswer::Unknown)).await;
        assert_eq!(
            (row.state.phase, row.state.in_progress_answers),
            (Phase::Prepared, 0)
        );
        assert_eq!(
            (row.state.unanswered, row.check_attempts, row.holder),
            (n, n, None)
        );
        let due = row
            .check_due
            .expect("asked again")
            .since(s.store.now().await.expect("it runs"));
        assert!(
            due > Duration::ZERO && due <= Duration::from_mins(1),
            "{due:?}"
        );
        s.advance(due);
    }
    let attempts = s.detail(1).await.attempts;
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (1..=20).rev().collect::<Vec<_>>());
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.kind == AttemptKind::CheckBack)
    );
}

/// A local outcome: a spent budget parks, and no time and no budget ever cancels.
pub async fn p6_spent_budget_parks_a_local_outcome(s: Subject) {
    let options = Options {
        check_back_budget: 2,
        ..Options::default()
    };
    let work = asked(&s, options).await;
    let row = s.ok_row(answered(&work, CheckBackAnswer::InProgress)).await;
    assert_eq!((row.state.in_progress_answers, row.state.parked), (1, None));
    s.advance(Duration::from_mins(1));
    let node = s.node().await;
    let work = s.one_check_back(node).await;
    let row = s.ok_row(answered(&work, CheckBackAnswer::InProgress)).await;
    assert_eq!(
        (row.state.phase, row.check_due, row.decided),
        (Phase::Prepared, None, None)
    );
    assert!(row.state.parked.is_some());
    s.advance(Duration::from_hours(24));
    let node = s.node().await;
    assert!(
        s.claim(node).await.work.is_empty(),
        "parked is never retried by itself"
    );
    assert_eq!(
        s.ok_row(confirm(1)).await.state.phase,
        Phase::Confirming,
        "but still takes a decision"
    );
    s.dump().await.check();
}

/// It asked for it: a spent budget cancels.
pub async fn spent_budget_cancels_where_asked_for(s: Subject) {
    let options = Options {
        outcome: InitiatorOutcome::Asked,
        on_budget_spent: OnBudgetSpent::Cancel,
        check_back_budget: 1,
        ..Options::default()
    };
    let work = asked(&s, options).await;
    let row = s.ok_row(answered(&work, CheckBackAnswer::InProgress)).await;
    assert_eq!(row.state.phase, Phase::Cancelled);
    assert_eq!(row.decided.map(|(_, by)| by), Some(Decider::Budget));
    s.dump().await.check();
}

/// Nobody can be asked: the deadline cancels.
pub async fn deadline_cancels_where_nobody_can_be_asked(s: Subject) {
    let work = asked(
        &s,
        Options {
            outcome: InitiatorOutcome::None,
            ..Options::default()
        },
    )
    .await;
    let row = s
        .ok_row(Command::DeadlinePassed {
            id: work.id,
            token: work.token,
        })
        .await;
    assert_eq!(row.state.phase, Phase::Cancelled);
    assert_eq!(row.decided.map(|(_, by)| by), Some(Decider::Deadline));
    s.dump().await.check();
}

/// Somebody can be asked: time alone never cancels.
pub async fn p6_deadline_never_cancels_where_somebody_can_be_asked(s: Subject) {
    for (n, outcome) in [(1, InitiatorOutcome::Local), (2, InitiatorOutcome::Asked)] {
        prepared(
            &s,
            n,
            Options {
                outcome,
                ..Options::default()
            },
        )
        .await;
    }
    s.advance(Duration::from_secs(10));
    let node = s.node().await;
    let work = s.check_backs(node).await;
    let before = s.dump().await;
    for work in &work {
        let reply = s
            .ok(Command::DeadlinePassed {
                id: work.id,
                token: work.token,
            })
            .await;
        assert_eq!(reply, Reply::LostLease);
    }
    assert_eq!(s.dump().await, before);
}

/// A call that fails for days leaves the first records and the newest, each call for itself.
pub async fn p13_attempts_of_one_call_are_bounded(s: Subject) {
    prepared(&s, 1, Options::default()).await;
    s.advance(Duration::from_secs(10));
    for _ in 0..40 {
        let node = s.node().await;
        let work = s.one_check_back(node).await;
        let row = s.ok_row(answered(&work, CheckBackAnswer::Unknown)).await;
        let now = s.store.now().await.expect("it runs");
        s.advance(row.check_due.expect("asked again").since(now));
    }
    s.ok(confirm(1)).await;
    let node = s.node().await;
    for _ in 0..30 {
        let work = s.one_delivery(node).await;
        s.ok(later(&work, Duration::ZERO)).await;
    }
    let attempts = s.detail(1).await.attempts;
    let of = |check_back: bool| -> Vec<u32> {
        let of = attempts
            .iter()
            .filter(|attempt| (attempt.kind == AttemptKind::CheckBack) == check_back);
        of.map(|attempt| attempt.number).collect()
    };
    assert_eq!(
        of(true),
        (21..=40).rev().chain((1..=5).rev()).collect::<Vec<_>>()
    );
    assert_eq!(
        of(false),
        (11..=30).rev().chain((1..=5).rev()).collect::<Vec<_>>()
    );
}
