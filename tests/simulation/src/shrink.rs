//! Makes a failing plan short: what can be left out and still fails is left out (delta debugging).

use crate::{Outcome, Plan, run};

/// A plan that fails and from which little can be left out.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What it breaks.
    pub outcome: Outcome,
    /// Runs that it took.
    pub runs: u32,
}

/// Shrinks `plan`, which breaks `invariant`, in at most `most_runs` runs. `None`: it does not break it.
pub fn shrink(plan: &Plan, invariant: &str, most_runs: u32) -> Option<Shrunk> {
    let outcome = fails(plan, invariant)?;
    let mut best = Shrunk {
        plan: plan.clone(),
        outcome,
        runs: 1,
    };
    let mut size = best.plan.len().div_ceil(2);
    loop {
        let shorter = leave_out(&mut best, size, invariant, most_runs);
        if best.runs >= most_runs || (size == 1 && !shorter) {
            return Some(best);
        }
        if size > 1 {
            size = size.div_ceil(2).min(best.plan.len().max(1));
        }
    }
}

/// Goes through the plan once, from its end, and leaves out each part of `size` elements that can be left out; true: some
/// could. What comes after the breach goes first.
fn leave_out(best: &mut Shrunk, size: usize, invariant: &str, most_runs: u32) -> bool {
    let before = best.plan.len();
    let mut end = before;
    while end > 0 && best.runs < most_runs {
        let begin = end.saturating_sub(size);
        let shorter = without(&best.plan, begin, end);
        best.runs += 1;
        if let Some(outcome) = fails(&shorter, invariant) {
            best.plan = shorter;
            best.outcome = outcome;
        }
        end = begin;
    }
    best.plan.len() < before
}

/// Without the elements from `begin` to `end`, faults counted after operations.
fn without(plan: &Plan, begin: usize, end: usize) -> Plan {
    let mut shorter = plan.clone();
    let mut n = 0;
    let mut stays = || {
        n += 1;
        !(begin..end).contains(&(n - 1))
    };
    shorter.ops.retain(|_| stays());
    shorter.faults.retain(|_| stays());
    shorter
}

fn fails(plan: &Plan, invariant: &str) -> Option<Outcome> {
    let outcome = run(plan, false);
    let broken = outcome.violations.iter().any(|v| v.invariant == invariant);
    broken.then_some(outcome)
}
