//! The checker on broken data: each break must be found, and found under its own name.

mod healthy;

use std::collections::BTreeMap;

use payments::{COUPON_FUND, Payment, RECEIVABLE, TASK, TASK_REWARD, load::Told};
use uuid::Uuid;

use super::*;
use crate::{
    books::{
        Account, Branch, BranchId, BranchState, Credit, Decision, Delivery, DeliveryState, Done,
        Entry, Fence, Lease, Line, Part, Phase, Reserved, Sum, Transaction,
    },
    member::Member,
};
use healthy::*;

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
    assert!(forgotten.contains(&Promise::Durable));
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
fn p3_a_message_of_a_payment_that_was_not_made() {
    let in_the_inbox = broken(|e| {
        e.books.ledger.inbox.insert(id(4));
    });
    assert_eq!(in_the_inbox, [Promise::NoGhost]);
    let with_lines = broken(|e| e.books.ledger.lines[0].document = name(4));
    assert!(with_lines.contains(&Promise::NoGhost));
    let with_cashback = broken(|e| enter(e, 4, "cashback", 0));
    assert_eq!(with_cashback, [Promise::NoGhost]);
}

#[test]
fn p4_a_delivery_that_is_missing() {
    let never_taken = broken(|e| {
        e.books.rewards.inbox.remove(&id(2));
    });
    assert_eq!(never_taken, [Promise::NoLoss, Promise::DeliveredMeansTaken]);
    let no_lines = broken(|e| e.books.ledger.lines.retain(|l| l.document != name(2)));
    assert!(no_lines.contains(&Promise::NoLoss));
    let no_reward = broken(|e| {
        e.books.rewards.journal.pop();
    });
    assert_eq!(no_reward, [Promise::NoLoss]);
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
    for (number, told) in [(1, Told::Refused("no".to_owned())), (4, Told::Made)] {
        let wrong = broken(|e| {
            e.told.insert(name(number), told);
        });
        assert_eq!(wrong, [Promise::LocalOutcomeRules]);
    }
    let both = broken(|e| {
        e.books.cashier.refused.insert(name(1), "no".to_owned());
    });
    assert_eq!(both, [Promise::LocalOutcomeRules]);
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
fn p7_a_branch_that_ended_twice() {
    let other = broken(|e| {
        e.seen.ended.insert((id(1), 0), Reserved::Cancelled);
    });
    assert_eq!(other, [Promise::Fence]);
}

#[test]
fn p8_lines_written_twice() {
    let twice = broken(|e| {
        let again: Vec<Line> = e.books.ledger.lines[0..4].to_vec();
        e.books.ledger.lines.extend(again);
    });
    assert!(twice.contains(&Promise::ExactlyOnce));
    let half = broken(|e| {
        e.books.ledger.lines.remove(0);
    });
    assert_eq!(half, [Promise::ExactlyOnce, Promise::Money]);
}

#[test]
fn p8_a_reward_given_twice_or_not_by_the_rules() {
    let twice = broken(|e| enter(e, 1, "cashback", 0));
    assert_eq!(twice, [Promise::ExactlyOnce]);
    let too_much = broken(|e| {
        e.books.rewards.budget += 1;
        e.books.rewards.journal[0].cents += 1;
    });
    assert_eq!(too_much, [Promise::ExactlyOnce]);
    let kept = broken(|e| {
        let journal = &mut e.books.rewards.journal;
        journal.swap(2, 3);
        journal[2].payment = name(1);
        journal[2].cents = -49;
        e.books.rewards.remaining = 49;
    });
    assert!(kept.contains(&Promise::ExactlyOnce));
    let task = broken(|e| enter(e, 1, "task", 0));
    assert_eq!(task, [Promise::ExactlyOnce]);
    let no_task = broken(|e| {
        for number in 10..10 + u128::try_from(TASK).unwrap() - 3 {
            made(e, number, number, None);
            enter(e, number, "cashback", 0);
        }
        e.books.ledger.roll_up = sums(&e.books.ledger.lines);
    });
    assert_eq!(no_task, [Promise::ExactlyOnce]);
}

#[test]
fn a_budget_that_was_overspent_or_vanished() {
    let overspent = broken(|e| {
        e.books.rewards.budget -= 1;
        e.books.rewards.remaining = -1;
    });
    assert!(overspent.contains(&Promise::Money));
    let vanished = broken(|e| e.books.rewards.budget += TASK_REWARD);
    assert!(vanished.contains(&Promise::Money));
}

#[test]
fn p9_lines_out_of_order() {
    let swapped = broken(|e| e.books.ledger.lines.rotate_left(4));
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
    assert_eq!(undecided, [Promise::Final, Promise::Registered]);
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
    let branch = broken(|e| {
        let branch = e.books.coordinator.branches.get_mut(&(id(1), 0)).unwrap();
        branch.state = BranchState::Pending;
    });
    assert_eq!(branch, [Promise::Final]);
}

#[test]
fn k1_delivered_before_it_was_taken() {
    let not_taken = broken(|e| {
        e.books.ledger.inbox.remove(&id(1));
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

fn fence(e: &mut Evidence, member: Member, id: BranchId) -> &mut Reserved {
    e.books
        .branches
        .get_mut(&member)
        .unwrap()
        .get_mut(&id)
        .unwrap()
}

#[test]
fn t4_a_branch_that_nobody_registered_or_that_ended_too_early() {
    let unregistered = broken(|e| {
        let fence = e.books.branches.entry(Member::Coupon).or_default();
        fence.insert((id(1), 9), Reserved::Tried);
    });
    assert_eq!(unregistered, [Promise::Registered]);
    let other_way = broken(|e| {
        e.seen.ended.clear();
        *fence(e, Member::Account, (id(4), 0)) = Reserved::Confirmed;
    });
    assert!(other_way.contains(&Promise::Registered));
}

#[test]
fn t5_a_part_that_was_left_out() {
    let open = broken(|e| {
        e.seen.ended.clear();
        *fence(e, Member::Account, (id(4), 0)) = Reserved::Tried;
        let account = e.books.accounts.get_mut("ada").unwrap();
        (account.free, account.frozen) = (account.free - 10, 10);
    });
    assert_eq!(open, [Promise::AllOrNothing]);
    let missing = broken(|e| {
        e.books.coordinator.branches.remove(&(id(1), 2));
    });
    assert!(missing.contains(&Promise::AllOrNothing));
    let never_heard = broken(|e| {
        e.seen.ended.clear();
        let fence = e.books.branches.get_mut(&Member::Account).unwrap();
        fence.remove(&(id(5), 0));
    });
    assert_eq!(never_heard, [Promise::AllOrNothing]);
}

#[test]
fn money_that_appeared_or_stayed_reserved() {
    let wrong: [fn(&mut Evidence); 6] = [
        |e| e.books.accounts.get_mut("ada").unwrap().free += 1,
        |e| e.books.accounts.get_mut("ada").unwrap().frozen += 1,
        |e| e.books.credit.get_mut("ada").unwrap().used += 1,
        |e| e.books.credit.get_mut("ada").unwrap().reserved += 1,
        |e| e.books.coupons.get_mut("c-1").unwrap().state = "fresh".to_owned(),
        |e| e.books.coupons.get_mut("c-1").unwrap().state = "frozen".to_owned(),
    ];
    for (n, wrong) in wrong.into_iter().enumerate() {
        assert!(broken(wrong).contains(&Promise::Money), "{n}");
    }
    let beyond = broken(|e| e.books.credit.get_mut("ada").unwrap().most = 1);
    assert_eq!(beyond, [Promise::Money]);
    let unasked = broken(|e| {
        e.told.remove(&name(1));
    });
    assert_eq!(unasked, [Promise::Money]);
}

#[test]
fn a_roll_up_that_is_not_of_its_lines() {
    let stale = broken(|e| {
        let sum = e.books.ledger.roll_up.values_mut().next().unwrap();
        sum.cents += 1;
    });
    assert_eq!(stale, [Promise::Money]);
    let missing = broken(|e| {
        e.books.ledger.roll_up.pop_first();
    });
    assert_eq!(missing, [Promise::Money]);
}
