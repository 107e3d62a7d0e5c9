//! The consumers' databases against the payments that were made.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Evidence, Findings};
use crate::{
    books::{Decision, DeliveryState, Line},
    member::Member,
    promise::Promise,
};

/// Who gets a message of every payment.
const CONSUMERS: [Member; 2] = [Member::Ledger, Member::Rewards];

/// P4, P11, K1, K3: what is owed was delivered, and nothing else is there.
pub(super) fn deliveries(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut owed = BTreeSet::new();
    for (id, transaction) in &books.coordinator.transactions {
        if transaction.phase.decision() == Some(Decision::Confirm) {
            owed.extend(CONSUMERS.map(|consumer| (*id, consumer)));
            if transaction.messages != 1 {
                let what = format!(
                    "transaction {id} has {} messages, not one",
                    transaction.messages
                );
                findings.add(Promise::NothingElse, what);
            }
        }
    }
    let mut there = BTreeSet::new();
    for delivery in &books.coordinator.deliveries {
        let (id, consumer) = (delivery.transaction, delivery.consumer);
        if !there.insert((id, consumer)) {
            let what = format!("the message of {id} is owed to {consumer} twice");
            findings.add(Promise::NothingElse, what);
        }
        match delivery.state {
            DeliveryState::Done if books.took(consumer, id) => {}
            DeliveryState::Done => {
                let what = format!("{id} counts as delivered to {consumer}, which never took it");
                findings.add(Promise::DeliveredMeansTaken, what);
            }
            DeliveryState::Pending => {
                let what = format!("the delivery of {id} to {consumer} is still pending");
                findings.add(Promise::Final, what);
            }
            DeliveryState::Parked => {
                let what = format!("the delivery of {id} to {consumer} waits for a person");
                findings.add(Promise::Final, what);
            }
        }
    }
    for (id, consumer) in owed.difference(&there) {
        let what = format!("the message of {id} was confirmed, and is not even owed to {consumer}");
        findings.add(Promise::NothingElse, what);
    }
    for (id, consumer) in there.difference(&owed) {
        let what =
            format!("the message of {id} is owed to {consumer}, though it was not confirmed");
        findings.add(Promise::NoGhost, what);
    }
    for (id, payment) in &books.cashier.payments {
        for consumer in CONSUMERS {
            if !books.took(consumer, payment.transaction) {
                let what = format!("payment {id} was made, and {consumer} never heard of it");
                findings.add(Promise::NoLoss, what);
            }
        }
    }
}

/// P3: nobody heard of a payment that was not made.
pub(super) fn ghosts(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let paid: BTreeSet<Uuid> = books
        .cashier
        .payments
        .values()
        .map(|p| p.transaction)
        .collect();
    for consumer in CONSUMERS {
        for id in books.inbox(consumer) {
            let decision = books
                .coordinator
                .transactions
                .get(id)
                .and_then(|t| t.phase.decision());
            if decision != Some(Decision::Confirm) {
                let what = format!("{consumer} took the message of {id}, which is not confirmed");
                findings.add(Promise::NoGhost, what);
            } else if !paid.contains(id) {
                let what =
                    format!("{consumer} took the message of {id}, a payment that was rolled back");
                findings.add(Promise::NoGhost, what);
            }
        }
    }
    let in_ledger = books
        .ledger
        .lines
        .iter()
        .map(|l| (&l.payment, "the ledger"));
    let in_rewards = books
        .rewards
        .cashbacks
        .iter()
        .map(|c| (&c.payment, "the rewards"));
    for (payment, place) in in_ledger.chain(in_rewards).collect::<BTreeSet<_>>() {
        if !books.cashier.payments.contains_key(payment) {
            let what = format!("{place} has payment {payment}, which was never made");
            findings.add(Promise::NoGhost, what);
        }
    }
}

/// P4, P8: one pair of lines for each payment, and all of them add up to nothing.
pub(super) fn ledger(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut lines: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in &books.ledger.lines {
        lines.entry(&line.payment).or_default().push(line);
    }
    for (id, payment) in &books.cashier.payments {
        let expected = [
            (payment.payer.as_str(), -payment.cents),
            (payment.payee.as_str(), payment.cents),
        ];
        let found: Vec<(&str, i64)> = lines
            .get(id.as_str())
            .into_iter()
            .flatten()
            .map(|l| (l.account.as_str(), l.cents))
            .collect();
        match found.len() {
            0 => findings.add(
                Promise::NoLoss,
                format!("payment {id} was made, and the ledger has no lines of it"),
            ),
            2 if found == expected => {}
            2 => findings.add(
                Promise::ExactlyOnce,
                format!("the ledger's lines of payment {id} are {found:?}, not {expected:?}"),
            ),
            n => findings.add(
                Promise::ExactlyOnce,
                format!("the ledger has {n} lines of payment {id}, not one pair"),
            ),
        }
    }
    let sum: i64 = books.ledger.lines.iter().map(|l| l.cents).sum();
    if sum != 0 {
        let what = format!("the ledger's lines add up to {sum} cents, not to 0");
        findings.add(Promise::Money, what);
    }
}

/// P8: cashback at most once for each payment, of one percent, and never more than there was.
pub(super) fn rewards(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let rewards = &books.rewards;
    let spent: i64 = rewards.cashbacks.iter().map(|c| c.cents).sum();
    if spent > rewards.budget || rewards.remaining < 0 {
        let what = format!(
            "{spent} cents of cashback were given out of a budget of {}, and {} are left",
            rewards.budget, rewards.remaining
        );
        findings.add(Promise::ExactlyOnce, what);
    } else if spent + rewards.remaining != rewards.budget {
        let what = format!(
            "{spent} cents of cashback and {} left do not make the budget of {}",
            rewards.remaining, rewards.budget
        );
        findings.add(Promise::ExactlyOnce, what);
    }
    let mut given: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for cashback in &rewards.cashbacks {
        given
            .entry(&cashback.payment)
            .or_default()
            .push(cashback.cents);
    }
    for (id, payment) in &books.cashier.payments {
        let cashback = payment.cents / 100;
        match given.get(id.as_str()).map(Vec::as_slice) {
            // The budget only shrinks, so what it covers now it covered then.
            None if books.took(Member::Rewards, payment.transaction)
                && rewards.remaining >= cashback =>
            {
                let what = format!("payment {id} got no cashback, though the budget covers it");
                findings.add(Promise::ExactlyOnce, what);
            }
            None => {}
            Some([once]) if *once == cashback => {}
            Some(given) => {
                let what = format!("payment {id} got cashback {given:?}, not {cashback} once");
                findings.add(Promise::ExactlyOnce, what);
            }
        }
    }
}

/// P9: the ledger asked for order, so each payer's payments are in it in the order of their decisions.
pub(super) fn order(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut written = BTreeMap::new();
    for (at, line) in books.ledger.lines.iter().enumerate() {
        written.entry(line.payment.as_str()).or_insert(at);
    }
    let mut keys: BTreeMap<&str, BTreeMap<i64, &str>> = BTreeMap::new();
    for delivery in &books.coordinator.deliveries {
        let transaction = books.coordinator.transactions.get(&delivery.transaction);
        if let (Some((key, position)), Some(transaction)) = (&delivery.order, transaction) {
            let payments = keys.entry(key).or_default();
            payments.insert(*position, &transaction.business_key);
        }
    }
    for (key, payments) in keys {
        let there = payments
            .values()
            .filter_map(|payment| written.get(payment).map(|at| (*payment, *at)));
        let there: Vec<(&str, usize)> = there.collect();
        for pair in there.windows(2) {
            if let [(first, at), (second, then)] = pair
                && at >= then
            {
                let what = format!(
                    "of {key}'s payments {second} was decided after {first}, and written before it"
                );
                findings.add(Promise::Order, what);
            }
        }
    }
}
