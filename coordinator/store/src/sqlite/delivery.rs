//! The table of deliveries: one row to a [`DeliveryRow`] and back.

use earnest_protocol::{
    DeliveryState, Name, NodeEpoch, Ordinal, ParkReason, Timestamp, TransactionId,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{
    column::{Columns, FORMAT, Read, corrupt},
    error::{Context, unavailable},
};
use crate::{DeliveryKey, DeliveryRow, StoreError, planted::planted};

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "transaction_id, ordinal, subscription, format, namespace, state, attempts, due, created_at, done_at, \
         parked, order_key, order_position, holder, token"
    };
}
pub(super) use columns;

macro_rules! by_key {
    () => {
        " WHERE transaction_id = ?1 AND ordinal = ?2 AND subscription = ?3"
    };
}

const SELECT: &str = concat!("SELECT ", columns!(), " FROM deliveries", by_key!());
const SELECT_ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM deliveries WHERE transaction_id = ?1 ORDER BY ordinal, subscription"
);
const INSERT: &str = concat!(
    "INSERT INTO deliveries (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
);
const UPDATE: &str = concat!(
    "UPDATE deliveries SET state = ?4, attempts = ?5, due = ?6, done_at = ?7, parked = ?8, holder = ?9, token = ?10",
    by_key!()
);
const DELETE: &str = concat!("DELETE FROM deliveries", by_key!());
/// INDEXED BY, here and below: on an empty table the planner guesses otherwise, and keeps to it (and a test
/// fails when the index doesn't serve any more).
pub(super) const ORDER_LAST: &str = "SELECT order_position FROM deliveries INDEXED BY deliveries_order \
     WHERE order_key IS NOT NULL AND namespace = ?1 AND subscription = ?2 AND order_key = ?3 \
     ORDER BY order_position DESC LIMIT 1";
pub(super) const ORDER_HEAD: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM deliveries INDEXED BY deliveries_order_owed \
     WHERE order_key IS NOT NULL AND done_at IS NULL AND namespace = ?1 AND subscription = ?2 AND order_key = ?3 \
     ORDER BY order_position LIMIT 1"
);

pub(super) fn insert(db: &Connection, row: &DeliveryRow) -> Result<(), StoreError> {
    let context = "record a delivery";
    let (order_key, order_position) = row.order.as_ref().map(|(key, at)| (key, at)).unzip();
    let values = params![
        row.key.transaction.as_bytes(),
        row.key.ordinal.0,
        subscription(&row.key),
        FORMAT,
        row.namespace.as_str(),
        state_number(row.state),
        row.attempts,
        row.due.map(Timestamp::as_micros),
        row.created_at.as_micros(),
        row.done_at.map(Timestamp::as_micros),
        row.parked.as_ref().map(ParkReason::as_str),
        order_key,
        order_position,
        row.holder.map(|NodeEpoch(epoch)| epoch),
        row.token.0,
    ];
    db.prepare_cached(INSERT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

pub(super) fn update(db: &Connection, row: &DeliveryRow) -> Result<(), StoreError> {
    let context = "step a delivery";
    let values = params![
        row.key.transaction.as_bytes(),
        row.key.ordinal.0,
        subscription(&row.key),
        state_number(row.state),
        row.attempts,
        row.due.map(Timestamp::as_micros),
        row.done_at.map(Timestamp::as_micros),
        row.parked.as_ref().map(ParkReason::as_str),
        row.holder.map(|NodeEpoch(epoch)| epoch),
        row.token.0,
    ];
    let changed = db
        .prepare_cached(UPDATE)
        .context(context)?
        .execute(values)
        .context(context)?;
    exactly_one(changed, &row.key)
}

pub(super) fn delete(db: &Connection, key: &DeliveryKey) -> Result<(), StoreError> {
    let context = "remove a delivery";
    let values = params![key.transaction.as_bytes(), key.ordinal.0, subscription(key)];
    let changed = db
        .prepare_cached(DELETE)
        .context(context)?
        .execute(values)
        .context(context)?;
    exactly_one(changed, key)
}

fn exactly_one(changed: usize, key: &DeliveryKey) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(unavailable(format!(
            "delivery {key} was not written: it is gone"
        )))
    }
}

pub(super) fn select(
    db: &Connection,
    key: &DeliveryKey,
) -> Result<Option<DeliveryRow>, StoreError> {
    one(
        db,
        SELECT,
        params![key.transaction.as_bytes(), key.ordinal.0, subscription(key)],
    )
}

pub(super) fn select_all(
    db: &Connection,
    id: TransactionId,
) -> Result<Vec<DeliveryRow>, StoreError> {
    all(db, SELECT_ALL, [id.as_bytes()])
}

/// The highest position of an ordered key, and whether any of its deliveries is not done.
pub(super) fn order_tail(
    db: &Connection,
    namespace: &Name,
    subscription: &Name,
    key: &str,
) -> Result<Option<(i64, bool)>, StoreError> {
    let context = "read the end of an ordered key";
    let values = [namespace.as_str(), subscription.as_str(), key];
    let last = db
        .prepare_cached(ORDER_LAST)
        .context(context)?
        .query_row(values, |row| row.get(0))
        .optional();
    let Some(last) = last.context(context)? else {
        return Ok(None);
    };
    let owed = db
        .prepare_cached(ORDER_HEAD)
        .context(context)?
        .exists(values)
        .context(context)?;
    Ok(Some((last, owed && !planted!(SqliteKeyIsNeverBusy))))
}

/// The first delivery of an ordered key that is not done.
pub(super) fn order_head(
    db: &Connection,
    namespace: &Name,
    subscription: &Name,
    key: &str,
) -> Result<Option<DeliveryRow>, StoreError> {
    one(
        db,
        ORDER_HEAD,
        [namespace.as_str(), subscription.as_str(), key],
    )
}

fn one(db: &Connection, sql: &str, values: impl Params) -> Result<Option<DeliveryRow>, StoreError> {
    let context = "read a delivery";
    let mut statement = db.prepare_cached(sql).context(context)?;
    statement
        .query_row(values, |row| Ok(read(row)))
        .optional()
        .context(context)?
        .transpose()
}

/// Runs a query that gives the columns of a delivery.
pub(super) fn all(
    db: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let context = "read deliveries";
    let mut statement = db.prepare_cached(sql).context(context)?;
    let mut rows = statement.query(values).context(context)?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        deliveries.push(read(row)?);
    }
    Ok(deliveries)
}

fn subscription(key: &DeliveryKey) -> &str {
    key.subscription.as_ref().map_or("", Name::as_str)
}

fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => 1,
        DeliveryState::Done => 2,
        DeliveryState::Parked => PARKED,
    }
}

/// How *parked* is kept.
pub(super) const PARKED: i64 = 3;

pub(super) fn read(row: &Row<'_>) -> Result<DeliveryRow, StoreError> {
    read_columns(Columns::of(row)).map_err(|why| corrupt("deliveries", row, &why))
}

fn read_columns(mut c: Columns<'_, '_>) -> Read<DeliveryRow> {
    let key = DeliveryKey {
        transaction: c.id()?,
        ordinal: Ordinal(c.get()?),
        subscription: c.parse_filled()?,
    };
    c.format()?;
    let row = DeliveryRow {
        key,
        namespace: c.parse()?,
        state: c.word(|n| match n {
            1 => Some(DeliveryState::Pending),
            2 => Some(DeliveryState::Done),
            PARKED => Some(DeliveryState::Parked),
            _ => None,
        })?,
        attempts: c.get()?,
        due: c.time_option()?,
        created_at: c.time()?,
        done_at: c.time_option()?,
        parked: c.get::<Option<String>>()?.map(ParkReason::new),
        order: c.get::<Option<String>>()?.zip(c.get()?),
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
