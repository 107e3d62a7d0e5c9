//! What is reserved and what is used at the participants, against their own fences: both are written in one local transaction, so at any
//! moment the amounts are what the branches make them. A step that ran twice, or without its fence row, shows here.

use std::collections::BTreeMap;

use super::Findings;
use crate::{
    books::{Books, Reserved},
    member::Member,
    promise::Promise,
};

/// The cents of the branches of a participant, by whose they are, then by action and where the fence says that they stand.
type Amounts<'a> = BTreeMap<&'a str, BTreeMap<(&'a str, &'static str), i64>>;

const TRIED: &str = "tried";
const CONFIRMED: &str = "confirmed";

fn amounts(books: &Books, member: Member) -> Amounts<'_> {
    let mut amounts = Amounts::new();
    for (id, branch) in &books.coordinator.branches {
        let state = match books.of_branch(*id, branch) {
            Some(Reserved::Tried) => TRIED,
            Some(Reserved::Confirmed) => CONFIRMED,
            Some(Reserved::Cancelled) | None => continue,
        };
        if branch.participant == member {
            let part = &branch.part;
            let of = amounts.entry(&part.of).or_default();
            *of.entry((&part.action, state)).or_default() += part.cents;
        }
    }
    amounts
}

fn sum(amounts: &Amounts<'_>, of: &str, action: &str, state: &'static str) -> i64 {
    let of = amounts.get(of);
    of.and_then(|of| of.get(&(action, state)))
        .copied()
        .unwrap_or(0)
}

/// T5: an account holds what it was opened with, less its debits and with its confirmed credits; open debits are frozen.
pub(super) fn accounts(books: &Books, findings: &mut Findings) {
    let amounts = amounts(books, Member::Account);
    for (name, account) in &books.accounts {
        let frozen = sum(&amounts, name, "debit", TRIED);
        let free = account.opened_with + sum(&amounts, name, "credit", CONFIRMED)
            - sum(&amounts, name, "debit", CONFIRMED)
            - frozen;
        if (account.free, account.frozen) != (free, frozen) {
            let what = format!(
                "account {name} has {} cents free and {} frozen, and its branches make it {free} and {frozen}",
                account.free, account.frozen
            );
            findings.add(Promise::Money, what);
        }
        if account.free < 0 {
            let what = format!("account {name} has {} cents", account.free);
            findings.add(Promise::Money, what);
        }
    }
}

/// T5: credit is used as its confirmed branches say, and reserved as its open ones do, and never beyond the limit.
pub(super) fn credit(books: &Books, findings: &mut Findings) {
    let amounts = amounts(books, Member::Credit);
    for (name, credit) in &books.credit {
        let reserved = sum(&amounts, name, "reserve", TRIED);
        let repaying = sum(&amounts, name, "repay", TRIED);
        let used =
            sum(&amounts, name, "reserve", CONFIRMED) - sum(&amounts, name, "repay", CONFIRMED);
        let found = [credit.used, credit.reserved, credit.repaying];
        if found != [used, reserved, repaying] {
            let what = format!(
                "the credit of {name} that is used, reserved and being repaid is {found:?}, and its branches make it \
                 {used}, {reserved} and {repaying}"
            );
            findings.add(Promise::Money, what);
        }
        if credit.used + credit.reserved > credit.most {
            let what = format!("{name} uses and reserves more credit than {}", credit.most);
            findings.add(Promise::Money, what);
        }
    }
}

/// T5: a coupon is where its branches brought it; it is never used twice.
pub(super) fn coupons(books: &Books, findings: &mut Findings) {
    let amounts = amounts(books, Member::Coupon);
    for (code, coupon) in &books.coupons {
        let times = |action, state| sum(&amounts, code, action, state) / coupon.cents.max(1);
        let used = times("redeem", CONFIRMED) - times("restore", CONFIRMED);
        let expected = match (used, times("redeem", TRIED), times("restore", TRIED)) {
            (0, 0, 0) => "fresh",
            (0, 1, 0) => "frozen",
            (1, 0, 0) => "used",
            (1, 0, 1) => "returning",
            _ => "used once at the most",
        };
        if coupon.state != expected {
            let what = format!(
                "coupon {code} is {}, and by its branches it should be {expected}",
                coupon.state
            );
            findings.add(Promise::Money, what);
        }
    }
}
