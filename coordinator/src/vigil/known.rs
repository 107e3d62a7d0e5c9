//! Marks, the highest of each line: this node's own, and those that clients brought of other nodes.

use std::collections::{BTreeMap, HashMap};

use earnest_store::{Mark, Recall};

/// Lines of others that are remembered; what is forgotten costs a question.
const LINES: usize = 4_096;

/// What is known of each line.
#[derive(Default)]
pub(super) struct Known {
    incarnation: i64,
    own: BTreeMap<i64, Mark>,
    newest: Option<Mark>,
    others: HashMap<i64, Other>,
}

/// A line of another node, or of a run before this one.
struct Other {
    /// Batches that the database was seen to have, in this incarnation.
    there: i64,
    /// A higher mark that a client brought and that is to be asked about.
    ahead: Option<Mark>,
}

impl Known {
    pub(super) fn own(&self, line: i64) -> Option<Mark> {
        self.own.get(&line).copied()
    }

    pub(super) fn newest(&self) -> Option<Mark> {
        self.newest
    }

    pub(super) fn wrote(&mut self, mark: Mark) {
        self.own.insert(mark.line, mark);
        self.newest = Some(mark);
    }

    /// Those of `marks` that can be neither passed over nor left for the next look.
    pub(super) fn unknown(&mut self, marks: &[Mark]) -> Vec<Mark> {
        let mut unknown = Vec::new();
        for mark in marks
            .iter()
            .filter(|mark| mark.incarnation >= self.incarnation)
        {
            let own = self.own.get(&mark.line);
            if own.is_some_and(|own| {
                own.incarnation == mark.incarnation && own.batches >= mark.batches
            }) {
                continue;
            }
            match self.others.get_mut(&mark.line) {
                Some(other) if mark.incarnation == self.incarnation => {
                    let ahead = other.ahead.map_or(other.there, |ahead| ahead.batches);
                    if mark.batches > ahead {
                        other.ahead = Some(*mark);
                    }
                }
                _ => unknown.push(*mark),
            }
        }
        unknown
    }

    /// What the next look asks about.
    pub(super) fn to_ask(&self) -> Vec<Mark> {
        let ahead = self.others.values().filter_map(|other| other.ahead);
        self.own.values().copied().chain(ahead).collect()
    }

    /// What the database said.
    pub(super) fn heard(&mut self, recall: &Recall) {
        if recall.incarnation != self.incarnation || self.others.len() >= LINES {
            self.incarnation = recall.incarnation;
            self.others.clear();
        }
        for (line, there) in recall
            .lines
            .iter()
            .filter(|(line, _)| !self.own.contains_key(line))
        {
            let known = self.others.entry(*line).or_insert(Other {
                there: 0,
                ahead: None,
            });
            known.there = known.there.max(*there);
            // What is still ahead is missing, and noticed.
            known.ahead = known.ahead.filter(|ahead| ahead.batches > *there);
        }
    }
}

#[cfg(test)]
mod tests {
    use earnest_protocol::Timestamp;

    use super::*;

    fn mark(line: i64, batches: i64) -> Mark {
        let at = Timestamp::from_micros(0);
        Mark {
            incarnation: 2,
            line,
            batches,
            at,
        }
    }

    fn recall(lines: &[(i64, i64)]) -> Recall {
        Recall {
            incarnation: 2,
            lines: lines.iter().copied().collect(),
            losses: vec![],
            format: 1,
        }
    }

    #[test]
    fn r5_a_new_line_is_asked_about_at_once_and_a_known_one_with_the_next_look() {
        let mut known = Known::default();
        known.heard(&recall(&[]));
        known.wrote(mark(1, 5));
        assert_eq!(known.unknown(&[mark(1, 5), mark(7, 3)]), [mark(7, 3)]);
        known.heard(&recall(&[(7, 3)]));
        assert_eq!(known.unknown(&[mark(7, 2), mark(7, 3)]), []);
        assert_eq!(known.to_ask(), [mark(1, 5)]);
        assert_eq!(known.unknown(&[mark(7, 9), mark(7, 4)]), []);
        assert_eq!(known.to_ask(), [mark(1, 5), mark(7, 9)]);
        known.heard(&recall(&[(7, 9)]));
        assert_eq!(known.to_ask(), [mark(1, 5)]);
    }

    #[test]
    fn r5_what_was_accepted_is_passed_over_and_what_is_newer_asked_about() {
        let mut known = Known::default();
        known.heard(&recall(&[(7, 3)]));
        let older = Mark {
            incarnation: 1,
            ..mark(8, 9)
        };
        let newer = Mark {
            incarnation: 3,
            ..mark(7, 1)
        };
        assert_eq!(known.unknown(&[older, newer]), [newer]);
        let over = Mark {
            batches: 6,
            ..mark(1, 0)
        };
        known.wrote(mark(1, 5));
        assert_eq!(
            known.unknown(&[over]),
            [over],
            "more than this node has told anybody"
        );
    }
}
