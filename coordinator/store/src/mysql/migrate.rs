//! The schema, brought up to what this version writes. Several nodes may start at once.
//!
//! DDL commits by itself here. So each step may run again after a crash, is recorded when it is done, and one node at a time takes
//! them (GET_LOCK, which goes with its connection).

use sqlx::{Executor, MySqlConnection};

use super::error::{failed, number};
use crate::StoreError;

/// In order, only ever added to: entry n brings a database from version n to n + 1.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/mysql/0001_message_confirmation.sql"),
    include_str!("../../migrations/mysql/0002_lost_writes.sql"),
    include_str!("../../migrations/mysql/0003_branches.sql"),
];

/// The version that this program writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// How far the schema is.
const FIRST: &str = "CREATE TABLE IF NOT EXISTS schema_version (only_row TINYINT NOT NULL PRIMARY KEY, \
     version BIGINT NOT NULL) ENGINE = InnoDB";

/// A statement that adds columns has been here before.
const COLUMN_IS_THERE: u16 = 1060;

/// Seconds that one node waits for another that is at it.
const PATIENCE: i64 = 60;

/// Brings the database to [`VERSION`].
pub(super) async fn migrate(db: &mut MySqlConnection, shown: &str) -> Result<(), StoreError> {
    // A user who may only use what is there must be able to start, too.
    if version(db, shown).await? == Some(VERSION) {
        return Ok(());
    }
    let taken: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(GET_LOCK(CONCAT('earnest:', MD5(DATABASE())), ?) AS SIGNED)",
    )
    .bind(PATIENCE)
    .fetch_one(&mut *db)
    .await
    .map_err(|error| cannot(shown, error))?;
    if taken != Some(1) {
        return Err(StoreError::CannotOpen(format!(
            "{shown}: another coordinator has been changing the schema for {PATIENCE} s: look whether it hangs, then start again"
        )));
    }
    let done = steps(db, shown).await;
    // If this fails, the lock goes with the connection.
    let _ = db
        .execute("DO RELEASE_LOCK(CONCAT('earnest:', MD5(DATABASE())))")
        .await;
    done
}

/// `None`: the database is empty.
async fn version(db: &mut MySqlConnection, shown: &str) -> Result<Option<i64>, StoreError> {
    const TABLES: &str = "SELECT CAST(COUNT(*) AS SIGNED), CAST(COALESCE(SUM(table_name = 'schema_version'), 0) AS SIGNED) \
         FROM information_schema.tables WHERE table_schema = DATABASE()";
    let (tables, ours): (i64, i64) = sqlx::query_as(TABLES)
        .fetch_one(&mut *db)
        .await
        .map_err(|error| cannot(shown, error))?;
    if ours == 0 {
        if tables > 0 {
            // Tables of the same name would be taken for ours.
            return Err(StoreError::CannotOpen(format!(
                "{shown} holds other tables: give Earnest a database of its own"
            )));
        }
        return Ok(None);
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT version FROM schema_version")
        .fetch_optional(db)
        .await
        .map_err(|error| cannot(shown, error))?;
    let found = found.unwrap_or(0);
    if found > VERSION {
        return Err(StoreError::CannotOpen(format!(
            "{shown} has schema version {found}, written by a newer Earnest; this one knows versions up to {VERSION}: \
             run the newer version again, or restore a backup from before the upgrade"
        )));
    }
    Ok(Some(found))
}

async fn steps(db: &mut MySqlConnection, shown: &str) -> Result<(), StoreError> {
    const RECORD: &str = "INSERT INTO schema_version (only_row, version) VALUES (1, ?) \
         ON DUPLICATE KEY UPDATE version = VALUES(version)";
    let version = version(db, shown).await?;
    if version.is_none() {
        db.execute(FIRST)
            .await
            .map_err(|error| cannot(shown, error))?;
    }
    let version = version.unwrap_or(0);
    for (at, migration) in (0..).zip(MIGRATIONS).filter(|(at, _)| *at >= version) {
        for statement in statements(migration) {
            match db.execute(statement).await {
                Ok(_) => {}
                // `ADD COLUMN IF NOT EXISTS` is MariaDB's alone.
                Err(error) if number(&error) == Some(COLUMN_IS_THERE) => {}
                Err(error) => return Err(cannot(shown, error)),
            }
        }
        sqlx::query(RECORD)
            .bind(at + 1)
            .execute(&mut *db)
            .await
            .map_err(|error| cannot(shown, error))?;
    }
    Ok(())
}

/// One by one: not every engine of this dialect takes several at once.
fn statements(migration: &'static str) -> impl Iterator<Item = &'static str> {
    let all = migration.split(";\n").map(str::trim);
    all.filter(|statement| !statement.is_empty())
}

fn cannot(shown: &str, error: sqlx::Error) -> StoreError {
    match number(&error) {
        Some(1044 | 1142 | 1143 | 1227) => StoreError::CannotOpen(format!(
            "{shown}: this user may not make the tables ({error}): let one who may start Earnest once, or \
             `GRANT ALL ON` this database"
        )),
        _ => failed("bring the schema up to date", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A migration that ended half-way is run again.
    #[test]
    fn each_statement_may_run_again() {
        for migration in MIGRATIONS {
            for statement in statements(migration) {
                let lines = statement.lines().filter(|line| !line.starts_with("--"));
                let text = lines.collect::<String>();
                if text.starts_with("ALTER TABLE") {
                    assert!(!text.contains(';'), "two at once: {text}");
                    // Passed over where the columns are there: it must do nothing else.
                    let clauses = text.split(" ADD COLUMN ").count() - 1;
                    assert_eq!(clauses, text.matches(',').count() + 1, "{text}");
                    continue;
                }
                assert!(text.starts_with("CREATE TABLE IF NOT EXISTS"), "{text}");
                assert!(text.contains("ENGINE = InnoDB"), "{text}");
            }
        }
        assert!(statements(MIGRATIONS[0]).count() > 9);
    }
}
