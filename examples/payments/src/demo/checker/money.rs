//! All the money there is, and what the cashier told its customers.

use payments::load::Told;

use super::{Evidence, Findings};
use crate::promise::Promise;

/// What the accounts have more than they were opened with, coupons and credit paid for; and at rest nothing is reserved.
pub(super) fn conserved(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let more = books
        .accounts
        .values()
        .map(|account| account.free + account.frozen - account.opened_with);
    let used = books
        .coupons
        .values()
        .filter(|coupon| coupon.state == "used");
    let coupons: i64 = used.map(|coupon| coupon.cents).sum();
    let credit: i64 = books.credit.values().map(|credit| credit.used).sum();
    let more: i64 = more.sum();
    if more != coupons + credit {
        let what = format!(
            "the accounts have {more} cents more than at first, and {coupons} of coupons and {credit} of credit were used"
        );
        findings.add(Promise::Money, what);
    }
    let accounts = books
        .accounts
        .iter()
        .map(|(name, account)| (name, account.frozen));
    let credit = books
        .credit
        .iter()
        .map(|(name, credit)| (name, credit.reserved + credit.repaying));
    let coupons = books.coupons.iter().map(|(code, coupon)| {
        let at_rest = matches!(coupon.state.as_str(), "fresh" | "used");
        (code, if at_rest { 0 } else { coupon.cents })
    });
    for (whose, cents) in accounts.chain(credit).chain(coupons) {
        if cents != 0 {
            let what =
                format!("{cents} cents of {whose} are still reserved, and nothing is under way");
            findings.add(Promise::AllOrNothing, what);
        }
    }
}

/// P5: `commit()` says what happened, and so do refusals; each request has one answer.
pub(super) fn answers(evidence: &Evidence, findings: &mut Findings) {
    let cashier = &evidence.books.cashier;
    for (id, told) in &evidence.told {
        let done = cashier.done.get(id);
        let refused = cashier.refused.get(id);
        let as_told = match told {
            Told::Made => done.is_some(),
            Told::Refused(reason) => done.is_none() && refused == Some(reason),
            Told::Nothing => true,
        };
        if !as_told {
            let what = format!(
                "a customer was told of {id}: {told:?}; it is made in transaction {:?}, and refused: {refused:?}",
                done.map(|done| done.transaction)
            );
            findings.add(Promise::LocalOutcomeRules, what);
        }
        if done.is_some() && refused.is_some() {
            let what = format!("{id} is both made and refused in the cashier's database");
            findings.add(Promise::LocalOutcomeRules, what);
        }
    }
    for (id, done) in &cashier.done {
        if !evidence.told.contains_key(id) {
            let what = format!(
                "{id} ({}) was made, and nobody asked for it",
                done.transaction
            );
            findings.add(Promise::Money, what);
        }
    }
}
