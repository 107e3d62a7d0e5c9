//! The table and the verdict, as text.

use std::fmt::Write;

use crate::{member::Member, promise::Finding, tally::Tally};

/// Of each promise, this many breaks are told one by one.
const TOLD_OF_EACH: usize = 5;

/// The table.
pub(crate) fn table(tally: &Tally) -> String {
    let mut text = String::new();
    let mut row = |what: &str, count: String, note: String| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {what:<32}{count:>10}   {note}");
    };
    let [balance, coupons, credit] = tally.cents.map(number_of);
    row(
        "payments made",
        number(tally.payments),
        format!("of {balance} cents of balances, {coupons} of coupons, {credit} of credit"),
    );
    row(
        "refunds made",
        number(tally.refunds),
        "of all parts of the payment".into(),
    );
    row(
        "refused",
        number(tally.counts.all_refused()),
        "for good, and in nobody's books:".into(),
    );
    for (reason, count) in &tally.counts.refused {
        row("", number(*count), reason.clone());
    }
    row(
        "customers who hung up",
        number(tally.counts.hung_up),
        "made or not, and all of it either way".into(),
    );
    row(
        "repeated requests",
        number(tally.counts.repeats),
        "answered with the first one's outcome".into(),
    );
    row(
        "branches confirmed",
        number(tally.branches_confirmed),
        "at account, credit and coupon".into(),
    );
    row(
        "branches cancelled",
        number(tally.branches_cancelled),
        format!(
            "of them at account before any Try: {}",
            number(tally.empty_cancels)
        ),
    );
    row(
        "transactions confirmed",
        number(tally.confirmed),
        format!(
            "of them by check-back: {}",
            number(tally.confirmed_by_check_back)
        ),
    );
    row(
        "transactions cancelled",
        number(tally.cancelled),
        format!(
            "of them by check-back: {}",
            number(tally.cancelled_by_check_back)
        ),
    );
    row(
        "decided by check-back",
        number(tally.confirmed_by_check_back + tally.cancelled_by_check_back),
        format!(
            "answered in progress: {}",
            number(tally.in_progress_answers)
        ),
    );
    row(
        "delivered",
        number(tally.delivered),
        format!("of {} owed, to two consumers each", number(tally.owed)),
    );
    let [ledger, rewards] = tally.duplicates;
    row(
        "duplicates absorbed",
        number(ledger + rewards),
        format!("by the inboxes of ledger ({ledger}) and rewards ({rewards})"),
    );
    row(
        "ledger: lines",
        number(tally.lines),
        format!(
            "which add up to {}; rolled up into {} sums",
            tally.lines_sum,
            number(tally.sums)
        ),
    );
    row(
        "rewards: given",
        number(tally.rewards),
        format!(
            "{} taken back; {} cents spent of {}",
            number(tally.taken_back),
            number_of(tally.spent),
            number_of(tally.budget)
        ),
    );
    if let Some(taken_over) = tally.taken_over {
        row(
            "taken over from a dead node",
            number(taken_over),
            "leased by it when it died, done by another before it was back".into(),
        );
    }
    text.push('\n');
    windows(&mut text, tally);
    text
}

fn windows(text: &mut String, tally: &Tally) {
    let _ = write!(text, "  {:<24}", "kills per window");
    // As wide as the names are.
    let width = |member: &Member| member.name().len() + 2;
    for member in tally.deaths.keys() {
        let _ = write!(text, "{member:>0$}", width(member));
    }
    let _ = writeln!(text, "{:>8}   at a crash point", "all");
    for (window, hits) in &tally.windows {
        let _ = write!(text, "  {window:<24}");
        for member in tally.deaths.keys() {
            let of_it = hits.by_member.get(member).unwrap_or(&0);
            let _ = write!(text, "{of_it:>0$}", width(member));
        }
        let _ = writeln!(text, "{:>8}{:>19}", hits.all(), hits.at_crash_points);
    }
    let _ = write!(text, "  {:<24}", "kills");
    for (member, deaths) in &tally.deaths {
        let _ = write!(text, "{deaths:>0$}", width(member));
    }
    let all: u64 = tally.deaths.values().sum();
    let _ = writeln!(text, "{all:>8}   (one may hit several windows)");
}

/// What is broken, by promise.
pub(crate) fn verdict(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "Every promise was kept.\n".to_owned();
    }
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| finding.promise);
    let mut text = String::new();
    for of_one in findings.chunk_by(|a, b| a.promise == b.promise) {
        for finding in of_one.iter().take(TOLD_OF_EACH) {
            let _ = writeln!(text, "BROKEN  {finding}");
        }
        if let Some(more) = of_one.len().checked_sub(TOLD_OF_EACH).filter(|n| *n > 0) {
            let _ = writeln!(text, "        … and {more} more of this promise");
        }
    }
    text
}

/// With a comma between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn number_of(amount: i64) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{}", number(amount.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promise::Promise;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number_of(-1_500), "-1,500");
    }

    #[test]
    fn a_broken_promise_is_named_and_many_breaks_are_cut_short() {
        let finding = |promise, n: usize| Finding {
            promise,
            what: format!("number {n}"),
        };
        let mut findings = vec![finding(Promise::ExactlyOnce, 1)];
        findings.extend((0..8).map(|n| finding(Promise::NoLoss, n)));
        let text = verdict(&findings);
        assert!(
            text.starts_with("BROKEN  P4 no loss (M2): number 0\n"),
            "{text}"
        );
        assert!(text.contains("and 3 more of this promise"), "{text}");
        assert!(
            text.contains("BROKEN  P8 exactly-once effect (K2): number 1\n"),
            "{text}"
        );
        assert_eq!(verdict(&[]), "Every promise was kept.\n");
    }
}
