//! The checker on broken data: each break must be found, and found under its own name.

use super::*;
use crate::{
    books::{
        Account, Cashback, Decision, Delivery, DeliveryState, Fence, Lease, Line, Paid, Phase,
        Transaction,
    },
    member::Member,
};
use uuid::Uuid;

const BUDGET: i64 = 100;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Three payments made (the last one without cashback: the budget is spent), one rolled back after prepare, one by check-back.
fn healthy() -> Evidence {
    let mut e = Evidence::default();
    for name in ["ada", "tram"] {
        let account = Account {
            opened_with: 100_000,
            balance: 100_000,
        };
        e.books.cashier.accounts.insert(name.to_owned(), account);
    }
    for number in 1..=3 {
        made(&mut e, number, 5_000);
    }
    for (number, by) in [(4, "initiator"), (5, "check-back")] {
        let transaction = transaction(number, Phase::Cancelled, by);
        e.books
            .coordinator
            .transactions
            .insert(id(number), transaction);
        e.told.insert(name(number), Told::Refused);
    }
    e.books.cashier.fence.insert(id(5), Fence::RolledBack);
    e.books.rewards.budget = BUDGET;
    e.books.rewards.remaining = 0;
    e.books.rewards.cashbacks.pop();
    e.seen.add(&e.books);
    e
}

fn name(number: u128) -> String {
    format!("p-{number}")
}

fn transaction(number: u128, phase: Phase, by: &str) -> Transaction {
    Transaction {
        phase,
        business_key: name(number),
        decided_by: Some(by.to_owned()),
        parked: false,
        messages: 1,
        lease: Lease::default(),
    }
}

fn made(e: &mut Evidence, number: u128, cents: i64) {
    let books = &mut e.books;
    let (payer, payee) = ("ada".to_owned(), "tram".to_owned());
    for (account, cents) in [(&payer, -cents), (&payee, cents)] {
        books.cashier.accounts.get_mut(account).unwrap().balance += cents;
        books.ledger.lines.push(Line {
            payment: name(number),
            account: account.clone(),
            cents,
        });
    }
    let paid = Paid {
        payer: payer.clone(),
        payee,
        cents,
        transaction: id(number),
    };
    books.cashier.payments.insert(name(number), paid);
    books.cashier.fence.insert(id(number), Fence::Committed);
    books.coordinator.transactions.insert(
        id(number),
        transaction(number, Phase::Confirmed, "initiator"),
    );
    for consumer in [Member::Ledger, Member::Rewards] {
        let position = i64::try_from(number).unwrap();
        books.coordinator.deliveries.push(Delivery {
            transaction: id(number),
            consumer,
            state: DeliveryState::Done,
            order: (consumer == Member::Ledger).then(|| (payer.clone(), position)),
            lease: Lease::default(),
        });
    }
    books.ledger.inbox.insert(id(number));
    books.rewards.inbox.insert(id(number));
    books.rewards.cashbacks.push(Cashback {
        payment: name(number),
        cents: cents / 100,
    });
    e.told.insert(name(number), Told::Made);
}

/// The promises that `break_it` breaks.
fn broken(break_it: impl FnOnce(&mut Evidence)) -> Vec<Promise> {
    let mut evidence = healthy();
    break_it(&mut evidence);
    let mut promises: Vec<Promise> = check(&evidence).into_iter().map(|f| f.promise).collect();
    promises.sort_unstable();
    promises.dedup();
    promises
}

fn delivery(e: &mut Evidence, number: u128, consumer: Member) -> &mut Delivery {
    e.books
        .coordinator
        .deliveries
        .iter_mut()
        .find(|d| d.transaction == id(number) && d.consumer == consumer)
        .unwrap()
}

#[test]
fn a_healthy_run_breaks_nothing() {
    assert_eq!(check(&healthy()), []);
}

#[test]
fn p1_a_decision_that_changed() {
    let changed = broken(|e| {
        e.seen.decisions.insert(id(4), Decision::Confirm);
    });
    assert_eq!(changed, [Promise::OneDecision]);
}

#[test]
fn p2_a_transaction_that_was_forgotten() {
    let forgotten = broken(|e| {
        e.books.coordinator.transactions.remove(&id(4));
    });
    assert_eq!(forgotten, [Promise::Durable]);
    let payment_forgotten = broken(|e| {
        e.seen.known.remove(&id(1));
        e.books.coordinator.transactions.remove(&id(1));
    });
    assert!(payment_forgotten.contains(&Promise::Durable));
}

#[test]
fn p2_a_delivery_that_was_done_and_is_not() {
    let undone = broken(|e| delivery(e, 1, Member::Ledger).state = DeliveryState::Parked);
    assert_eq!(undone, [Promise::Durable, Promise::Final]);
}

#[test]
fn p3_a_message_of_a_payment_that_was_rolled_back() {
    let in_the_inbox = broken(|e| {
        e.books.ledger.inbox.insert(id(4));
    });
    assert_eq!(in_the_inbox, [Promise::NoGhost]);
    let with_lines = broken(|e| {
        for (account, cents) in [("ada", -700), ("tram", 700)] {
            e.books.ledger.lines.push(Line {
                payment: name(4),
                account: account.to_owned(),
                cents,
            });
        }
    });
    assert_eq!(with_lines, [Promise::NoGhost]);
    let with_cashback = broken(|e| {
        e.books.rewards.budget += 7;
        e.books.rewards.cashbacks.push(Cashback {
            payment: name(4),
            cents: 7,
        });
    });
    assert_eq!(with_cashback, [Promise::NoGhost]);
    let owed = broken(|e| {
        e.books.coordinator.deliveries.push(Delivery {
            transaction: id(4),
            consumer: Member::Rewards,
            state: DeliveryState::Done,
            order: None,
            lease: Lease::default(),
        });
        e.books.rewards.inbox.insert(id(4));
    });
    assert_eq!(owed, [Promise::NoGhost]);
}

#[test]
fn p4_a_delivery_that_is_missing() {
    let never_taken = broken(|e| {
        e.books.rewards.inbox.remove(&id(2));
        e.books.rewards.cashbacks.remove(1);
        e.books.rewards.remaining += 50;
    });
    assert_eq!(
        never_taken,
        [
            Promise::NoLoss,
            Promise::ExactlyOnce,
            Promise::DeliveredMeansTaken
        ],
        "the third payment could have had the cashback, too"
    );
    let no_lines = broken(|e| e.books.ledger.lines.retain(|l| l.payment != name(2)));
    assert_eq!(no_lines, [Promise::NoLoss]);
}

#[test]
fn p5_a_decision_against_the_database() {
    let cancelled_though_committed = broken(|e| {
        e.books
            .coordinator
            .transactions
            .get_mut(&id(1))
            .unwrap()
            .phase = Phase::Cancelled;
    });
    assert!(cancelled_though_committed.contains(&Promise::LocalOutcomeRules));
    assert!(cancelled_though_committed.contains(&Promise::OneDecision));
    for fence in [None, Some(Fence::RolledBack)] {
        let confirmed_though_not_committed = broken(|e| {
            e.books.cashier.fence.remove(&id(1));
            e.seen.fence.remove(&id(1));
            if let Some(fence) = fence {
                e.books.cashier.fence.insert(id(1), fence);
            }
        });
        assert_eq!(confirmed_though_not_committed, [Promise::LocalOutcomeRules]);
    }
    let fence_changed = broken(|e| {
        e.seen.fence.insert(id(1), Fence::RolledBack);
    });
    assert_eq!(fence_changed, [Promise::LocalOutcomeRules]);
}

#[test]
fn p5_a_customer_who_was_told_something_else() {
    for (number, told) in [(1, Told::Refused), (4, Told::Made)] {
        let wrong = broken(|e| {
            e.told.insert(name(number), told);
        });
        assert_eq!(wrong, [Promise::LocalOutcomeRules]);
    }
    let hung_up = broken(|e| {
        e.told.insert(name(1), Told::Nothing);
    });
    assert_eq!(hung_up, []);
}

#[test]
fn p6_a_guess() {
    let by_deadline = broken(|e| {
        let transaction = e.books.coordinator.transactions.get_mut(&id(4)).unwrap();
        transaction.decided_by = Some("deadline".to_owned());
    });
    assert_eq!(by_deadline, [Promise::NoGuess]);
    let without_a_fence = broken(|e| {
        e.books.cashier.fence.remove(&id(5));
        e.seen.fence.remove(&id(5));
    });
    assert_eq!(without_a_fence, [Promise::NoGuess]);
}

#[test]
fn p8_lines_written_twice() {
    let twice = broken(|e| {
        let again: Vec<Line> = e.books.ledger.lines[0..2].to_vec();
        e.books.ledger.lines.extend(again);
    });
    assert_eq!(twice, [Promise::ExactlyOnce]);
    let half = broken(|e| {
        e.books.ledger.lines.remove(0);
    });
    assert_eq!(half, [Promise::ExactlyOnce, Promise::Money]);
    let wrong = broken(|e| {
        e.books.ledger.lines[0].cents -= 1;
        e.books.ledger.lines[1].cents += 1;
    });
    assert_eq!(wrong, [Promise::ExactlyOnce]);
}

#[test]
fn p8_cashback_given_twice_or_not_at_all_or_overspent() {
    let twice = broken(|e| {
        let again = e.books.rewards.cashbacks[0].clone();
        e.books.rewards.cashbacks.push(again);
    });
    assert_eq!(twice, [Promise::ExactlyOnce]);
    let overspent = broken(|e| {
        e.books.rewards.cashbacks.push(Cashback {
            payment: name(3),
            cents: 50,
        });
        e.books.rewards.remaining = -50;
    });
    assert_eq!(overspent, [Promise::ExactlyOnce]);
    let lost = broken(|e| {
        e.books.rewards.cashbacks.clear();
        e.books.rewards.remaining = BUDGET;
    });
    assert_eq!(lost, [Promise::ExactlyOnce]);
    let vanished = broken(|e| e.books.rewards.budget += 1);
    assert_eq!(vanished, [Promise::ExactlyOnce]);
}

#[test]
fn p9_lines_out_of_order() {
    let swapped = broken(|e| e.books.ledger.lines.rotate_left(2));
    assert_eq!(swapped, [Promise::Order]);
}

#[test]
fn p11_something_unfinished() {
    let undecided = broken(|e| {
        e.seen.decisions.remove(&id(4));
        e.books
            .coordinator
            .transactions
            .get_mut(&id(4))
            .unwrap()
            .phase = Phase::Prepared;
    });
    assert_eq!(undecided, [Promise::Final]);
    let parked = broken(|e| {
        let transaction = e.books.coordinator.transactions.get_mut(&id(4)).unwrap();
        transaction.parked = true;
    });
    assert_eq!(parked, [Promise::Final]);
    let pending = broken(|e| {
        e.seen.done.clear();
        delivery(e, 3, Member::Ledger).state = DeliveryState::Pending;
    });
    assert_eq!(pending, [Promise::Final]);
}

#[test]
fn k1_delivered_before_it_was_taken() {
    let not_taken = broken(|e| {
        e.books.ledger.inbox.remove(&id(1));
        e.books.ledger.lines.retain(|l| l.payment != name(1));
    });
    assert_eq!(not_taken, [Promise::NoLoss, Promise::DeliveredMeansTaken]);
}

#[test]
fn k3_a_delivery_too_few_or_too_many() {
    let too_few = broken(|e| {
        e.seen.done.clear();
        e.books.coordinator.deliveries.pop();
    });
    assert_eq!(too_few, [Promise::NothingElse]);
    let too_many = broken(|e| {
        let again = e.books.coordinator.deliveries[0].clone();
        e.books.coordinator.deliveries.push(again);
    });
    assert_eq!(too_many, [Promise::NothingElse]);
}

#[test]
fn money_that_appeared() {
    let appeared = broken(|e| e.books.cashier.accounts.get_mut("ada").unwrap().balance += 1);
    assert_eq!(appeared, [Promise::Money]);
    let unasked = broken(|e| {
        e.told.remove(&name(1));
    });
    assert_eq!(unasked, [Promise::Money]);
}
