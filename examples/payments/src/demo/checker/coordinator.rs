//! Decisions against the cashier's database, at the end and on the way.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Evidence, Findings};
use crate::{
    books::{Decision, DeliveryState, Fence},
    promise::Promise,
};

/// Who may decide here: the cashier's own SDK, and the answer to a check-back.
const MAY_DECIDE: [&str; 2] = ["initiator", "check-back"];

/// P5, P6, P11: each transaction was decided, by somebody who knew, as the cashier's database has it.
pub(super) fn decisions(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let paid: BTreeSet<Uuid> = books.cashier.done.values().map(|p| p.transaction).collect();
    for (id, transaction) in &books.coordinator.transactions {
        let payment = &transaction.business_key;
        if !transaction.phase.is_final() {
            let what = format!(
                "transaction {id} of {payment} is still {:?}",
                transaction.phase
            );
            findings.add(Promise::Final, what);
        }
        if transaction.parked {
            let what = format!("transaction {id} of {payment} waits for a person");
            findings.add(Promise::Final, what);
        }
        let Some(decision) = transaction.phase.decision() else {
            continue;
        };
        let by = transaction.decided_by.as_deref().unwrap_or("nobody");
        if !MAY_DECIDE.contains(&by) {
            let what = format!("transaction {id} of {payment} was decided by {by}");
            findings.add(Promise::NoGuess, what);
        }
        let fence = books.cashier.fence.get(id);
        match (decision, fence) {
            (Decision::Confirm, Some(Fence::Committed)) if paid.contains(id) => {}
            (Decision::Confirm, Some(Fence::Committed)) => {
                let what = format!(
                    "transaction {id} was confirmed, but {payment} is not in the cashier's database"
                );
                findings.add(Promise::LocalOutcomeRules, what);
            }
            (Decision::Confirm, None | Some(Fence::RolledBack)) => {
                let what = format!(
                    "transaction {id} of {payment} was confirmed, but the cashier's database did not commit it"
                );
                findings.add(Promise::LocalOutcomeRules, what);
            }
            (Decision::Cancel, Some(Fence::Committed)) => {
                let what = format!(
                    "transaction {id} of {payment} was cancelled, but the cashier's database committed it"
                );
                findings.add(Promise::LocalOutcomeRules, what);
            }
            (Decision::Cancel, None) if by == "check-back" => {
                let what = format!(
                    "transaction {id} of {payment} was cancelled by a check-back, but there is no fence row that \
                     bars a late commit"
                );
                findings.add(Promise::NoGuess, what);
            }
            (Decision::Cancel, None | Some(Fence::RolledBack)) => {}
        }
    }
}

/// P1, P2, P5, K1: what was durable on the way still holds.
pub(super) fn remembered(evidence: &Evidence, findings: &mut Findings) {
    let (books, seen) = (&evidence.books, &evidence.seen);
    for id in &seen.known {
        if !books.coordinator.transactions.contains_key(id) {
            let what = format!("the coordinator knew transaction {id} once, and lost it");
            findings.add(Promise::Durable, what);
        }
    }
    for (id, once) in &seen.decisions {
        let now = books
            .coordinator
            .transactions
            .get(id)
            .map(|t| t.phase.decision());
        if let Some(now) = now
            && now != Some(*once)
        {
            let what = format!(
                "transaction {id} was decided {once:?} once, and is {} now",
                now.map_or("undecided".to_owned(), |now| format!("{now:?}"))
            );
            findings.add(Promise::OneDecision, what);
        }
    }
    for (id, once) in &seen.fence {
        let now = books.cashier.fence.get(id);
        if now != Some(once) {
            let now = now.map_or("nothing".to_owned(), |now| format!("{now:?}"));
            let what =
                format!("the cashier's fence said {once:?} of {id} once, and says {now} now");
            findings.add(Promise::LocalOutcomeRules, what);
        }
    }
    let done: BTreeSet<_> = books
        .coordinator
        .deliveries
        .iter()
        .filter(|d| d.state == DeliveryState::Done)
        .map(|d| (d.transaction, d.consumer))
        .collect();
    for (id, consumer) in seen.done.difference(&done) {
        let what = format!("the delivery of {id} to {consumer} was done once, and is not now");
        findings.add(Promise::Durable, what);
    }
}

/// P2, P5: what the cashier committed was fenced, and the coordinator knows of it.
pub(super) fn made(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    for (id, done) in &books.cashier.done {
        let transaction = done.transaction;
        if books.cashier.fence.get(&transaction) != Some(&Fence::Committed) {
            let what = format!("{id} was committed without its fence row ({transaction})");
            findings.add(Promise::LocalOutcomeRules, what);
        }
        if !books.coordinator.transactions.contains_key(&transaction) {
            let what = format!(
                "{id} was committed after its prepare was acknowledged, and the coordinator does not know \
                 transaction {transaction}"
            );
            findings.add(Promise::Durable, what);
        }
    }
}
