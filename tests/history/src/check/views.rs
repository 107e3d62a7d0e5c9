//! At rest it makes no difference who is asked. (That decisions don't differ is M3's.)

use super::story::{Run, Story};
use crate::invariant::{Invariant, Violation};

pub(super) fn check(run: &Run, story: &Story<'_>, found: &mut Vec<Violation>) {
    let Some(view) = &story.view else {
        return; // of what nobody knows, M5 tells
    };
    if story.further_views.len() + 1 < run.viewers {
        found.push(Violation::new(
            Invariant::M5,
            format!(
                "of those who were asked at rest, not everybody knows {}",
                story.id
            ),
            [view.line],
        ));
    }
    for other in story
        .further_views
        .iter()
        .filter(|other| other.what != view.what)
    {
        found.push(Violation::new(
            Invariant::K3,
            format!("{} is shown in different ways at rest", story.id),
            [view.line, other.line],
        ));
    }
}
