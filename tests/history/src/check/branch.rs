//! T1 to T5: what participants' own code did, against what the coordinator says of their branches and what was decided.

use std::collections::BTreeMap;

use super::story::{AtRest, Run, Said, Story};
use crate::{
    branch::{Action, BranchAnswer, BranchKey, BranchState, BranchView},
    entry::{Call, Decision},
    invariant::{Invariant, Violation},
};

/// What was done for one branch, by the lines that say it.
#[derive(Default)]
struct Done {
    tries: Vec<usize>,
    confirms: Vec<usize>,
    cancels: Vec<usize>,
    /// Calls that were answered *ok*.
    confirmed: Vec<usize>,
    cancelled: Vec<usize>,
}

pub(super) fn check(run: &Run, story: &Story<'_>, found: &mut Vec<Violation>) {
    if run.rest.is_none() {
        return; // the databases were not read: nothing is known of what was done
    }
    let done = done(story);
    for (key, done) in &done {
        once(key, done, found);
        in_order(key, done, found);
    }
    registered(story, &done, found);
    if let Some(view) = &story.view {
        all_tried(story, view, &done, found);
        for branch in &view.what.branches {
            let key = branch.key(story.id);
            let nothing = Done::default();
            let done = done.get(&key).unwrap_or(&nothing);
            ended(&key, view, branch.state, done, found);
        }
    }
}

fn done(story: &Story<'_>) -> BTreeMap<BranchKey, Done> {
    let mut all: BTreeMap<BranchKey, Done> = BTreeMap::new();
    for said in &story.steps {
        let (key, action) = &said.what;
        let done = all.entry(key.clone()).or_default();
        match action {
            Action::Try => done.tries.push(said.line),
            Action::Confirm => done.confirms.push(said.line),
            Action::Cancel => done.cancels.push(said.line),
        }
    }
    for said in &story.called {
        let done = all.entry(said.what.key.clone()).or_default();
        if said.what.answer == BranchAnswer::Ok {
            match said.what.action {
                Action::Try => {}
                Action::Confirm => done.confirmed.push(said.line),
                Action::Cancel => done.cancelled.push(said.line),
            }
        }
    }
    all
}

/// T1.
fn once(key: &BranchKey, done: &Done, found: &mut Vec<Violation>) {
    let steps = [
        ("Try", &done.tries),
        ("Confirm", &done.confirms),
        ("Cancel", &done.cancels),
    ];
    for (what, lines) in steps {
        if lines.len() > 1 {
            found.push(Violation::new(
                Invariant::T1,
                format!("{what} of {key} ran {} times", lines.len()),
                lines.iter().copied(),
            ));
        }
    }
    if let (Some(confirm), Some(cancel)) = (done.confirms.first(), done.cancels.first()) {
        found.push(Violation::new(
            Invariant::T1,
            format!("{key} was both confirmed and cancelled"),
            [*confirm, *cancel],
        ));
    }
}

/// T2 and, of one branch, T3.
fn in_order(key: &BranchKey, done: &Done, found: &mut Vec<Violation>) {
    let tried = done.tries.first().copied();
    let mut wrong = |invariant, what: String, lines: &[usize]| {
        found.push(Violation::new(invariant, what, lines.iter().copied()));
    };
    for cancel in &done.cancels {
        match tried {
            None => wrong(
                Invariant::T2,
                format!("Cancel of {key} ran, and its Try never did"),
                &[*cancel],
            ),
            Some(tried) if tried > *cancel => wrong(
                Invariant::T2,
                format!("Try of {key} ran after its Cancel"),
                &[*cancel, tried],
            ),
            Some(_) => {}
        }
    }
    if let (Some(tried), Some(told), []) = (tried, done.cancelled.first(), done.cancels.as_slice())
    {
        wrong(
            Invariant::T2,
            format!("Cancel of {key} was answered *ok*, and what its Try reserved is still so"),
            &[tried, *told],
        );
    }
    for confirm in &done.confirms {
        if tried.is_none_or(|tried| tried > *confirm) {
            wrong(
                Invariant::T3,
                format!("Confirm of {key} ran, and its Try had not"),
                &[*confirm],
            );
        }
    }
    if let (None, Some(told)) = (tried, done.confirmed.first()) {
        wrong(
            Invariant::T3,
            format!("Confirm of {key} was answered *ok*, and its Try never ran"),
            &[*told],
        );
    }
}

/// T4: nobody is called for a branch that is not known, and the initiator's are those that are.
fn registered(story: &Story<'_>, done: &BTreeMap<BranchKey, Done>, found: &mut Vec<Violation>) {
    let shown: &[BranchView] = story.view.as_ref().map_or(&[], |view| &view.what.branches);
    let known: Vec<BranchKey> = shown.iter().map(|branch| branch.key(story.id)).collect();
    let said = story.called.iter().map(|said| (&said.what.key, said.line));
    let steps = story.steps.iter().map(|said| (&said.what.0, said.line));
    let mut lines: BTreeMap<&BranchKey, usize> = BTreeMap::new();
    for (key, line) in said.chain(steps) {
        lines.entry(key).or_insert(line);
    }
    for key in done.keys().filter(|key| !known.contains(key)) {
        found.push(Violation::new(
            Invariant::T4,
            format!("{key} was called, and at rest nobody knows it"),
            lines.get(key).copied(),
        ));
    }
    let (Some(committed), Some(view)) = (&story.committed, &story.view) else {
        return; // of one that nobody knows, M5 tells
    };
    let own = &committed.what.branches;
    let same = own.len() == shown.len()
        && (0..).zip(own).all(|(ordinal, participant)| {
            let mut shown = shown.iter();
            shown.any(|branch| branch.ordinal == ordinal && branch.participant == *participant)
        });
    if !same {
        found.push(Violation::new(
            Invariant::T4,
            format!(
                "{} committed with reservations at {own:?}, and others are known",
                story.id
            ),
            [committed.line, view.line],
        ));
    }
}

/// T3: a transaction is confirmed when all of its Trys have been done.
fn all_tried(
    story: &Story<'_>,
    view: &Said<AtRest>,
    done: &BTreeMap<BranchKey, Done>,
    found: &mut Vec<Violation>,
) {
    // Who prepares and confirms by hand answers for its own Trys.
    let theirs = story.committed.is_some()
        || (story.ops.iter()).any(|op| matches!(op.call, Call::Execute { .. }));
    if !theirs || view.what.phase.decision() != Some(Decision::Confirm) {
        return;
    }
    for branch in &view.what.branches {
        let key = branch.key(story.id);
        if done.get(&key).is_none_or(|done| done.tries.is_empty()) {
            found.push(Violation::new(
                Invariant::T3,
                format!("{} is confirmed, and {key} was never tried", story.id),
                [view.line],
            ));
        }
    }
}

/// T5.
fn ended(
    key: &BranchKey,
    view: &Said<AtRest>,
    state: BranchState,
    done: &Done,
    found: &mut Vec<Violation>,
) {
    let Some(decision) = view.what.phase.decision() else {
        return; // V1 tells of what is undecided
    };
    let mut wrong = |what: &str, lines: &[usize]| {
        found.push(Violation::new(
            Invariant::T5,
            format!("{key}: {what}"),
            [view.line].into_iter().chain(lines.iter().copied()),
        ));
    };
    let parked = state == BranchState::Parked;
    if !parked && state != BranchState::Done {
        wrong("it is decided, and the branch still waits", &[]);
    }
    let (taken, against) = match decision {
        Decision::Confirm => (&done.confirms, &done.cancels),
        Decision::Cancel => (&done.cancels, &done.confirms),
    };
    if !against.is_empty() {
        wrong("it did not take the decision", against);
    }
    let owed = decision == Decision::Confirm || !done.tries.is_empty();
    if owed && !parked && taken.is_empty() {
        wrong("it is shown as done, and nothing was done", &done.tries);
    }
    if parked && !taken.is_empty() {
        wrong("it is parked, and it took the decision", taken);
    }
}
