//! M3: one decision, whoever asks, however often.

use super::story::Story;
use crate::{
    entry::{Call, Decision, Reason},
    history::Answer,
    invariant::{Invariant, Violation},
};

pub(super) fn check(story: &Story<'_>, found: &mut Vec<Violation>) {
    let decisions = story.decisions();
    let first = |wanted: Decision| decisions.iter().find(|said| said.what == wanted);
    if let (Some(confirmed), Some(cancelled)) = (first(Decision::Confirm), first(Decision::Cancel))
    {
        found.push(Violation::new(
            Invariant::M3,
            format!("{} was both confirmed and cancelled", story.id),
            [confirmed.line, cancelled.line],
        ));
    }
    for op in &story.ops {
        let Some(end) = &op.end else { continue };
        let Answer::Fail {
            reason: Reason::Decided,
            decision,
            ..
        } = &end.answer
        else {
            continue;
        };
        let same = match op.call {
            Call::Confirm { .. } => Some(Decision::Confirm),
            Call::Cancel { .. } => Some(Decision::Cancel),
            _ => None,
        };
        if decision.is_none() {
            found.push(Violation::new(
                Invariant::M3,
                format!(
                    "{} was refused as decided, without saying what was decided",
                    story.id
                ),
                [op.line, end.line],
            ));
        } else if same == *decision {
            found.push(Violation::new(
                Invariant::M3,
                format!(
                    "the decision on {} was refused when it was repeated",
                    story.id
                ),
                [op.line, end.line],
            ));
        }
    }
}
