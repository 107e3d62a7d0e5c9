//! Holds the databases against the promises. Pure: it sees only what was read, and trusts nobody's own count.
//!
//! The truth is the cashier's database: a payment was made if and only if it is there. Everything else has to agree with it.

mod consumers;
mod coordinator;
mod money;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    books::Books,
    promise::{Finding, Promise},
    seen::Seen,
};

/// What a customer was told in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The payment was made.
    Made,
    /// It was not, and won't be.
    Refused,
    /// Nothing: the customer hung up.
    Nothing,
}

/// All that a run can be judged by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The databases in the end.
    pub books: Books,
    /// What they said on the way.
    pub seen: Seen,
    /// What the customers were told, by the payment's id.
    pub told: BTreeMap<String, Told>,
}

/// Everything that is not as promised; empty: all promises were kept.
pub(crate) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Findings::default();
    coordinator::decisions(evidence, &mut findings);
    coordinator::remembered(evidence, &mut findings);
    coordinator::payments(evidence, &mut findings);
    consumers::deliveries(evidence, &mut findings);
    consumers::ghosts(evidence, &mut findings);
    consumers::ledger(evidence, &mut findings);
    consumers::rewards(evidence, &mut findings);
    consumers::order(evidence, &mut findings);
    money::accounts(evidence, &mut findings);
    money::answers(evidence, &mut findings);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, promise: Promise, what: String) {
        self.0.push(Finding { promise, what });
    }
}
