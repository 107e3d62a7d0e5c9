//! How far a database has come, as numbers that whoever was answered can keep: one that comes back with lower ones has
//! forgotten what it acknowledged (R5).
//!
//! Each batch that writes advances the counter of its *line*: a lane of one run of a node, so that no two batches of
//! the same moment share a row. The line's number is drawn by chance, so that no other run ever has it again, not even
//! over an older copy of the database. An *incarnation* is the time until a person accepts that something was lost; what
//! is missing of an earlier one no longer matters.

use std::{collections::HashMap, fmt};

use earnest_protocol::Timestamp;

use crate::StoreError;

/// The incarnation of a database of which nothing was ever accepted to be lost.
pub(crate) const FIRST_INCARNATION: i64 = 1;

/// A database that acknowledged this holds at least so many batches of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The database's, when the batch was written.
    pub incarnation: i64,
    /// Whose batches are counted.
    pub line: i64,
    /// How many there were.
    pub batches: i64,
    /// When the last of them was written, by the store's time; only for people.
    pub at: Timestamp,
}

impl Mark {
    /// What is missing of it in a database that is in `incarnation` and holds `found` batches of its line there.
    pub(crate) fn missing(&self, incarnation: i64, found: Option<i64>) -> Option<Loss> {
        let lost = match self.incarnation.cmp(&incarnation) {
            // A person has accepted it.
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => found.is_none_or(|found| found < self.batches),
            // Even that a person accepted something is forgotten.
            std::cmp::Ordering::Greater => true,
        };
        lost.then_some(Loss {
            acknowledged: *self,
            found: found.filter(|_| self.incarnation == incarnation),
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batch {} of line {:x} in incarnation {} ({})",
            self.batches, self.line, self.incarnation, self.at
        )
    }
}

/// The line that a batch advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Its number.
    pub id: i64,
    /// The highest mark of it that was acknowledged; a database that has forgotten it is not written to.
    pub last: Option<Mark>,
}

/// Where a batch found its line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) incarnation: i64,
    /// `None`: the line is new.
    pub(crate) batches: Option<i64>,
}

impl Line {
    /// Refuses a database that has forgotten what it acknowledged of this line.
    pub(crate) fn check(&self, found: Found) -> Result<(), StoreError> {
        let missing = |last: Mark| last.missing(found.incarnation, found.batches);
        match self.last.and_then(missing) {
            None => Ok(()),
            Some(loss) => Err(StoreError::Forgot(Box::new(loss))),
        }
    }

    /// The mark of the batch that is written now.
    pub(crate) fn next(&self, found: Found, now: Timestamp) -> Mark {
        Mark {
            incarnation: found.incarnation,
            line: self.id,
            batches: found.batches.unwrap_or(0) + 1,
            at: now,
        }
    }
}

/// What was acknowledged and is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// What was acknowledged.
    pub acknowledged: Mark,
    /// How many batches of that line the database remembers; `None`: it doesn't know the line.
    pub found: Option<i64>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was acknowledged, and the database ",
            self.acknowledged
        )?;
        match self.found {
            Some(found) => write!(f, "remembers {found} batches of that line"),
            None => f.write_str("does not know that line"),
        }
    }
}

/// A loss as it is recorded in the database, so that every node and every person hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossRow {
    /// What is missing.
    pub loss: Loss,
    /// The newest batch of any line that the database still has of the time before; what came between it and
    /// `loss.acknowledged.at` is gone. `None`: nothing of that time is left.
    pub kept_until: Option<Timestamp>,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// The node that noticed it.
    pub noticed_by: String,
}

/// What a database remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recall {
    /// The incarnation that it is in.
    pub incarnation: i64,
    /// Batches of those lines that were asked about and that it knows, in this incarnation.
    pub lines: HashMap<i64, i64>,
    /// Losses that were reported and that nobody has accepted.
    pub losses: Vec<LossRow>,
    /// The lowest format of rows that every living node understands: nothing newer may be written (DESIGN §6).
    pub format: i64,
}

impl Recall {
    /// What is missing of `mark`, whose line was asked about.
    pub fn missing(&self, mark: &Mark) -> Option<Loss> {
        mark.missing(self.incarnation, self.lines.get(&mark.line).copied())
    }
}

/// The incarnation after all that `losses` knew of.
pub(crate) fn next_incarnation(present: i64, losses: &[LossRow]) -> i64 {
    let known = losses.iter().map(|row| row.loss.acknowledged.incarnation);
    known.fold(present, i64::max) + 1
}

/// The audit line of an acceptance.
pub(crate) const ACCEPTED: &str = "accept-database-loss";

/// What the audit says of an acceptance.
pub(crate) fn accepted(reason: &str, to: i64, losses: &[LossRow]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = losses
        .iter()
        .take(SHOWN)
        .map(|row| row.loss.to_string())
        .collect();
    let more = losses.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    format!(
        "{reason} [incarnation {to} begins; given up: {}{more}]",
        shown.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(incarnation: i64, batches: i64) -> Mark {
        let at = Timestamp::from_micros(0);
        Mark {
            incarnation,
            line: 7,
            batches,
            at,
        }
    }

    #[test]
    fn r5_only_what_the_present_incarnation_acknowledged_is_missed() {
        let missing = |of: Mark, found| of.missing(2, found).map(|loss| loss.found);
        assert_eq!(missing(mark(2, 5), Some(5)), None);
        assert_eq!(missing(mark(2, 5), Some(6)), None);
        assert_eq!(missing(mark(2, 5), Some(4)), Some(Some(4)));
        assert_eq!(missing(mark(2, 5), None), Some(None));
        assert_eq!(missing(mark(1, 5), None), None, "accepted");
        assert_eq!(
            missing(mark(3, 5), Some(9)),
            Some(None),
            "the acceptance itself is lost"
        );
    }

    #[test]
    fn r5_a_new_incarnation_is_above_all_that_is_known() {
        let row = |incarnation| LossRow {
            loss: Loss {
                acknowledged: mark(incarnation, 1),
                found: None,
            },
            kept_until: None,
            noticed_at: Timestamp::from_micros(0),
            noticed_by: "a".into(),
        };
        assert_eq!(next_incarnation(1, &[row(1)]), 2);
        assert_eq!(next_incarnation(1, &[row(4), row(2)]), 5);
    }
}
