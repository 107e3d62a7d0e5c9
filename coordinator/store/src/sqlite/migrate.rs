//! The schema, brought up to what this version writes.

use rusqlite::Connection;

use super::error::failed;
use crate::StoreError;

/// In order, only ever added to: entry n brings a database from version n to n + 1.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/sqlite/0001_message_confirmation.sql"),
    include_str!("../../migrations/sqlite/0002_lost_writes.sql"),
    include_str!("../../migrations/sqlite/0003_branches.sql"),
];

/// Marks the file as ours (`EARN`), so that another program's database is not taken for an empty one.
const APPLICATION_ID: i64 = 0x4541_524e;

/// The version that this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings `db` to [`VERSION`]. Each step is one database transaction, its version number included.
pub(super) fn migrate(db: &mut Connection, shown: &str) -> Result<(), StoreError> {
    let context = "read the version of the schema";
    let version: i64 = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|e| failed(context, e))?;
    let application: i64 = db
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|e| failed(context, e))?;
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| failed(context, e))?;
    let is_empty = version == 0 && application == 0 && tables == 0;
    if !is_empty && application != APPLICATION_ID {
        return Err(StoreError::CannotOpen(format!(
            "{shown} is an SQLite database of another program: give a path of its own to Earnest"
        )));
    }
    if version > VERSION {
        return Err(StoreError::CannotOpen(format!(
            "{shown} has schema version {version}, written by a newer Earnest; this one knows versions up to \
             {VERSION}: run the newer version again, or restore a backup from before the upgrade"
        )));
    }
    for (at, migration) in (0..).zip(MIGRATIONS).filter(|(at, _)| *at >= version) {
        step(db, migration, at + 1)
            .map_err(|e| failed(&format!("bring the schema to version {}", at + 1), e))?;
    }
    Ok(())
}

fn step(db: &mut Connection, migration: &str, to: i64) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()
}
