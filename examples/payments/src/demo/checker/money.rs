//! The cashier's own books, and what it told its customers.

use std::collections::BTreeMap;

use super::{Evidence, Findings, Told};
use crate::promise::Promise;

/// Each account holds what it was opened with, less what it paid, and what it was paid.
pub(super) fn accounts(evidence: &Evidence, findings: &mut Findings) {
    let cashier = &evidence.books.cashier;
    let mut moved: BTreeMap<&str, i64> = BTreeMap::new();
    for payment in cashier.payments.values() {
        *moved.entry(&payment.payer).or_default() -= payment.cents;
        *moved.entry(&payment.payee).or_default() += payment.cents;
    }
    for (name, account) in &cashier.accounts {
        let expected = account.opened_with + moved.get(name.as_str()).copied().unwrap_or(0);
        if account.balance != expected {
            let what = format!(
                "account {name} holds {} cents, and its payments make it {expected}",
                account.balance
            );
            findings.add(Promise::Money, what);
        }
    }
    for name in moved.keys() {
        if !cashier.accounts.contains_key(*name) {
            let what = format!("there are payments of {name}, who has no account");
            findings.add(Promise::Money, what);
        }
    }
}

/// P5: `commit()` says what happened.
pub(super) fn answers(evidence: &Evidence, findings: &mut Findings) {
    let payments = &evidence.books.cashier.payments;
    for (id, told) in &evidence.told {
        match (told, payments.contains_key(id)) {
            (Told::Made, false) => findings.add(
                Promise::LocalOutcomeRules,
                format!("a customer was told that payment {id} was made, and it was not"),
            ),
            (Told::Refused, true) => findings.add(
                Promise::LocalOutcomeRules,
                format!("a customer was told that payment {id} was refused, and it was made"),
            ),
            (Told::Made, true) | (Told::Refused, false) | (Told::Nothing, _) => {}
        }
    }
    for id in payments.keys() {
        if !evidence.told.contains_key(id) {
            let what = format!("payment {id} was made, and nobody asked for it");
            findings.add(Promise::Money, what);
        }
    }
}
