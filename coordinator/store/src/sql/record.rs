//! What is only ever added to, as it is kept: attempts that failed, and what operators did.

use earnest_protocol::{Name, Ordinal};

use super::{
    branch,
    column::{Cells, Columns, Read},
};
use crate::{AttemptKind, AttemptRow, AuditRow};

/// The columns that [`attempt`] expects, in order.
macro_rules! attempt_columns {
    () => {
        "transaction_id, ordinal, subscription, branch_call, number, at, node, target, code, error, duration"
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
        kind: kind(&mut c)?,
        number: c.int()?,
        at: c.time()?,
        node: c.text()?,
        target: c.text()?,
        code: c.text()?,
        error: c.text()?,
        duration: c.duration()?,
    })
}

fn kind<C: Cells>(c: &mut Columns<'_, C>) -> Read<AttemptKind> {
    let ordinal = c.int_option()?.map(Ordinal);
    let subscription = match c.text_option()?.as_deref() {
        None | Some("") => None,
        Some(name) => {
            let name: Result<Name, _> = name.parse();
            Some(name.map_err(|e| format!("column subscription: {e}"))?)
        }
    };
    let call = c.int_option::<i64>()?.map(|number| {
        let call = branch::call(number);
        call.ok_or_else(|| format!("column branch_call: {number} stands for no call"))
    });
    Ok(match (ordinal, call.transpose()?) {
        (None, _) => AttemptKind::CheckBack,
        (Some(ordinal), None) => AttemptKind::Delivery(ordinal, subscription),
        (Some(ordinal), Some(call)) => AttemptKind::Branch(ordinal, call),
    })
}

/// What says of which call an attempt is.
pub(crate) struct KindColumns<'a> {
    /// NULL: a check-back.
    pub(crate) ordinal: Option<i64>,
    /// Empty: none; NULL: no delivery.
    pub(crate) subscription: Option<&'a str>,
    /// NULL: no branch.
    pub(crate) branch_call: Option<i64>,
}

pub(crate) fn attempt_kind(kind: &AttemptKind) -> KindColumns<'_> {
    let (ordinal, subscription, branch_call) = match kind {
        AttemptKind::CheckBack => (None, None, None),
        AttemptKind::Delivery(ordinal, name) => {
            let name = name.as_ref().map_or("", Name::as_str);
            (Some(ordinal), Some(name), None)
        }
        AttemptKind::Branch(ordinal, call) => {
            (Some(ordinal), None, Some(branch::call_number(*call)))
        }
    };
    KindColumns {
        ordinal: ordinal.map(|ordinal| i64::from(ordinal.0)),
        subscription,
        branch_call,
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
