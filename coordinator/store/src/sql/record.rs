//! What is only ever added to, as it is kept: attempts that failed, and what operators did.

use earnest_protocol::{Name, Ordinal};

use super::column::{Cells, Columns, Read};
use crate::{AttemptKind, AttemptRow, AuditRow};

/// The columns that [`attempt`] expects, in order.
macro_rules! attempt_columns {
    () => {
        "transaction_id, ordinal, subscription, number, at, node, target, code, error, duration"
    };
}
/// The columns that [`audit`] expects, in order.
macro_rules! audit_columns {
    () => {
        "at, actor, action, transaction_id, detail"
    };
}
pub(crate) use {attempt_columns, audit_columns};

pub(crate) fn attempt<C: Cells>(mut c: Columns<'_, C>) -> Read<AttemptRow> {
    Ok(AttemptRow {
        transaction: c.id()?,
        kind: match c.int_option()? {
            None => {
                c.text_option()?;
                AttemptKind::CheckBack
            }
            Some(ordinal) => AttemptKind::Delivery(Ordinal(ordinal), c.parse_filled()?),
        },
        number: c.int()?,
        at: c.time()?,
        node: c.text()?,
        target: c.text()?,
        code: c.text()?,
        error: c.text()?,
        duration: c.duration()?,
    })
}

/// (ordinal, subscription); NULLs: a check-back.
pub(crate) fn attempt_kind(kind: &AttemptKind) -> (Option<i64>, Option<&str>) {
    match kind {
        AttemptKind::CheckBack => (None, None),
        AttemptKind::Delivery(ordinal, name) => (
            Some(i64::from(ordinal.0)),
            Some(name.as_ref().map_or("", Name::as_str)),
        ),
        AttemptKind::Branch(ordinal, _) => (Some(i64::from(ordinal.0)), None),
    }
}

pub(crate) fn audit<C: Cells>(mut c: Columns<'_, C>) -> Read<AuditRow> {
    Ok(AuditRow {
        at: c.time()?,
        actor: c.text()?,
        action: c.text()?,
        transaction: c.id_option()?,
        detail: c.text()?,
    })
}
