//! M6: an id stands for one content.

use std::collections::BTreeMap;

use super::story::Story;
use crate::{
    entry::Reason,
    history::Answer,
    invariant::{Invariant, Violation},
};

#[derive(Default)]
struct Told {
    accepted: Option<usize>,
    refused: Option<usize>,
}

pub(super) fn check(story: &Story<'_>, found: &mut Vec<Violation>) {
    let mut contents: BTreeMap<&str, Told> = BTreeMap::new();
    for op in &story.ops {
        let Some((content, _)) = op.call.recorded() else {
            continue;
        };
        let told = contents.entry(content).or_default();
        match op.end.as_ref().map(|end| (end.line, &end.answer)) {
            Some((line, Answer::Ok { .. })) => {
                told.accepted.get_or_insert(line);
            }
            Some((
                line,
                Answer::Fail {
                    reason: Reason::OtherContent,
                    ..
                },
            )) => {
                told.refused.get_or_insert(line);
            }
            _ => {}
        }
    }
    let accepted: Vec<(&str, usize)> = contents
        .iter()
        .filter_map(|(content, told)| Some((*content, told.accepted?)))
        .collect();
    if let [(_, one), (_, other), ..] = accepted.as_slice() {
        found.push(Violation::new(
            Invariant::M6,
            format!("{} was accepted with two contents", story.id),
            [*one, *other],
        ));
    }
    for (content, told) in &contents {
        if let (Some(accepted), Some(refused)) = (told.accepted, told.refused) {
            found.push(Violation::new(
                Invariant::M6,
                format!(
                    "{}: content {content} was both accepted and refused",
                    story.id
                ),
                [accepted, refused],
            ));
        }
    }
    if let ([(only, told)], None) = (
        contents.iter().collect::<Vec<_>>().as_slice(),
        &story.committed,
    ) && let Some(refused) = told.refused
    {
        found.push(Violation::new(
            Invariant::M6,
            format!(
                "{}: content {only} was refused, and there never was another",
                story.id
            ),
            [refused],
        ));
    }
    effects(story, &contents, found);
}

/// What arrived is what was accepted.
fn effects(story: &Story<'_>, contents: &BTreeMap<&str, Told>, found: &mut Vec<Violation>) {
    for effect in &story.effects {
        let (key, content) = &effect.what;
        let sent = match &story.committed {
            Some(committed) => committed.what.business == *content,
            None => contents
                .get(content.as_str())
                .is_some_and(|told| told.refused.is_none()),
        };
        // Of one that nobody sent, M1 tells.
        let anything_sent = story.committed.is_some() || !contents.is_empty();
        if anything_sent && !sent {
            found.push(Violation::new(
                Invariant::M6,
                format!("{key} arrived with content {content}, which was not accepted"),
                [effect.line],
            ));
        }
    }
}
