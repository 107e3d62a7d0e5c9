//! What people do, and the audit of it.

use std::time::Duration;

use earnest_protocol::{
    CheckBackAnswer, Decider, Decision, DeliveryState, InitiatorOutcome, Name, Options, Phase,
};

use super::{
    Subject, answered, confirm, done, failed, id, later, message, name, operator, park, prepare,
    retry, submit, transaction,
};
use crate::{Command, NewTransaction, OperatorAction, Rejection, Reply};

fn decide(n: u8, decision: Decision) -> Command {
    operator(n, OperatorAction::Decide(decision))
}

async fn made_due(s: &Subject, n: u8) -> u32 {
    match s.ok(retry(n)).await {
        Reply::Transaction { made_due, .. } => made_due,
        other => panic!("{other:?}"),
    }
}

async fn unsubscribe(s: &Subject, called: &str) {
    let namespace = Name::default_namespace();
    assert!(
        s.store
            .delete_subscription(&namespace, &name(called))
            .await
            .expect("the store runs")
    );
}

/// Transaction 1 is confirmed after its topic's only subscription went.
async fn orphaned(s: &Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    unsubscribe(s, "ledger").await;
    let row = s.ok_row(confirm(1)).await;
    assert_eq!(
        (
            row.state.phase,
            row.state.open_effects,
            row.state.parked_effects
        ),
        (Phase::Confirming, 0, 1)
    );
}

/// Who did what to what, when and why; the newest first.
pub async fn every_action_leaves_an_audit_line(s: Subject) {
    for n in [1, 2] {
        s.ok(prepare(transaction(n, vec![]))).await;
    }
    for command in [
        park(1),
        retry(1),
        park(1),
        decide(1, Decision::Confirm),
        park(2),
        decide(2, Decision::Cancel),
    ] {
        s.advance(Duration::from_secs(1));
        s.ok(command).await;
    }
    let audit = s.store.audit(100).await.expect("the query runs");
    let lines: Vec<_> = audit
        .iter()
        .map(|line| (line.action.as_str(), line.transaction))
        .collect();
    let (one, two) = (Some(id(1)), Some(id(2)));
    let expected = [
        ("decide cancel", two),
        ("park", two),
        ("decide confirm", one),
        ("park", one),
        ("retry", one),
        ("park", one),
    ];
    assert_eq!(lines, expected);
    assert!(
        audit
            .iter()
            .all(|line| line.actor == "ada" && line.detail == "ticket 7")
    );
    assert_eq!(audit[0].at, s.store.now().await.expect("it runs"));
    assert_eq!(s.store.audit(2).await.expect("the query runs"), audit[..2]);
}

/// What was refused was not done.
pub async fn refused_action_leaves_no_audit_line(s: Subject) {
    s.ok(submit(transaction(1, vec![]))).await;
    s.ok(prepare(transaction(2, vec![]))).await;
    let before = s.dump().await;
    assert!(matches!(
        s.run(park(1)).await,
        Err(Rejection::NothingToPark(_))
    ));
    assert!(matches!(
        s.run(decide(1, Decision::Cancel)).await,
        Err(Rejection::AlreadyDecided(_))
    ));
    assert!(matches!(
        s.run(decide(2, Decision::Cancel)).await,
        Err(Rejection::NotParked(_))
    ));
    for command in [retry(9), park(9), decide(9, Decision::Cancel)] {
        assert_eq!(s.run(command).await, Err(Rejection::NotFound { id: id(9) }));
    }
    assert_eq!(s.dump().await, before);
    assert!(before.audit.is_empty());
}

/// P6: a person decides what waits for one, and nothing else.
pub async fn p6_operator_decides_only_what_is_parked(s: Subject) {
    s.subscribe("ledger", "paid").await;
    for (n, decision) in [(1, Decision::Confirm), (2, Decision::Cancel)] {
        s.ok(prepare(transaction(n, vec![message("paid")]))).await;
        let refused = s.run(decide(n, decision)).await;
        assert!(
            matches!(&refused, Err(Rejection::NotParked(row)) if row.id == id(n)),
            "{refused:?}"
        );
        s.ok(park(n)).await;
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
            row.decided.map(|(_, by)| by),
            Some(Decider::Operator("ada".into()))
        );
        assert_eq!(row.state.parked, None);
    }
    assert_eq!(
        (
            s.detail(1).await.deliveries.len(),
            s.detail(2).await.deliveries.len()
        ),
        (1, 0)
    );
    s.dump().await.check();
}

/// P1: nor does a person flip a decision; the same again is no error.
pub async fn p1_operator_flips_no_decision(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    let stands = s.row(1).await;
    let refused = s.run(decide(1, Decision::Cancel)).await;
    assert_eq!(
        refused,
        Err(Rejection::AlreadyDecided(Box::new(stands.clone())))
    );
    let reply = s.ok(decide(1, Decision::Confirm)).await;
    assert_eq!(
        reply,
        Reply::Transaction {
            row: Box::new(stands.clone()),
            created: false,
            decided: false,
            made_due: 0
        }
    );
    assert_eq!(s.row(1).await, stands);
}

/// Set aside: nobody is asked until a person takes it up again, and then at once and with a fresh budget.
pub async fn park_and_retry_of_an_undecided_transaction(s: Subject) {
    let options = Options {
        check_back_budget: 2,
        ..Options::default()
    };
    s.ok(prepare(NewTransaction {
        options,
        ..transaction(1, vec![])
    }))
    .await;
    let row = s.ok_row(park(1)).await;
    assert_eq!(
        (row.state.phase, row.check_due, row.holder),
        (Phase::Prepared, None, None)
    );
    assert_eq!(
        row.state.parked.as_ref().map(|why| why.as_str().to_owned()),
        Some("look at it first".into())
    );
    s.advance(Duration::from_hours(1));
    let node = s.node().await;
    assert!(s.claim(node).await.work.is_empty());
    assert_eq!(made_due(&s, 1).await, 1);
    let work = s.one_check_back(node).await;
    let row = s.ok_row(answered(&work, CheckBackAnswer::InProgress)).await;
    assert_eq!((row.state.parked, row.state.in_progress_answers), (None, 1));
    s.dump().await.check();
}

/// Nobody can be asked: *try again* leaves the deadline alone, and what was parked gets the time it had at first.
pub async fn p6_retry_never_cancels_where_nobody_can_be_asked(s: Subject) {
    let options = Options {
        outcome: InitiatorOutcome::None,
        ..Options::default()
    };
    s.ok(prepare(NewTransaction {
        options,
        ..transaction(1, vec![])
    }))
    .await;
    let before = s.row(1).await;
    s.advance(Duration::from_secs(9));
    assert_eq!(made_due(&s, 1).await, 0);
    assert_eq!(s.row(1).await.check_due, before.check_due);
    s.ok(park(1)).await;
    s.advance(Duration::from_hours(1));
    assert_eq!(made_due(&s, 1).await, 0);
    let node = s.node().await;
    s.advance(Duration::from_micros(9_999_999));
    assert!(s.claim(node).await.work.is_empty());
    let row = s.row(1).await;
    assert_eq!((row.state.phase, row.state.parked), (Phase::Prepared, None));
    s.advance(Duration::from_micros(1));
    assert_eq!(s.one_check_back(node).await.id, id(1));
    s.dump().await.check();
}

/// A check-back under way is given up with the park: its answer finds the lease gone.
pub async fn p10_park_takes_the_lease_of_a_check_back(s: Subject) {
    s.ok(prepare(transaction(1, vec![]))).await;
    s.advance(Duration::from_secs(10));
    let node = s.node().await;
    let work = s.one_check_back(node).await;
    s.ok(park(1)).await;
    s.ok(retry(1)).await;
    let before = s.dump().await;
    assert_eq!(
        s.ok(answered(&work, CheckBackAnswer::Committed)).await,
        Reply::LostLease
    );
    assert_eq!(s.dump().await, before);
}

/// P4: what is owed is set aside and stays owed; attempts under way find their leases gone.
pub async fn p4_park_sets_aside_all_that_is_owed(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid"); 3]))).await;
    let node = s.node().await;
    let work = s.deliveries(node).await;
    s.ok(done(&work[0])).await;
    let row = s.ok_row(park(1)).await;
    assert_eq!(
        (
            row.state.phase,
            row.state.open_effects,
            row.state.parked_effects
        ),
        (Phase::Confirming, 0, 2)
    );
    let before = s.dump().await;
    before.check();
    for command in [
        done(&work[1]),
        failed(&work[2]),
        later(&work[2], Duration::ZERO),
    ] {
        assert_eq!(s.ok(command).await, Reply::LostLease);
    }
    assert_eq!(s.dump().await, before);
    assert_eq!(s.claim(node).await.next_due, None);
    assert_eq!(made_due(&s, 1).await, 2);
    for work in s.deliveries(node).await {
        s.ok(done(&work)).await;
    }
    assert_eq!(s.row(1).await.state.phase, Phase::Confirmed);
    assert!(matches!(
        s.run(park(1)).await,
        Err(Rejection::NothingToPark(_))
    ));
}

/// Nothing is waited for that could run now; what runs already is left alone.
pub async fn retry_makes_due_what_waits(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid"); 3]))).await;
    let node = s.node().await;
    let work = s.deliveries(node).await;
    s.ok(later(&work[0], Duration::from_hours(1))).await;
    s.ok(failed(&work[1])).await;
    assert_eq!(made_due(&s, 1).await, 2);
    let again = s.deliveries(node).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|work| work.attempt == 2));
    assert_eq!(made_due(&s, 1).await, 0, "all are under way");
    for work in again.iter().chain([&work[2]]) {
        s.ok(done(work)).await;
    }
    assert_eq!(s.row(1).await.state.phase, Phase::Confirmed);
    assert_eq!(made_due(&s, 1).await, 0, "nor is what is done tried again");
    assert!(s.claim(node).await.work.is_empty());
    s.dump().await.check();
}

/// P4: a message that had nowhere to go is given to whoever takes its topic by now.
pub async fn p4_retry_adopts_a_message_that_had_no_subscription(s: Subject) {
    orphaned(&s).await;
    assert_eq!(made_due(&s, 1).await, 0, "there is still none");
    let only = s.delivery(1).await;
    assert_eq!(
        (only.state, &only.key.subscription),
        (DeliveryState::Parked, &None)
    );
    s.subscribe("rewards", "paid").await;
    s.subscribe("stock", "paid").await;
    s.subscribe("other", "shipped").await;
    let decided = s.row(1).await.decided.map(|(at, _)| at);
    s.advance(Duration::from_mins(1));
    assert_eq!(made_due(&s, 1).await, 2);
    let names: Vec<_> = s
        .detail(1)
        .await
        .deliveries
        .into_iter()
        .map(|row| row.key.subscription)
        .collect();
    assert_eq!(names, [Some(name("rewards")), Some(name("stock"))]);
    s.dump().await.check();
    let node = s.node().await;
    for work in s.deliveries(node).await {
        assert_eq!(work.message, message("paid"));
        assert_eq!(Some(work.decided_at), decided, "not when it was adopted");
        s.ok(done(&work)).await;
    }
    assert_eq!(s.row(1).await.state.phase, Phase::Confirmed);
}

/// A subscription that was deleted and comes back takes up what it owed.
pub async fn retry_waits_for_a_deleted_subscription(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    unsubscribe(&s, "ledger").await;
    assert_eq!(made_due(&s, 1).await, 0);
    assert_eq!(s.delivery(1).await.state, DeliveryState::Parked);
    s.subscribe("ledger", "paid").await;
    assert_eq!(made_due(&s, 1).await, 1);
    let node = s.node().await;
    let work = s.one_delivery(node).await;
    assert_eq!(s.ok_row(done(&work)).await.state.phase, Phase::Confirmed);
    s.dump().await.check();
}
