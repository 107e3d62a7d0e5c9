//! Which numbers stand for the words of a branch.

use earnest_protocol::{BranchCall, BranchState};

pub(crate) fn state_number(state: BranchState) -> i64 {
    match state {
        BranchState::Registered => 1,
        BranchState::Trying => 2,
        BranchState::Tried => 3,
        BranchState::Pending => 4,
        BranchState::Done => 5,
        BranchState::Parked => 6,
    }
}

pub(crate) fn state(number: i64) -> Option<BranchState> {
    [
        BranchState::Registered,
        BranchState::Trying,
        BranchState::Tried,
        BranchState::Pending,
        BranchState::Done,
        BranchState::Parked,
    ]
    .into_iter()
    .find(|state| state_number(*state) == number)
}

pub(crate) fn call_number(call: BranchCall) -> i64 {
    match call {
        BranchCall::Try => 1,
        BranchCall::Confirm => 2,
        BranchCall::Cancel => 3,
    }
}

pub(crate) fn call(number: i64) -> Option<BranchCall> {
    [BranchCall::Try, BranchCall::Confirm, BranchCall::Cancel]
        .into_iter()
        .find(|call| call_number(*call) == number)
}

/// What must hold of every row that is read.
pub(crate) fn validate(row: &crate::BranchRow) -> Result<(), String> {
    let is_due = matches!(row.state, BranchState::Trying | BranchState::Pending);
    if (row.state == BranchState::Done) != row.done_at.is_some() {
        return Err("its state and the time of its end don't fit together".into());
    }
    if (row.state == BranchState::Parked) != row.parked.is_some() {
        return Err("its state and the reason don't fit together".into());
    }
    if row.due.is_some() && !is_due {
        return Err("it is due, though nothing is to be called".into());
    }
    Ok(())
}
