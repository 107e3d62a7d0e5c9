//! The ledger against what was made, against the accounts, and its sums against its lines.

use std::collections::{BTreeMap, BTreeSet};

use payments::{COUPON_FUND, RECEIVABLE};

use super::{Evidence, Findings};
use crate::{
    books::{Done, Line, Sum},
    promise::Promise,
};

/// P4, P8: the lines of each payment and refund are there once, and add up to nothing.
pub(super) fn lines(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut lines: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in &books.ledger.lines {
        lines.entry(&line.document).or_default().push(line);
    }
    for (document, lines) in &lines {
        let sum: i64 = lines.iter().map(|line| line.cents).sum();
        if sum != 0 {
            let what = format!("the ledger's lines of {document} add up to {sum} cents, not to 0");
            findings.add(Promise::Money, what);
        }
    }
    for (id, done) in &books.cashier.done {
        let mut expected = expected(done);
        let found = lines.get(id.as_str()).into_iter().flatten();
        let mut found: Vec<_> = found.map(|l| (l.account.as_str(), l.cents)).collect();
        expected.sort_unstable();
        found.sort_unstable();
        if found.is_empty() {
            let what = format!(
                "{id} ({}) was made, and the ledger has no lines of it",
                done.transaction
            );
            findings.add(Promise::NoLoss, what);
        } else if found != expected {
            let what = format!(
                "the ledger's lines of {id} ({}) are {found:?}, not {expected:?}",
                done.transaction
            );
            findings.add(Promise::ExactlyOnce, what);
        }
    }
}

fn expected(done: &Done) -> Vec<(&str, i64)> {
    let payment = &done.payment;
    let sign = if done.refunds.is_some() { -1 } else { 1 };
    let lines = [
        (payment.payee.as_str(), payment.cents),
        (payment.payer.as_str(), -payment.balance_cents()),
        (COUPON_FUND, -payment.coupon_cents()),
        (RECEIVABLE, -payment.credit_cents),
    ];
    let signed = lines.map(|(account, cents)| (account, sign * cents));
    signed
        .into_iter()
        .filter(|(_, cents)| *cents != 0)
        .collect()
}

/// The ledger says the same as those who have the money, the coupons and the credit.
pub(super) fn accounts(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut held: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, account) in &books.accounts {
        held.insert(name, account.free + account.frozen - account.opened_with);
    }
    let coupons = books
        .coupons
        .values()
        .filter(|coupon| coupon.state == "used");
    held.insert(
        COUPON_FUND,
        -coupons.map(|coupon| coupon.cents).sum::<i64>(),
    );
    let used = books.credit.values().map(|credit| credit.used);
    held.insert(RECEIVABLE, -used.sum::<i64>());
    let mut written: BTreeMap<&str, i64> = BTreeMap::new();
    for line in &books.ledger.lines {
        *written.entry(&line.account).or_default() += line.cents;
    }
    let names: BTreeSet<_> = held.keys().chain(written.keys()).collect();
    for name in names {
        let of = |sums: &BTreeMap<&str, i64>| sums.get(name).copied().unwrap_or(0);
        let (held, written) = (of(&held), of(&written));
        if held != written {
            let what = format!(
                "the ledger's lines of {name} come to {written} cents, and {held} are there"
            );
            findings.add(Promise::Money, what);
        }
    }
}

/// The day's sums are those of the day's lines.
pub(super) fn roll_up(evidence: &Evidence, findings: &mut Findings) {
    let ledger = &evidence.books.ledger;
    let mut expected: BTreeMap<(String, String), Sum> = BTreeMap::new();
    for line in &ledger.lines {
        let key = (line.day.clone(), line.account.clone());
        let sum = expected.entry(key).or_default();
        sum.lines += 1;
        sum.cents += line.cents;
    }
    let keys: BTreeSet<_> = expected.keys().chain(ledger.roll_up.keys()).collect();
    for key in keys {
        let (found, expected) = (ledger.roll_up.get(key), expected.get(key));
        if found != expected {
            let (day, account) = key;
            let what = format!(
                "of {day} and {account} the roll-up has {found:?}, and the lines make it {expected:?}"
            );
            findings.add(Promise::Money, what);
        }
    }
}
