//! Everything may be sent twice: the second time has no effect of its own.

use std::time::Duration;

use earnest_protocol::{CheckBackAnswer, Decision, InitiatorOutcome, OnBudgetSpent, Options};

use super::{
    Subject, answered, cancel, confirm, done, failed, later, message, operator, park, prepare,
    release, retry, submit, transaction,
};
use crate::{CheckBackWork, Command, NewTransaction, OperatorAction};

/// Runs `command`, which must be accepted, and again a second later: nothing may differ.
async fn twice(s: &Subject, command: Command) {
    let shown = format!("{command:?}");
    s.ok(command.clone()).await;
    let once = s.dump().await;
    once.check();
    s.advance(Duration::from_secs(1));
    let _ = s.run(command).await;
    assert_eq!(s.dump().await, once, "{shown}");
}

/// The same for a person, at whose second time only the audit may show a difference.
async fn twice_by_hand(s: &Subject, command: Command) {
    let shown = format!("{command:?}");
    s.ok(command.clone()).await;
    let once = s.dump().await;
    once.check();
    let _ = s.run(command).await;
    assert_eq!(
        s.dump().await.without_marks(),
        once.without_marks(),
        "{shown}"
    );
}

/// Prepare, Submit, Confirm, Cancel.
pub async fn initiators_commands_twice_are_once(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = |n| transaction(n, vec![message("paid"); 2]);
    twice(&s, prepare(new(1))).await;
    twice(&s, confirm(1)).await;
    twice(&s, submit(new(2))).await;
    twice(&s, prepare(new(3))).await;
    twice(&s, submit(new(3))).await;
    twice(&s, prepare(new(4))).await;
    twice(&s, cancel(4)).await;
    twice(&s, cancel(5)).await;
    twice(&s, submit(transaction(6, vec![]))).await;
}

/// Every end of a delivery.
pub async fn ends_of_deliveries_twice_are_once(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let node = s.node().await;
    s.ok(submit(transaction(1, vec![message("paid"); 4]))).await;
    let work = s.deliveries(node).await;
    twice(&s, done(&work[0])).await;
    twice(&s, later(&work[1], Duration::from_secs(9))).await;
    twice(&s, failed(&work[2])).await;
    twice(&s, release(&work[3])).await;
}

/// Prepares and claims the check-back of transaction `n`.
async fn asked(s: &Subject, n: u8, options: Options) -> CheckBackWork {
    s.ok(prepare(NewTransaction {
        options,
        ..transaction(n, vec![message("paid")])
    }))
    .await;
    s.advance(options.check_after);
    let node = s.node().await;
    let mut work = s.check_backs(node).await;
    work.retain(|work| work.id == super::id(n));
    work.pop().expect("its check-back is due")
}

/// Every answer to a check-back, the deadline, and giving back.
pub async fn ends_of_check_backs_twice_are_once(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.pause("ledger", true).await;
    let answers = [
        CheckBackAnswer::Committed,
        CheckBackAnswer::RolledBack,
        CheckBackAnswer::InProgress,
        CheckBackAnswer::Unknown,
    ];
    for (n, answer) in (1..).zip(answers) {
        let work = asked(&s, n, Options::default()).await;
        twice(&s, answered(&work, answer)).await;
    }
    let spends = Options {
        check_back_budget: 1,
        ..Options::default()
    };
    let work = asked(&s, 5, spends).await;
    twice(&s, answered(&work, CheckBackAnswer::InProgress)).await;
    let cancels = Options {
        outcome: InitiatorOutcome::Asked,
        on_budget_spent: OnBudgetSpent::Cancel,
        ..spends
    };
    let work = asked(&s, 6, cancels).await;
    twice(&s, answered(&work, CheckBackAnswer::InProgress)).await;
    let work = asked(
        &s,
        7,
        Options {
            outcome: InitiatorOutcome::None,
            ..Options::default()
        },
    )
    .await;
    twice(
        &s,
        Command::DeadlinePassed {
            id: work.id,
            token: work.token,
        },
    )
    .await;
    let work = asked(&s, 8, Options::default()).await;
    twice(
        &s,
        Command::ReleaseCheckBack {
            id: work.id,
            token: work.token,
        },
    )
    .await;
}

/// What people do, to decided and undecided transactions.
pub async fn operators_commands_twice_are_once(s: Subject) {
    s.subscribe("ledger", "paid").await;
    let new = |n| transaction(n, vec![message("paid"); 2]);
    for n in [1, 2, 3] {
        s.ok(prepare(new(n))).await;
        twice_by_hand(&s, park(n)).await;
    }
    twice_by_hand(&s, retry(1)).await;
    twice_by_hand(&s, operator(2, OperatorAction::Decide(Decision::Confirm))).await;
    twice_by_hand(&s, operator(3, OperatorAction::Decide(Decision::Cancel))).await;
    s.ok(submit(new(4))).await;
    twice_by_hand(&s, retry(4)).await;
    twice_by_hand(&s, park(4)).await;
    twice_by_hand(&s, retry(4)).await;
}

/// A message that had no subscription is given to those of now, once.
pub async fn adoption_twice_is_once(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    s.store
        .delete_subscription(&super::name("default"), &super::name("ledger"))
        .await
        .expect("it runs");
    s.ok(confirm(1)).await;
    s.subscribe("rewards", "paid").await;
    twice_by_hand(&s, retry(1)).await;
    assert_eq!(s.detail(1).await.deliveries.len(), 1);
}
