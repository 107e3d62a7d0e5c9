//! What the fence says about the calls of a TCC branch, however often and in whatever order they come (DESIGN §3.4, P7).

use super::remembers;
use crate::planted::planted;

/// A call of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Reserve.
    Try,
    /// Use what is reserved.
    Confirm,
    /// Give back what is reserved.
    Cancel,
}

/// The row of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// Reserved.
    Tried,
    /// What was reserved is used.
    Confirmed,
    /// What was reserved is given back, or a Cancel came before any Try and bars it.
    Cancelled,
    /// A word of a newer version: nothing may be concluded from it.
    Unheard,
}

impl Held {
    /// Reads what a row says.
    pub fn parse(text: &str) -> Self {
        match text {
            "tried" => Self::Tried,
            "confirmed" => Self::Confirmed,
            "cancelled" => Self::Cancelled,
            _ => Self::Unheard,
        }
    }
}

/// What this call's own statements changed. Try inserts `tried`; Confirm turns `tried` into `confirmed`; Cancel inserts
/// `cancelled` or, failing that, turns `tried` into `cancelled`. Nothing else is ever written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// A row where there was none.
    Inserted,
    /// The row that Try had left.
    Moved,
    /// Nothing. The row as it stands, read with a lock after the statements; `None`: there is none.
    Nothing(Option<Held>),
}

/// What to do with the call, in the local transaction that the rows were written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the business code and commit.
    Run,
    /// Commit the row that bars the late Try, and run nothing but the hook for Trys with effects elsewhere.
    Empty,
    /// It was done before: answer OK, run nothing.
    Done,
    /// A Try after its Cancel: refuse it, run nothing.
    Barred,
    /// It can never succeed, for this reason: run nothing.
    Failed(&'static str),
    /// A row that this version doesn't understand: answer nothing, so that it is tried again.
    Unclear,
}

impl Wrote {
    /// How the row stands now, where this call wrote it.
    pub fn stands(self, call: Call) -> Option<Held> {
        match (self, call) {
            (Self::Nothing(_), _) => None,
            (_, Call::Try) => Some(Held::Tried),
            (_, Call::Confirm) => Some(Held::Confirmed),
            (_, Call::Cancel) => Some(Held::Cancelled),
        }
    }
}

/// Whether COMMIT may be sent: the local transaction, asked last, still sees the row as it wrote it; and where it was
/// inserted, rows of that age have not been purged meanwhile, one of which may have been the row that bars this call.
pub fn may_end(
    wrote: Wrote,
    stands: Option<Held>,
    call: Call,
    created_us: i64,
    horizon_us: i64,
) -> bool {
    if matches!(wrote, Wrote::Nothing(_)) {
        // Nothing runs on a row that this call did not write.
        return runs_on_what_stands();
    }
    let remembered = wrote != Wrote::Inserted || remembers(created_us, horizon_us);
    stands.is_some() && stands == wrote.stands(call) && remembered
}

/// A planted defect lets a call run on a row that it did not write.
fn runs_on_what_stands() -> bool {
    [
        planted!(LateTryRuns),
        planted!(ConfirmRunsTwice),
        planted!(ConfirmNeedsNoTry),
        planted!(CancelUndoesConfirm),
    ]
    .contains(&true)
}

/// Planted defects let a call run on a row that another call wrote: here, which on which.
fn runs_on(call: Call, row: Option<Held>) -> bool {
    [
        (Call::Try, Some(Held::Cancelled), planted!(LateTryRuns)),
        (
            Call::Confirm,
            Some(Held::Confirmed),
            planted!(ConfirmRunsTwice),
        ),
        (Call::Confirm, None, planted!(ConfirmNeedsNoTry)),
        (
            Call::Cancel,
            Some(Held::Confirmed),
            planted!(CancelUndoesConfirm),
        ),
    ]
    .contains(&(call, row, true))
}

/// The rule for one call of a transaction created at `created_us`, when rows from before `horizon_us` were purged.
pub fn branch(call: Call, wrote: Wrote, created_us: i64, horizon_us: i64) -> Step {
    let row = match wrote {
        Wrote::Inserted if call == Call::Cancel => return Step::Empty,
        Wrote::Inserted | Wrote::Moved => return Step::Run,
        Wrote::Nothing(row) => row,
    };
    if runs_on(call, row) {
        return Step::Run;
    }
    match (call, row) {
        (Call::Try, Some(Held::Tried | Held::Confirmed))
        | (Call::Confirm, Some(Held::Confirmed))
        | (Call::Cancel, Some(Held::Cancelled)) => Step::Done,
        (Call::Try, Some(Held::Cancelled)) => Step::Barred,
        (Call::Confirm, Some(Held::Cancelled)) => {
            Step::Failed("the branch was cancelled here before, so it can't be confirmed")
        }
        (Call::Cancel, Some(Held::Confirmed)) => {
            Step::Failed("the branch was confirmed here before, so it can't be cancelled")
        }
        // *Tried* would have been moved: somebody else changed it between the two statements.
        (Call::Confirm | Call::Cancel, Some(Held::Tried)) | (_, Some(Held::Unheard)) => {
            Step::Unclear
        }
        (_, None) if !remembers(created_us, horizon_us) => Step::Failed(
            "what was known of a branch of this age is purged here, so nobody can tell",
        ),
        (Call::Confirm, None) => Step::Failed("the branch was never tried here"),
        // It would have been inserted.
        (Call::Try | Call::Cancel, None) => Step::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_truth_table() {
        let (horizon, younger, older) = (100, 100, 99);
        let done = |call, wrote| branch(call, wrote, younger, horizon);
        let found = |call, row| done(call, Wrote::Nothing(Some(row)));
        let failed = |step| matches!(step, Step::Failed(_));
        assert_eq!(done(Call::Try, Wrote::Inserted), Step::Run);
        assert_eq!(found(Call::Try, Held::Tried), Step::Done);
        assert_eq!(found(Call::Try, Held::Confirmed), Step::Done);
        assert_eq!(found(Call::Try, Held::Cancelled), Step::Barred);
        assert_eq!(done(Call::Confirm, Wrote::Moved), Step::Run);
        assert_eq!(found(Call::Confirm, Held::Confirmed), Step::Done);
        assert!(failed(found(Call::Confirm, Held::Cancelled)));
        assert!(failed(done(Call::Confirm, Wrote::Nothing(None))));
        assert_eq!(done(Call::Cancel, Wrote::Inserted), Step::Empty);
        assert_eq!(done(Call::Cancel, Wrote::Moved), Step::Run);
        assert_eq!(found(Call::Cancel, Held::Cancelled), Step::Done);
        assert!(failed(found(Call::Cancel, Held::Confirmed)));
        for call in [Call::Try, Call::Confirm, Call::Cancel] {
            assert_eq!(found(call, Held::Unheard), Step::Unclear);
            assert!(failed(branch(call, Wrote::Nothing(None), older, horizon)));
        }
    }

    #[test]
    fn words_of_a_newer_version_conclude_nothing() {
        assert_eq!(Held::parse("tried"), Held::Tried);
        assert_eq!(Held::parse("confirmed"), Held::Confirmed);
        assert_eq!(Held::parse("cancelled"), Held::Cancelled);
        assert_eq!(Held::parse("committed"), Held::Unheard);
    }
}
