//! The table of subscriptions.

use std::sync::Arc;

use earnest_protocol::{Name, RetryPolicy, Topic};
use rusqlite::{Connection, Params, params};

use super::{
    column::{Columns, Read, corrupt, micros},
    error::Context,
};
use crate::{StoreError, SubscriptionRow};

macro_rules! columns {
    () => {
        "name, namespace, topic, destination, ordered, paused, concurrency, timeout, retry_initial, \
         retry_multiplier, retry_cap, updated_at"
    };
}

const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions WHERE namespace = ?1 AND name = ?2"
);
const OF_TOPIC: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions INDEXED BY subscriptions_topic WHERE namespace = ?1 AND topic = ?2 ORDER BY name"
);
const OF_NAMESPACE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions WHERE namespace = ?1 ORDER BY name"
);
const SELECT_ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions ORDER BY namespace, name"
);
const PUT: &str = concat!(
    "INSERT OR REPLACE INTO subscriptions (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
);
const DELETE: &str = "DELETE FROM subscriptions WHERE namespace = ?1 AND name = ?2";

pub(super) fn put(db: &Connection, row: &SubscriptionRow) -> Result<(), StoreError> {
    let context = "put a subscription";
    let destination =
        serde_json::to_string(&row.destination).map_err(|error| StoreError::Rejected {
            context: context.into(),
            source: Some(Box::new(error)),
        })?;
    let values = params![
        row.name.as_str(),
        row.namespace.as_str(),
        row.topic.as_str(),
        destination,
        row.ordered,
        row.paused,
        row.concurrency,
        micros(row.timeout),
        micros(row.retry.initial),
        row.retry.multiplier_milli,
        micros(row.retry.cap),
        row.updated_at.as_micros(),
    ];
    db.prepare_cached(PUT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

/// False: there was none.
pub(super) fn delete(db: &Connection, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
    let context = "delete a subscription";
    let values = [namespace.as_str(), name.as_str()];
    Ok(db
        .prepare_cached(DELETE)
        .context(context)?
        .execute(values)
        .context(context)?
        > 0)
}

pub(super) fn select(
    db: &Connection,
    namespace: &Name,
    name: &Name,
) -> Result<Option<SubscriptionRow>, StoreError> {
    Ok(query(db, SELECT, [namespace.as_str(), name.as_str()])?.pop())
}

/// By name.
pub(super) fn of_topic(
    db: &Connection,
    namespace: &Name,
    topic: &Topic,
) -> Result<Vec<Arc<SubscriptionRow>>, StoreError> {
    let rows = query(db, OF_TOPIC, [namespace.as_str(), topic.as_str()])?;
    Ok(rows.into_iter().map(Arc::new).collect())
}

/// By namespace and name.
pub(super) fn list(
    db: &Connection,
    namespace: Option<&Name>,
) -> Result<Vec<SubscriptionRow>, StoreError> {
    match namespace {
        Some(namespace) => query(db, OF_NAMESPACE, [namespace.as_str()]),
        None => query(db, SELECT_ALL, []),
    }
}

fn query(
    db: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Vec<SubscriptionRow>, StoreError> {
    let context = "read subscriptions";
    let mut statement = db.prepare_cached(sql).context(context)?;
    let mut rows = statement.query(values).context(context)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        found.push(read(Columns::of(row)).map_err(|why| corrupt("subscriptions", row, &why))?);
    }
    Ok(found)
}

fn read(mut c: Columns<'_, '_>) -> Read<SubscriptionRow> {
    Ok(SubscriptionRow {
        name: c.parse()?,
        namespace: c.parse()?,
        topic: c.parse()?,
        destination: c.json()?,
        ordered: c.get()?,
        paused: c.get()?,
        concurrency: c.get()?,
        timeout: c.duration()?,
        retry: RetryPolicy {
            initial: c.duration()?,
            multiplier_milli: c.get()?,
            cap: c.duration()?,
        },
        updated_at: c.time()?,
    })
}
