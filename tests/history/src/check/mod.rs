//! The checker: one module per subject, each of which reads the story of one transaction at a time, but for the order of several.
//!
//! It never reads a clock or a database, and never trusts the coordinator's word where somebody else's is to be had.

mod account;
mod branch;
mod content;
mod decision;
mod delivery;
mod durable;
mod effect;
mod order;
mod rest;
mod story;
mod views;

use crate::{
    history::History,
    invariant::{Invariant, Violation},
};
use story::{Run, stories};

/// Everything that the history breaks, in the order of the invariants; empty: nothing.
pub fn check(history: &History) -> Vec<Violation> {
    let run = match Run::of(history) {
        Ok(run) => run,
        Err(what) => return vec![Violation::new(Invariant::V1, what, [])],
    };
    let mut found = Vec::new();
    rest::check(&run, history, &mut found);
    let stories = stories(history);
    for story in &stories {
        effect::check(&run, story, &mut found);
        decision::check(story, &mut found);
        durable::check(&run, story, &mut found);
        content::check(story, &mut found);
        delivery::check(&run, story, &mut found);
        branch::check(&run, story, &mut found);
        views::check(&run, story, &mut found);
    }
    account::check(&run, history, &mut found);
    order::check(&run, history, &stories, &mut found);
    durable::check_told(history, &mut found);
    found.sort();
    found.dedup();
    found
}
