//! M1, M2 and M4: effects on one side, what became of the local transaction on the other.

use std::collections::BTreeSet;

use super::story::{Run, Said, Story};
use crate::{
    branch::{Action, BranchKey},
    entry::{CheckBackAnswer, Decision, DeliveryKey, DeliveryState},
    invariant::{Invariant, Violation},
};

pub(super) fn check(run: &Run, story: &Story<'_>, found: &mut Vec<Violation>) {
    fence(story, found);
    if run.rest.is_none() {
        return; // the databases were not read: nothing is known of commits
    }
    no_ghost(story, found);
    no_loss(run, story, found);
}

/// M4.
fn fence(story: &Story<'_>, found: &mut Vec<Violation>) {
    let said_no = story
        .check_backs
        .iter()
        .find(|said| said.what == CheckBackAnswer::RolledBack);
    let Some(said_no) = said_no else {
        return;
    };
    let said_yes = story
        .check_backs
        .iter()
        .find(|said| said.what == CheckBackAnswer::Committed);
    let committed = story.committed.as_ref().map(|said| said.line);
    if let Some(line) = committed.or(said_yes.map(|said| said.line)) {
        found.push(Violation::new(
            Invariant::M4,
            format!(
                "{} committed although a check-back was answered with *rolled back*",
                story.id
            ),
            [said_no.line, line],
        ));
    }
}

/// M1. Where nobody has a local transaction, whoever asked to confirm has committed to it.
fn no_ghost(story: &Story<'_>, found: &mut Vec<Violation>) {
    if story.committed.is_some() || story.ops.iter().any(|op| op.call.commits()) {
        return;
    }
    let mut ghost = |what: &str, line: usize| {
        found.push(Violation::new(
            Invariant::M1,
            format!("{} did not commit, and {what}", story.id),
            [line],
        ));
    };
    for effect in &story.effects {
        ghost(&format!("had the effect {}", effect.what.0), effect.line);
    }
    let confirmed = |said: &&Said<(BranchKey, Action)>| said.what.1 == Action::Confirm;
    for step in story.steps.iter().filter(confirmed) {
        ghost(&format!("was confirmed: {}", step.what.0), step.line);
    }
    if let Some(delivery) = story.deliveries.first() {
        ghost(
            &format!("was delivered: {}", delivery.what.0),
            delivery.line,
        );
    }
    let confirmed = story.decisions();
    if let Some(said) = confirmed.iter().find(|said| said.what == Decision::Confirm) {
        ghost("is confirmed", said.line);
    }
    let said_yes = |said: &&Said<_>| said.what == CheckBackAnswer::Committed;
    if let Some(said) = story.check_backs.iter().find(said_yes) {
        ghost("its check-back was answered with *committed*", said.line);
    }
}

/// M2.
fn no_loss(run: &Run, story: &Story<'_>, found: &mut Vec<Violation>) {
    let committed = story.committed.as_ref().map(|said| said.line);
    let confirmed = story.acknowledged(Decision::Confirm).map(|op| op.line);
    let Some(line) = committed.or(confirmed) else {
        return;
    };
    let Some(topics) = story.topics() else {
        return;
    };
    let effects: BTreeSet<&DeliveryKey> = story.effects.iter().map(|e| &e.what.0).collect();
    let view = story.view.as_ref();
    for owed in run.owed(story.id, topics) {
        let parked = view.is_some_and(|view| {
            view.what.deliveries.iter().any(|delivery| {
                delivery.state == DeliveryState::Parked && delivery.key(story.id) == owed
            })
        });
        if !effects.contains(&owed) && !parked {
            let lines = [line].into_iter().chain(view.map(|view| view.line));
            found.push(Violation::new(
                Invariant::M2,
                format!("{} committed, and there is no effect {owed}", story.id),
                lines,
            ));
        }
    }
}
