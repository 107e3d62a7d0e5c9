//! The rewards' journal, gone through from its beginning with the budget in hand.

use std::collections::{BTreeMap, BTreeSet};

use payments::{TASK, TASK_REWARD, cashback};

use super::{Evidence, Findings};
use crate::promise::Promise;

/// The budget is never overspent, and what is gone from it is in the journal.
pub(super) fn budget(evidence: &Evidence, findings: &mut Findings) {
    let rewards = &evidence.books.rewards;
    let given: i64 = rewards.journal.iter().map(|entry| entry.cents).sum();
    if given > rewards.budget || rewards.remaining < 0 {
        let what = format!(
            "{given} cents were given out of a budget of {}, and {} are left",
            rewards.budget, rewards.remaining
        );
        findings.add(Promise::Money, what);
    } else if given + rewards.remaining != rewards.budget {
        let what = format!(
            "{given} cents given and {} left do not make the budget of {}",
            rewards.remaining, rewards.budget
        );
        findings.add(Promise::Money, what);
    }
}

/// P4, P8: everything that was made had its reward once, by the rules and by what was left then.
pub(super) fn journal(evidence: &Evidence, findings: &mut Findings) {
    let books = &evidence.books;
    let mut left = books.rewards.budget;
    let mut given: BTreeMap<&str, i64> = BTreeMap::new();
    let mut back: BTreeSet<&str> = BTreeSet::new();
    let mut made: BTreeMap<&str, i64> = BTreeMap::new();
    let mut tasks: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in &books.rewards.journal {
        let (id, payer) = (entry.payment.as_str(), entry.payer.as_str());
        let payment = books
            .cashier
            .done
            .get(id)
            .filter(|done| done.refunds.is_none());
        let Some(payment) = payment else {
            let what = format!(
                "the rewards have {}  of {id}, which was never made",
                entry.why
            );
            findings.add(Promise::NoGhost, what);
            continue;
        };
        let covered = |earned| if earned <= left { earned } else { 0 };
        let (expected, again) = match entry.why.as_str() {
            "cashback" => {
                let earned = if back.contains(id) {
                    0
                } else {
                    cashback(&payment.payment)
                };
                *made.entry(payer).or_default() += 1;
                (covered(earned), given.insert(id, entry.cents).is_some())
            }
            "refund" => (-given.get(id).copied().unwrap_or(0), !back.insert(id)),
            _ => {
                let tasks = tasks.entry(payer).or_default();
                *tasks += 1;
                let done = made.get(payer).copied().unwrap_or(0);
                (covered(TASK_REWARD), done != *tasks * TASK)
            }
        };
        if again || entry.cents != expected {
            let what = format!(
                "the rewards' {} of {id} ({}) is {} cents, where {expected} were right{}",
                entry.why,
                payment.transaction,
                entry.cents,
                if again {
                    ", and it was not its turn"
                } else {
                    ""
                }
            );
            findings.add(Promise::ExactlyOnce, what);
        }
        left -= entry.cents;
    }
    for (payer, made) in &made {
        let tasks = tasks.get(payer).copied().unwrap_or(0);
        if tasks != made / TASK {
            let what =
                format!("{payer} made {made} payments, and {tasks} times it was a task's end");
            findings.add(Promise::ExactlyOnce, what);
        }
    }
    for (id, done) in &books.cashier.done {
        let heard = match &done.refunds {
            Some(payment) => back.contains(payment.as_str()),
            None => given.contains_key(id.as_str()),
        };
        if !heard {
            let what = format!(
                "{id} ({}) was made, and the rewards have nothing of it",
                done.transaction
            );
            findings.add(Promise::NoLoss, what);
        }
    }
}
