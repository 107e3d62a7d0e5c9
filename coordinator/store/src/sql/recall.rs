//! Losses, as they are kept, and how a batch moves its line on.

use super::column::{Cells, Columns, Read};
use crate::{Loss, LossRow, Mark};

/// The columns that [`loss`] expects, in order.
macro_rules! loss_columns {
    () => {
        "incarnation, line, batches, at, found, kept_until, noticed_at, noticed_by"
    };
}
pub(crate) use loss_columns;

pub(crate) fn loss<C: Cells>(mut c: Columns<'_, C>) -> Read<LossRow> {
    Ok(LossRow {
        loss: Loss {
            acknowledged: Mark {
                incarnation: c.int()?,
                line: c.int()?,
                batches: c.int()?,
                at: c.time()?,
            },
            found: c.int_option()?,
        },
        kept_until: c.time_option()?,
        noticed_at: c.time()?,
        noticed_by: c.text()?,
    })
}

/// How a batch moves its line on.
pub(crate) struct LineStep {
    /// How many batches were found; `None`: the line is new.
    pub(crate) read: Option<i64>,
    pub(crate) to: Mark,
}
