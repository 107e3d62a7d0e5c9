//! How far a purge has come, over several calls: in memory only, since all of it can be found again.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{super::range::Range, keys::Key};

/// One way through all of history.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Progress {
    /// Where row by row has come to.
    pub(super) reached: Option<Uuid>,
    /// The range that is being looked through: `since`, where that has come to, and how many rows it was.
    looking: Option<(i64, Uuid, usize)>,
    /// Ranges, by `since`, that something unfinished or young holds.
    held: BTreeSet<i64>,
    /// Ranges that could not be dropped just now.
    passed_by: BTreeSet<i64>,
    /// The ordered keys after which those that nothing is left of are to be forgotten.
    pub(super) forgetting: Option<Key>,
}

impl Progress {
    pub(super) fn is_held(&self, range: Range) -> bool {
        self.held.contains(&range.since) || self.passed_by.contains(&range.since)
    }

    pub(super) fn hold(&mut self, range: Range) {
        self.looking = None;
        self.held.insert(range.since);
    }

    pub(super) fn pass_by(&mut self, range: Range) {
        self.looking = None;
        self.passed_by.insert(range.since);
    }

    pub(super) fn dropped(&mut self) {
        self.looking = None;
        self.forgetting = Some(Key::default());
    }

    /// After which id, and how many rows came before it.
    pub(super) fn looked_at(&self, range: Range) -> (Uuid, usize) {
        match self.looking {
            Some((since, last, rows)) if since == range.since => (last, rows),
            _ => (range.first(), 0),
        }
    }

    pub(super) fn look_on(&mut self, range: Range, last: Uuid, rows: usize) {
        self.looking = Some((range.since, last, rows));
    }

    /// Where rows are purged one by one, from the oldest on: what was there before there were ranges, the ranges that are
    /// held, and what has no range yet.
    pub(super) fn spans(&self, ranges: &[Range]) -> Vec<(Uuid, Uuid)> {
        let late = ranges.last().map_or(Uuid::nil(), |last| last.end());
        let single = |range: &&Range| range.is_oldest() || self.held.contains(&range.since);
        let within = ranges.iter().filter(single);
        let spans = within.map(|range| (range.first(), range.end()));
        spans.chain([(late, Uuid::max())]).collect()
    }
}
