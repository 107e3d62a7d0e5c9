//! The table of services.

use earnest_protocol::Name;
use rusqlite::{Connection, Params, params};

use super::{
    column::{Columns, Read, corrupt},
    error::Context,
};
use crate::{ServiceRow, StoreError};

const SELECT: &str = "SELECT name, namespace, endpoints, updated_at FROM services WHERE namespace = ?1 AND name = ?2";
const OF_NAMESPACE: &str = "SELECT name, namespace, endpoints, updated_at FROM services WHERE namespace = ?1 ORDER BY name";
const SELECT_ALL: &str =
    "SELECT name, namespace, endpoints, updated_at FROM services ORDER BY namespace, name";
const PUT: &str = "INSERT OR REPLACE INTO services (name, namespace, endpoints, updated_at) VALUES (?1, ?2, ?3, ?4)";
const DELETE: &str = "DELETE FROM services WHERE namespace = ?1 AND name = ?2";

pub(super) fn put(db: &Connection, row: &ServiceRow) -> Result<(), StoreError> {
    let context = "put a service";
    let endpoints =
        serde_json::to_string(&row.endpoints).map_err(|error| StoreError::Rejected {
            context: context.into(),
            source: Some(Box::new(error)),
        })?;
    let values = params![
        row.name.as_str(),
        row.namespace.as_str(),
        endpoints,
        row.updated_at.as_micros()
    ];
    db.prepare_cached(PUT)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}

/// False: there was none.
pub(super) fn delete(db: &Connection, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
    let context = "delete a service";
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
) -> Result<Option<ServiceRow>, StoreError> {
    Ok(query(db, SELECT, [namespace.as_str(), name.as_str()])?.pop())
}

/// By namespace and name.
pub(super) fn list(
    db: &Connection,
    namespace: Option<&Name>,
) -> Result<Vec<ServiceRow>, StoreError> {
    match namespace {
        Some(namespace) => query(db, OF_NAMESPACE, [namespace.as_str()]),
        None => query(db, SELECT_ALL, []),
    }
}

fn query(db: &Connection, sql: &str, values: impl Params) -> Result<Vec<ServiceRow>, StoreError> {
    let context = "read services";
    let mut statement = db.prepare_cached(sql).context(context)?;
    let mut rows = statement.query(values).context(context)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().context(context)? {
        found.push(read(Columns::of(row)).map_err(|why| corrupt("services", row, &why))?);
    }
    Ok(found)
}

fn read(mut c: Columns<'_, '_>) -> Read<ServiceRow> {
    Ok(ServiceRow {
        name: c.parse()?,
        namespace: c.parse()?,
        endpoints: c.json()?,
        updated_at: c.time()?,
    })
}
