//! Branches, as they are kept: the hot row, and what it says, which is inserted once.

use std::collections::HashMap;

use bytes::Bytes;
use earnest_protocol::{BranchCall, BranchState, Name, Ordinal, ParkReason};

use super::column::{Cells, Columns, Read};
use crate::{Branch, BranchKey, BranchRow, StoreError};

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "transaction_id, ordinal, format, namespace, service, state, attempts, due, created_at, done_at, parked, \
         holder, token"
    };
}
/// The columns that [`content`] expects, in order.
macro_rules! content_columns {
    () => {
        "transaction_id, ordinal, action, resource_id, content_type, payload"
    };
}
pub(crate) use {columns, content_columns};

pub(crate) fn read<C: Cells>(mut c: Columns<'_, C>) -> Read<BranchRow> {
    let key = key(&mut c)?;
    c.format()?;
    let row = BranchRow {
        key,
        namespace: c.parse()?,
        service: c.parse()?,
        state: c.word(state)?,
        attempts: c.int()?,
        due: c.time_option()?,
        created_at: c.time()?,
        done_at: c.time_option()?,
        parked: c.text_option()?.map(ParkReason::new),
        holder: c.holder()?,
        token: c.token()?,
    };
    validate(&row)?;
    Ok(row)
}

fn key<C: Cells>(c: &mut Columns<'_, C>) -> Read<BranchKey> {
    Ok(BranchKey {
        transaction: c.id()?,
        ordinal: Ordinal(c.int()?),
    })
}

/// What a branch says, but for whom it calls, which stands in its row.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    action: Name,
    resource_id: String,
    media_type: String,
    payload: Bytes,
}

impl Content {
    /// With whom the row calls.
    pub(crate) fn of(self, row: &BranchRow) -> Branch {
        Branch {
            service: row.service.clone(),
            action: self.action,
            resource_id: self.resource_id,
            content_type: self.media_type,
            payload: self.payload,
        }
    }
}

/// Whose it is, and what it says.
pub(crate) fn content<C: Cells>(mut c: Columns<'_, C>) -> Read<(BranchKey, Content)> {
    let key = key(&mut c)?;
    let content = Content {
        action: c.parse()?,
        resource_id: c.text()?,
        media_type: c.text()?,
        payload: Bytes::copy_from_slice(c.bytes()?),
    };
    Ok((key, content))
}

/// Each row with what it says.
pub(crate) fn whole(
    rows: Vec<BranchRow>,
    contents: Vec<(BranchKey, Content)>,
) -> Result<Vec<(BranchRow, Branch)>, StoreError> {
    let mut contents: HashMap<BranchKey, Content> = contents.into_iter().collect();
    let whole = rows.into_iter().map(|row| match contents.remove(&row.key) {
        Some(content) => {
            let content = content.of(&row);
            Ok((row, content))
        }
        None => Err(StoreError::Corrupt(format!(
            "{}: what it says is gone",
            row.key
        ))),
    });
    whole.collect()
}

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
pub(crate) fn validate(row: &BranchRow) -> Result<(), String> {
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
