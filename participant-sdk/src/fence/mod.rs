//! What the fence says, apart from where its rows are kept: the same for every database and for the simulator.
//!
//! The rules, of which every dialect's SQL is only the hands:
//! - An outcome row is written once and never changed: `committed` by the local transaction itself, `rolled_back` by whoever
//!   had to find out. The database's primary key lets only one of them in.
//! - What was purged is not guessed: where a row may have been, and is no longer, nothing is inserted or run.
//!
//! Public for the model checker only, and no part of what is promised to stay.
//!
//! This module never reads a clock and never touches a database.

mod branch;

pub use branch::{Call, Held, Step, Wrote, branch, may_end};

use crate::planted::planted;

/// The outcome row of a local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Written by the local transaction, so visible only once it committed.
    Committed,
    /// Written from outside, so the local transaction can't commit any more.
    RolledBack,
    /// A word of a newer version: nothing may be concluded from it.
    Unheard,
}

impl Outcome {
    /// Reads what a row says.
    pub fn parse(text: &str) -> Self {
        match text {
            "committed" => Self::Committed,
            "rolled_back" => Self::RolledBack,
            _ => Self::Unheard,
        }
    }
}

/// Whether a row may be inserted for a transaction created at `created_us`, when rows from before `horizon_us` were
/// purged. SQL repeats this as a condition of its insert.
pub fn remembers(created_us: i64, horizon_us: i64) -> bool {
    let remembered = created_us >= horizon_us || planted!(HorizonIsIgnored);
    remembered && !planted!(FenceIsOnlyRead)
}

/// Whether COMMIT may be sent: the local transaction, asked last, still sees exactly its own row.
pub fn may_commit(own_rows: &[Outcome]) -> bool {
    own_rows == [Outcome::Committed] || planted!(FenceIsNotReadLast)
}

/// Whether an initiator's COMMIT may be sent: every Try was answered OK. One that is `under_way`, or was given up, is no OK.
pub fn all_tried(under_way: bool, failed: bool) -> bool {
    !(under_way || failed) || planted!(CommitsBeforeTry)
}

/// Whether a consumer's COMMIT may be sent: its transaction, asked last, still sees exactly its own inbox row, and rows of the
/// message's age have not been purged meanwhile. A purge may have taken away the row that would have made it a duplicate.
pub(crate) fn may_acknowledge(own_rows: i64, created_us: i64, horizon_us: i64) -> bool {
    own_rows == 1 && remembers(created_us, horizon_us)
}

/// What the fencing read found, after its insert was durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencingRead {
    /// The local transaction committed.
    Committed,
    /// It did not, and never will.
    RolledBack,
    /// The insert waited for an open local transaction until its patience was over. Nothing was inserted.
    InProgress,
    /// No row, and none may be inserted: rows of that age were purged.
    Forgotten,
    /// A row that this version doesn't understand, or none although one was inserted.
    Unclear,
}

/// Reads the row as it was after the insert.
pub fn fencing_read(row: Option<Outcome>, created_us: i64, horizon_us: i64) -> FencingRead {
    match row {
        Some(Outcome::Committed) => FencingRead::Committed,
        Some(Outcome::RolledBack) => FencingRead::RolledBack,
        Some(Outcome::Unheard) => FencingRead::Unclear,
        None if planted!(FenceIsOnlyRead) => FencingRead::RolledBack,
        None if remembers(created_us, horizon_us) => FencingRead::Unclear,
        None => FencingRead::Forgotten,
    }
}

/// What the inbox says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbox {
    /// Its row was inserted now: run the handler.
    New,
    /// Its row was there: acknowledge, run nothing.
    Duplicate,
    /// Rows of that age were purged, so nobody can say: run nothing, insert nothing.
    Forgotten,
}

/// Reads the inbox's insert. `row_there` is asked for only when nothing was inserted.
pub fn inbox(inserted_rows: u64, row_there: bool) -> Inbox {
    match (inserted_rows, row_there) {
        (0, true) if !planted!(InboxIsIgnored) => Inbox::Duplicate,
        (0, false) => Inbox::Forgotten,
        _ => Inbox::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_only_exactly_one_committed_row_lets_commit_through() {
        assert!(may_commit(&[Outcome::Committed]));
        for rows in [
            &[][..],
            &[Outcome::RolledBack],
            &[Outcome::Unheard],
            &[Outcome::Committed, Outcome::Committed],
            &[Outcome::Committed, Outcome::RolledBack],
        ] {
            assert!(!may_commit(rows), "{rows:?}");
        }
    }

    #[test]
    fn p5_fencing_read_truth_table() {
        let (horizon, younger, older) = (100, 100, 99);
        let table = [
            (Some(Outcome::Committed), younger, FencingRead::Committed),
            (Some(Outcome::Committed), older, FencingRead::Committed),
            (Some(Outcome::RolledBack), younger, FencingRead::RolledBack),
            (Some(Outcome::RolledBack), older, FencingRead::RolledBack),
            (Some(Outcome::Unheard), younger, FencingRead::Unclear),
            (Some(Outcome::Unheard), older, FencingRead::Unclear),
            (None, younger, FencingRead::Unclear),
            (None, older, FencingRead::Forgotten),
        ];
        for (row, created, expected) in table {
            assert_eq!(
                fencing_read(row, created, horizon),
                expected,
                "{row:?} {created}"
            );
        }
    }

    #[test]
    fn p8_inbox_truth_table() {
        assert_eq!(inbox(1, false), Inbox::New);
        assert_eq!(inbox(0, true), Inbox::Duplicate);
        assert_eq!(inbox(0, false), Inbox::Forgotten);
    }

    #[test]
    fn p8_only_an_own_row_within_the_horizon_lets_a_consumer_commit() {
        assert!(may_acknowledge(1, 100, 100));
        assert!(!may_acknowledge(0, 100, 100));
        assert!(!may_acknowledge(2, 100, 100));
        assert!(!may_acknowledge(1, 99, 100));
    }

    #[test]
    fn words_of_a_newer_version_conclude_nothing() {
        assert_eq!(Outcome::parse("committed"), Outcome::Committed);
        assert_eq!(Outcome::parse("rolled_back"), Outcome::RolledBack);
        for word in ["", "tried", "COMMITTED"] {
            assert_eq!(Outcome::parse(word), Outcome::Unheard);
        }
    }
}
