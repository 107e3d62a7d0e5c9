//! Branches: what the coordinator decided, against what the participants' fences say.

use std::collections::BTreeMap;

use payments::Payment;

use super::{Evidence, Findings};
use crate::{
    books::{Books, BranchState, Decision, Part, Reserved},
    member::Member,
    promise::Promise,
};

/// T3, T4, at any moment: nothing is reserved that was not registered, and nothing ends before that was decided, or otherwise.
pub(super) fn fences(books: &Books, findings: &mut Findings) {
    for (member, fence) in &books.branches {
        for ((transaction, ordinal), reserved) in fence {
            let name = format!("branch {ordinal} of {transaction} at {member}");
            let id = (*transaction, *ordinal);
            let branch = books.coordinator.branches.get(&id);
            if branch.map(|branch| branch.participant) != Some(*member) {
                let what = format!("{name} is {reserved:?} there, and was never registered");
                findings.add(Promise::Registered, what);
            }
            let transaction = books.coordinator.transactions.get(transaction);
            let decision = transaction.and_then(|t| t.phase.decision());
            let may_be = match reserved {
                Reserved::Tried => true,
                Reserved::Confirmed => decision == Some(Decision::Confirm),
                Reserved::Cancelled => decision == Some(Decision::Cancel),
            };
            if !may_be {
                let what = format!("{name} is {reserved:?}, and what was decided is {decision:?}");
                findings.add(Promise::Registered, what);
            }
        }
    }
}

/// T5, P4, P11, in the end: every branch of a transaction took its decision, and nothing is reserved any more.
pub(super) fn all_or_nothing(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    for (id, branch) in &books.coordinator.branches {
        let (transaction, ordinal) = id;
        let name = format!(
            "branch {ordinal} of {transaction} ({} at {})",
            branch.part.action, branch.participant
        );
        if branch.state != BranchState::Done {
            findings.add(
                Promise::Final,
                format!("{name} is still {:?}", branch.state),
            );
        }
        let of = books.coordinator.transactions.get(transaction);
        let owed = match of.and_then(|t| t.phase.decision()) {
            Some(Decision::Confirm) => Reserved::Confirmed,
            Some(Decision::Cancel) => Reserved::Cancelled,
            None => continue,
        };
        match books.of_branch(*id, branch) {
            Some(reserved) if reserved == owed => {}
            found => {
                let what = format!("{name} should be {owed:?}, and its participant has {found:?}");
                findings.add(Promise::AllOrNothing, what);
            }
        }
    }
}

/// T5: what was made consists of its parts, each once and no other.
pub(super) fn parts(evidence: &Evidence, findings: &mut Findings) {
    let coordinator = &evidence.books.coordinator;
    let mut found: BTreeMap<_, Vec<(Member, Part)>> = BTreeMap::new();
    for ((transaction, _), branch) in &coordinator.branches {
        let parts = found.entry(*transaction).or_default();
        parts.push((branch.participant, branch.part.clone()));
    }
    for (id, done) in &evidence.books.cashier.done {
        let mut expected = expected(&done.payment, done.refunds.is_some());
        let mut found = found.remove(&done.transaction).unwrap_or_default();
        expected.sort_unstable();
        found.sort_unstable();
        if found != expected {
            let what = format!(
                "{id} ({}) consists of {found:?}, not of {expected:?}",
                done.transaction
            );
            findings.add(Promise::AllOrNothing, what);
        }
    }
}

fn expected(payment: &Payment, back: bool) -> Vec<(Member, Part)> {
    let code = payment.coupon.as_ref().map_or("", |coupon| &coupon.code);
    let (payer, payee) = (payment.payer.as_str(), payment.payee.as_str());
    let balance = payment.balance_cents();
    let (coupon, later) = (payment.coupon_cents(), payment.credit_cents);
    let parts = if back {
        [
            (Member::Account, "debit", payee, payment.cents),
            (Member::Account, "credit", payer, balance),
            (Member::Credit, "repay", payer, later),
            (Member::Coupon, "restore", code, coupon),
        ]
    } else {
        [
            (Member::Account, "credit", payee, payment.cents),
            (Member::Account, "debit", payer, balance),
            (Member::Credit, "reserve", payer, later),
            (Member::Coupon, "redeem", code, coupon),
        ]
    };
    let there = parts.into_iter().filter(|(.., cents)| *cents > 0);
    let part = |(member, action, of, cents): (_, &str, &str, _)| {
        let (action, of) = (action.to_owned(), of.to_owned());
        (member, Part { action, of, cents })
    };
    there.map(part).collect()
}

/// T1: what ended on the way ended for good.
pub(super) fn remembered(evidence: &Evidence, findings: &mut Findings) {
    let now: BTreeMap<_, _> = evidence.books.reserved().collect();
    for (id, once) in &evidence.seen.ended {
        if now.get(id) != Some(once) {
            let what = format!(
                "branch {} of {} was {once:?} once, and is {:?} now",
                id.1,
                id.0,
                now.get(id)
            );
            findings.add(Promise::Fence, what);
        }
    }
}
