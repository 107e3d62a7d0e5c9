//! How far the coordinator's database was when it answered, kept to be held against it with later calls.
//!
//! A database that was restored from an old copy doesn't know what it has forgotten, and coordinators that have been
//! restarted don't either. Those who were answered do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use earnest_proto::v1::Mark;

/// Lines that are remembered, those heard of last. There is one for each lane of each run of a coordinator.
const LINES: usize = 16;

/// The highest mark of each line, of the latest incarnation, the one heard of last at the end.
#[derive(Default)]
pub(crate) struct Marks(Mutex<Vec<Mark>>);

impl Marks {
    fn lock(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, for a call.
    pub(crate) fn all(&self) -> Vec<Mark> {
        self.lock().clone()
    }

    /// Keeps what a reply carried.
    pub(crate) fn keep(&self, mark: Option<Mark>) {
        let Some(mut mark) = mark else { return };
        let mut marks = self.lock();
        if marks
            .iter()
            .any(|known| known.incarnation > mark.incarnation)
        {
            return;
        }
        // What was known of an earlier incarnation was given up by a person.
        marks.retain(|known| known.incarnation == mark.incarnation);
        if let Some(at) = marks.iter().position(|known| known.line == mark.line) {
            let known = marks.remove(at);
            if known.batches > mark.batches {
                mark = known;
            }
        } else if marks.len() == LINES {
            marks.remove(0);
        }
        marks.push(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(incarnation: i64, line: i64, batches: i64) -> Mark {
        Mark {
            incarnation,
            line,
            batches,
            at_us: 0,
        }
    }

    fn kept(marks: &[Mark]) -> Vec<(i64, i64)> {
        let all = Marks::default();
        all.keep(None);
        for mark in marks {
            all.keep(Some(*mark));
        }
        all.all()
            .iter()
            .map(|mark| (mark.line, mark.batches))
            .collect()
    }

    #[test]
    fn r5_the_highest_of_each_line_is_kept() {
        let heard = [
            mark(1, 7, 3),
            mark(1, 8, 1),
            mark(1, 7, 5),
            mark(1, 8, 1),
            mark(1, 7, 4),
        ];
        assert_eq!(kept(&heard), [(8, 1), (7, 5)]);
    }

    #[test]
    fn r5_what_was_given_up_is_let_go_of() {
        assert_eq!(
            kept(&[mark(1, 7, 9), mark(2, 8, 1), mark(1, 7, 10)]),
            [(8, 1)]
        );
    }

    #[test]
    fn r5_only_so_many_lines_are_remembered() {
        let heard: Vec<_> = (0..20).map(|line| mark(1, line, 1)).collect();
        let lines: Vec<_> = kept(&heard).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, (4..20).collect::<Vec<_>>());
    }
}
