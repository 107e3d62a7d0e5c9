//! What was delivered to the consumers, against what was made.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Evidence, Findings};
use crate::{
    books::{Decision, DeliveryState},
    member::Member,
    promise::Promise,
};

/// P4, P11, K1, K3: what is owed was delivered, and nothing else is there.
pub(super) fn deliveries(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut owed = BTreeSet::new();
    for (id, transaction) in &books.coordinator.transactions {
        if transaction.phase.decision() == Some(Decision::Confirm) {
            owed.extend(Member::CONSUMERS.map(|consumer| (*id, consumer)));
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
    for (id, done) in &books.cashier.done {
        for consumer in Member::CONSUMERS {
            if !books.took(consumer, done.transaction) {
                let what = format!(
                    "{id} ({}) was made, and {consumer} never heard of it",
                    done.transaction
                );
                findings.add(Promise::NoLoss, what);
            }
        }
    }
}

/// P3: nobody heard of what was not made.
pub(super) fn ghosts(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let paid: BTreeSet<Uuid> = books.cashier.done.values().map(|p| p.transaction).collect();
    for consumer in Member::CONSUMERS {
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
                let what = format!("{consumer} took the message of {id}, which was rolled back");
                findings.add(Promise::NoGhost, what);
            }
        }
    }
    let documents = books.ledger.lines.iter().map(|line| &line.document);
    for document in documents.collect::<BTreeSet<_>>() {
        if !books.cashier.done.contains_key(document) {
            let what = format!("the ledger has lines of {document}, which was never made");
            findings.add(Promise::NoGhost, what);
        }
    }
}

/// P9: the ledger asked for order, so each payer's payments, and each payer's refunds, are in it in the order of their decisions.
pub(super) fn order(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut written = BTreeMap::new();
    for (at, line) in books.ledger.lines.iter().enumerate() {
        written.entry(line.document.as_str()).or_insert(at);
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
                let what =
                    format!("of {key}: {second} was decided after {first}, and written before it");
                findings.add(Promise::Order, what);
            }
        }
    }
}
