//! T5: what participants' books add up to is what their own code did.

use std::collections::BTreeMap;

use super::story::Run;
use crate::{
    branch::{Action, BranchKey},
    entry::Event,
    history::History,
    invariant::{Invariant, Violation},
};

/// Of one participant.
#[derive(Default)]
struct Sums {
    /// Reserved, by branch, until it is used or given back.
    held: BTreeMap<BranchKey, i64>,
    used: i64,
    /// The last step.
    line: usize,
}

pub(super) fn check(run: &Run, history: &History, found: &mut Vec<Violation>) {
    if run.rest.is_none() {
        return; // the databases were not read
    }
    let mut all: BTreeMap<&str, Sums> = BTreeMap::new();
    for line in &history.lines {
        let Event::Step {
            key,
            action,
            amount,
        } = &line.entry.event
        else {
            continue;
        };
        let sums = all.entry(key.participant.as_str()).or_default();
        sums.line = line.number;
        match action {
            Action::Try => *sums.held.entry(key.clone()).or_default() += amount,
            Action::Confirm => {
                sums.used += amount;
                *sums.held.entry(key.clone()).or_default() -= amount;
            }
            Action::Cancel => *sums.held.entry(key.clone()).or_default() -= amount,
        }
    }
    for line in &history.lines {
        let Event::Account {
            participant,
            began,
            free,
            held,
            used,
        } = &line.entry.event
        else {
            continue;
        };
        let sums = all.remove(participant.as_str()).unwrap_or_default();
        let reserved: i64 = sums.held.values().sum();
        let should = (began - reserved - sums.used, reserved, sums.used);
        if (*free, *held, *used) != should {
            found.push(Violation::new(
                Invariant::T5,
                format!(
                    "{participant} has {free} free, {held} held and {used} used; of {began} it should be {should:?}"
                ),
                [line.number],
            ));
        }
    }
    for (participant, sums) in all {
        found.push(Violation::new(
            Invariant::T5,
            format!("{participant} reserved, and nobody says what its books add up to"),
            [sums.line],
        ));
    }
}
