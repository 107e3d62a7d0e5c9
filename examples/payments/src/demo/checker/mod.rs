//! Holds the databases against the promises. Pure: it sees only what was read, and trusts nobody's own count.
//!
//! The truth is the cashier's database: a payment or refund was made if and only if it is there. Everything else has to agree with it.

mod branches;
mod consumers;
mod coordinator;
mod ledger;
mod money;
mod reservations;
mod rewards;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use payments::load::Told;

use crate::{
    books::Books,
    promise::{Finding, Promise},
    seen::Seen,
};

/// All that a run can be judged by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The databases in the end.
    pub books: Books,
    /// What they said on the way.
    pub seen: Seen,
    /// What the customers were told, by the id of the payment or refund.
    pub told: BTreeMap<String, Told>,
}

/// Everything that is not as promised; empty: all promises were kept.
pub(crate) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Findings(at_any_moment(&evidence.books));
    coordinator::decisions(evidence, &mut findings);
    coordinator::remembered(evidence, &mut findings);
    coordinator::made(evidence, &mut findings);
    branches::all_or_nothing(evidence, &mut findings);
    branches::parts(evidence, &mut findings);
    branches::remembered(evidence, &mut findings);
    consumers::deliveries(evidence, &mut findings);
    consumers::ghosts(evidence, &mut findings);
    consumers::order(evidence, &mut findings);
    ledger::lines(evidence, &mut findings);
    ledger::accounts(evidence, &mut findings);
    ledger::roll_up(evidence, &mut findings);
    rewards::budget(evidence, &mut findings);
    rewards::journal(evidence, &mut findings);
    money::conserved(evidence, &mut findings);
    money::answers(evidence, &mut findings);
    findings.0
}

/// What must hold whenever everything stands still, in the midst of payments, too.
pub(crate) fn at_any_moment(books: &Books) -> Vec<Finding> {
    let mut findings = Findings::default();
    branches::fences(books, &mut findings);
    reservations::accounts(books, &mut findings);
    reservations::credit(books, &mut findings);
    reservations::coupons(books, &mut findings);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, promise: Promise, what: String) {
        self.0.push(Finding { promise, what });
    }
}
