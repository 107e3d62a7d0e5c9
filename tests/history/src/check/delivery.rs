//! K1, K2, K3: what the coordinator says of deliveries, what the consumers answered, and what their databases hold.

use std::collections::{BTreeMap, BTreeSet};

use super::story::{AtRest, Run, Said, Story};
use crate::{
    entry::{Decision, DeliveryAnswer, DeliveryKey, DeliveryState, DeliveryView},
    history::Answer,
    invariant::{Invariant, Violation},
};

pub(super) fn check(run: &Run, story: &Story<'_>, found: &mut Vec<Violation>) {
    acknowledged_first(story, found);
    if run.rest.is_none() {
        return;
    }
    one_effect_each(story, found);
    if let Some(view) = &story.view {
        nothing_else(run, story, view, found);
    }
}

/// K1.
fn acknowledged_first(story: &Story<'_>, found: &mut Vec<Violation>) {
    let shown = story.ops.iter().filter_map(|op| {
        let end = op.end.as_ref()?;
        match &end.answer {
            Answer::Ok { deliveries, .. } => Some((end.at_us, end.line, deliveries)),
            _ => None,
        }
    });
    let at_rest = story.view.iter();
    let at_rest = at_rest.map(|view| (view.at_us, view.line, &view.what.deliveries));
    for (at_us, line, deliveries) in shown.chain(at_rest) {
        for done in deliveries.iter().filter(|d| d.state == DeliveryState::Done) {
            let key = done.key(story.id);
            let acknowledged = story
                .deliveries
                .iter()
                .any(|said| said.what == (key.clone(), DeliveryAnswer::Ok) && said.at_us <= at_us);
            if !acknowledged {
                found.push(Violation::new(
                    Invariant::K1,
                    format!("{key} is shown as delivered, and nobody had acknowledged it"),
                    [line],
                ));
            }
        }
    }
}

/// K2.
fn one_effect_each(story: &Story<'_>, found: &mut Vec<Violation>) {
    let mut effects: BTreeMap<&DeliveryKey, Vec<usize>> = BTreeMap::new();
    for effect in &story.effects {
        effects.entry(&effect.what.0).or_default().push(effect.line);
    }
    for (key, lines) in &effects {
        if lines.len() > 1 {
            found.push(Violation::new(
                Invariant::K2,
                format!("{key} had {} effects", lines.len()),
                lines.iter().copied(),
            ));
        }
    }
    let mut told = BTreeSet::new();
    for said in &story.deliveries {
        let (key, answer) = &said.what;
        if *answer == DeliveryAnswer::Ok && !effects.contains_key(key) && told.insert(key) {
            found.push(Violation::new(
                Invariant::K2,
                format!("{key} was acknowledged, and has no effect"),
                [said.line],
            ));
        }
    }
}

/// K3.
fn nothing_else(run: &Run, story: &Story<'_>, view: &Said<AtRest>, found: &mut Vec<Violation>) {
    let mut wrong = |what: String, lines: &[usize]| {
        found.push(Violation::new(
            Invariant::K3,
            what,
            [view.line].into_iter().chain(lines.iter().copied()),
        ));
    };
    let shown: BTreeMap<DeliveryKey, &DeliveryView> = view
        .what
        .deliveries
        .iter()
        .map(|delivery| (delivery.key(story.id), delivery))
        .collect();
    if shown.len() != view.what.deliveries.len() {
        wrong(format!("{}: a delivery exists twice", story.id), &[]);
    }
    let confirmed = view.what.phase.decision() == Some(Decision::Confirm);
    let owed = match story.topics() {
        Some(topics) if confirmed => run.owed(story.id, topics),
        None if confirmed => return, // nobody says what was sent: M1 tells of such a one
        Some(_) | None => BTreeSet::new(),
    };
    for (key, delivery) in &shown {
        if !owed.contains(key) {
            wrong(format!("{key} exists, and is not owed"), &[]);
        }
        if delivery.state == DeliveryState::Pending {
            wrong(format!("{key} is still owed at rest"), &[]);
        }
    }
    for key in owed.iter().filter(|key| !shown.contains_key(key)) {
        wrong(format!("{key} is owed, and does not exist"), &[]);
    }
    for effect in &story.effects {
        let key = &effect.what.0;
        match shown.get(key).map(|delivery| delivery.state) {
            None => wrong(
                format!("{key} had an effect, and does not exist"),
                &[effect.line],
            ),
            Some(DeliveryState::Parked) => {
                wrong(
                    format!("{key} had an effect, and is parked"),
                    &[effect.line],
                );
            }
            Some(DeliveryState::Done | DeliveryState::Pending) => {}
        }
    }
}
