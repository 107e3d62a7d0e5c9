//! A participant's SQLite file.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Migrated;
use crate::StoreError;

/// How long to wait for the service that uses the file.
const BUSY: Duration = Duration::from_secs(10);

/// Runs idempotent `scripts` in the file at `path` (created when there is none) as one database transaction.
///
/// A mistake of whoever starts the program is a [`StoreError::CannotOpen`] that says what to do.
pub fn migrate_sqlite(path: &Path, scripts: &[&str]) -> Result<Migrated, StoreError> {
    let shown = path.display().to_string();
    let failed = |error: rusqlite::Error| cannot(&shown, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    db.busy_timeout(BUSY).map_err(failed)?;
    let version =
        |db: &Connection| db.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0));
    let transaction = db
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    let (schema, rows) = (
        version(&transaction).map_err(failed)?,
        transaction.total_changes(),
    );
    for script in scripts {
        transaction.execute_batch(script).map_err(failed)?;
    }
    let unchanged =
        schema == version(&transaction).map_err(failed)? && rows == transaction.total_changes();
    transaction.commit().map_err(failed)?;
    Ok(if unchanged {
        Migrated::Unchanged
    } else {
        Migrated::Changed
    })
}

fn cannot(shown: &str, error: &rusqlite::Error) -> StoreError {
    StoreError::CannotOpen(match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!("{shown} is not an SQLite database: check the path")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!(
                "{shown} can't be written ({error}): check the path, and that this user may write there"
            )
        }
        Some(ErrorCode::DatabaseBusy) => {
            format!("{shown} is locked by another program: try again when its transaction is over")
        }
        _ => format!("{shown} was not changed: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY) STRICT; \
                          INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO NOTHING;";

    #[test]
    fn runs_once_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.db");
        assert_eq!(migrate_sqlite(&path, &[SCRIPT]).unwrap(), Migrated::Changed);
        assert_eq!(
            migrate_sqlite(&path, &[SCRIPT]).unwrap(),
            Migrated::Unchanged
        );
    }

    #[test]
    fn a_failing_script_changes_nothing_and_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.db");
        let error = migrate_sqlite(&path, &[SCRIPT, "CREATE NONSENSE"]).unwrap_err();
        assert!(error.to_string().contains("was not changed"), "{error}");
        assert_eq!(migrate_sqlite(&path, &[SCRIPT]).unwrap(), Migrated::Changed);
        std::fs::write(&path, "not a database, but long enough to be looked at").unwrap();
        assert!(
            migrate_sqlite(&path, &[SCRIPT])
                .unwrap_err()
                .to_string()
                .contains("not an SQLite database")
        );
    }
}
