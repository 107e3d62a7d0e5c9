//! Deliveries, as they are kept.

use earnest_protocol::{DeliveryState, Name, Ordinal, ParkReason};

use super::column::{Cells, Columns, Read};
use crate::{DeliveryKey, DeliveryRow};

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "transaction_id, ordinal, subscription, format, namespace, state, attempts, due, created_at, done_at, \
         parked, order_key, order_position, holder, token"
    };
}
pub(crate) use columns;

pub(crate) fn read<C: Cells>(mut c: Columns<'_, C>) -> Read<DeliveryRow> {
    let key = DeliveryKey {
        transaction: c.id()?,
        ordinal: Ordinal(c.int()?),
        subscription: c.parse_filled()?,
    };
    c.format()?;
    let row = DeliveryRow {
        key,
        namespace: c.parse()?,
        state: c.word(|n| match n {
            PENDING => Some(DeliveryState::Pending),
            DONE => Some(DeliveryState::Done),
            PARKED => Some(DeliveryState::Parked),
            _ => None,
        })?,
        attempts: c.int()?,
        due: c.time_option()?,
        created_at: c.time()?,
        done_at: c.time_option()?,
        parked: c.text_option()?.map(ParkReason::new),
        order: c.text_option()?.zip(c.int_option()?),
        holder: c.holder()?,
        token: c.token()?,
    };
    if (row.state == DeliveryState::Done) != row.done_at.is_some() {
        return Err("its state and the time of its end don't fit together".into());
    }
    if row.due.is_some() && row.state != DeliveryState::Pending {
        return Err("it is due, though nothing is owed".into());
    }
    Ok(row)
}

/// How *pending* is kept.
pub(crate) const PENDING: i64 = 1;
/// How *done* is kept.
pub(crate) const DONE: i64 = 2;
/// How *parked* is kept.
pub(crate) const PARKED: i64 = 3;

pub(crate) fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::Done => DONE,
        DeliveryState::Parked => PARKED,
    }
}

/// Empty: the topic had none.
pub(crate) fn subscription(key: &DeliveryKey) -> &str {
    key.subscription.as_ref().map_or("", Name::as_str)
}
