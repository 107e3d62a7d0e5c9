//! M5: what was acknowledged is still so later, and what a caller was told of a local transaction is what the database says.

use std::collections::HashMap;

use super::story::{Run, Said, Story};
use crate::{
    entry::{Call, Event, Phase, Reason},
    history::{Answer, History},
    invariant::{Invariant, Violation},
};

pub(super) fn check(run: &Run, story: &Story<'_>, found: &mut Vec<Violation>) {
    let known = known_since(story);
    if let Some(known) = &known {
        if run.rest.is_some() && story.view.is_none() {
            found.push(Violation::new(
                Invariant::M5,
                format!(
                    "{} was acknowledged, and at rest the coordinator does not know it",
                    story.id
                ),
                [known.line],
            ));
        }
        for op in &story.ops {
            let Some(end) = &op.end else { continue };
            let forgotten = matches!(
                end.answer,
                Answer::Fail {
                    reason: Reason::NotFound,
                    ..
                }
            );
            if forgotten && op.invoked_us > known.at_us {
                found.push(Violation::new(
                    Invariant::M5,
                    format!("{} was acknowledged, and later was not known", story.id),
                    [known.line, end.line],
                ));
            }
        }
    }
    let decided = story.decisions().into_iter().min_by_key(|said| said.at_us);
    if let Some(decided) = decided {
        undecided_after(story, &decided, found);
    }
}

fn undecided_after(story: &Story<'_>, decided: &Said<crate::Decision>, found: &mut Vec<Violation>) {
    let answers = story.ops.iter().filter_map(|op| {
        let end = op.end.as_ref()?;
        let Answer::Ok {
            phase: Some(Phase::Prepared),
            ..
        } = end.answer
        else {
            return None;
        };
        (op.invoked_us > decided.at_us).then_some(end.line)
    });
    let view = story.view.iter().filter_map(|view| {
        let undecided = view.what.phase == Phase::Prepared && view.at_us > decided.at_us;
        undecided.then_some(view.line)
    });
    for line in answers.chain(view) {
        found.push(Violation::new(
            Invariant::M5,
            format!("{} was decided, and later was undecided", story.id),
            [decided.line, line],
        ));
    }
}

/// When the coordinator first acknowledged anything of it.
fn known_since(story: &Story<'_>) -> Option<Said<()>> {
    let acknowledged = story.ops.iter().filter_map(|op| {
        let end = op.end.as_ref()?;
        matches!(end.answer, Answer::Ok { .. }).then_some(Said {
            what: (),
            at_us: end.at_us,
            line: end.line,
        })
    });
    acknowledged.min_by_key(|said| said.at_us)
}

/// What callers of an initiator were told, against its own rows at rest.
pub(super) fn check_told(history: &History, found: &mut Vec<Violation>) {
    if !history
        .lines
        .iter()
        .any(|line| line.entry.event == Event::Rest)
    {
        return;
    }
    let rows = history.lines.iter().filter_map(|line| {
        let Event::Committed { transaction, .. } = &line.entry.event else {
            return None;
        };
        Some((transaction.as_str(), line.number))
    });
    let committed: HashMap<&str, usize> = rows.collect();
    for op in &history.ops {
        let (Call::Place { .. }, Some(end)) = (&op.call, &op.end) else {
            continue;
        };
        match &end.answer {
            Answer::Ok {
                transaction: Some(id),
                ..
            } if !committed.contains_key(id.as_str()) => found.push(Violation::new(
                Invariant::M5,
                format!("{id} was told to have committed, and its database has nothing of it"),
                [op.line, end.line],
            )),
            Answer::Fail {
                transaction: Some(id),
                ..
            } => {
                if let Some(row) = committed.get(id.as_str()) {
                    found.push(Violation::new(
                        Invariant::M5,
                        format!("{id} was told not to have committed, and it did"),
                        [op.line, end.line, *row],
                    ));
                }
            }
            _ => {}
        }
    }
}
