//! Single facts about the database.

use earnest_protocol::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::Context;
use crate::StoreError;

const PURGE_HORIZON: &str = "purge_horizon";

/// Ids made before this may have been purged.
pub(super) fn purge_horizon(db: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let context = "read the purge horizon";
    let mut statement = db
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .context(context)?;
    let value = statement
        .query_row([PURGE_HORIZON], |row| row.get(0))
        .optional()
        .context(context)?;
    Ok(value.map(Timestamp::from_micros))
}

/// Moves the purge horizon on; never back.
pub(super) fn raise_purge_horizon(db: &Connection, to: Timestamp) -> Result<(), StoreError> {
    let context = "store the purge horizon";
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";
    let values = params![PURGE_HORIZON, to.as_micros()];
    db.prepare_cached(sql)
        .context(context)?
        .execute(values)
        .context(context)?;
    Ok(())
}
