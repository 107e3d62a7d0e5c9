//! What it means for waiting check-backs and branches that their service has registered.

use earnest_protocol::Timestamp;

use super::Rows;
use crate::{BranchRow, StoreError, TransactionRow};

/// Check-backs, and branches, that one registration looks at, the soonest due first: it is one step among others' writes.
pub(crate) const LOOKED_AT: usize = 1_024;

/// Asks again at once: of `waiting`, the service's free check-backs that are due later than `now`, those that nobody
/// answered so far. The wait between them was for a service that didn't answer, and here it is. (What was not asked about
/// yet keeps its `check_after`, an *in progress* its wait, and a deadline its time.)
pub(crate) fn ask_again<R: Rows>(
    rows: &mut R,
    waiting: Vec<TransactionRow>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let unanswered = |row: &TransactionRow| row.state.unanswered > 0;
    for mut row in waiting.into_iter().filter(unanswered) {
        row.check_due = Some(now);
        rows.update_transaction(&mut row)?;
    }
    Ok(())
}

/// Calls again at once: of `waiting`, the service's free branches that are due later than `now`, whatever their last call came to.
/// They may have waited for an instance that has moved, or for one over their database.
pub(crate) fn call_again<R: Rows>(
    rows: &mut R,
    waiting: Vec<BranchRow>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for mut row in waiting {
        row.due = Some(now);
        rows.update_branch(&row)?;
    }
    Ok(())
}
