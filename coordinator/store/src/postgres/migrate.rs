//! The schema, brought up to what this version writes. Several nodes may start at once.

use sqlx::{Executor, PgConnection, error::DatabaseError};

use super::error::failed;
use crate::StoreError;

/// In order, only ever added to: entry n brings a database from version n to n + 1.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/postgres/0001_message_confirmation.sql"),
    include_str!("../../migrations/postgres/0002_lost_writes.sql"),
    include_str!("../../migrations/postgres/0003_history_by_ranges.sql"),
    include_str!("../../migrations/postgres/0004_mixed_versions.sql"),
    include_str!("../../migrations/postgres/0005_branches.sql"),
    include_str!("../../migrations/postgres/0006_branches_by_ranges.sql"),
];

/// Those that an engine without declarative partitions is spared: the purge deletes rows there.
const RANGES: [i64; 2] = [2, 5];

/// The version that this program writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// The schema `earnest` of its own, so that a database may be shared, and the row that says how far it is.
const FIRST: &str = "CREATE SCHEMA IF NOT EXISTS earnest; \
     CREATE TABLE IF NOT EXISTS earnest.schema_version (only_row boolean PRIMARY KEY, version bigint NOT NULL); \
     INSERT INTO earnest.schema_version VALUES (true, 0) ON CONFLICT DO NOTHING";

/// Beginners at the same moment get in each other's way in the catalogue at most this often.
const TRIES: usize = 20;

/// Brings the database to [`VERSION`], in one database transaction. Whoever comes second waits for the row that the
/// first one has locked: a row, since not every engine of this dialect has advisory locks.
pub(super) async fn migrate(db: &mut PgConnection, shown: &str) -> Result<(), StoreError> {
    let context = "bring the schema up to date";
    first(db, shown).await?;
    let run = async |db: &mut PgConnection| {
        db.execute("BEGIN").await?;
        let version: i64 =
            sqlx::query_scalar("SELECT version FROM earnest.schema_version FOR UPDATE")
                .fetch_one(&mut *db)
                .await?;
        for (at, migration) in (0..).zip(MIGRATIONS).filter(|(at, _)| *at >= version) {
            if !RANGES.contains(&at) || has_partitions(db).await? {
                db.execute(migration).await?;
            }
            sqlx::query("UPDATE earnest.schema_version SET version = $1")
                .bind(at + 1)
                .execute(&mut *db)
                .await?;
        }
        db.execute("COMMIT").await?;
        Ok(version)
    };
    let found = run(db)
        .await
        .map_err(|error: sqlx::Error| failed(context, error))?;
    if found > VERSION {
        return Err(StoreError::CannotOpen(format!(
            "{shown} has schema version {found}, written by a newer Earnest; this one knows versions up to {VERSION}: \
             run the newer version again, or restore a backup from before the upgrade"
        )));
    }
    Ok(())
}

async fn has_partitions(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let sql = "SELECT version() NOT LIKE 'CockroachDB%'";
    sqlx::query_scalar(sql).fetch_one(db).await
}

async fn first(db: &mut PgConnection, shown: &str) -> Result<(), StoreError> {
    let context = "look for the schema";
    let mut last = None;
    for _ in 0..TRIES {
        // A user who may only use what is there must be able to start, too.
        let there: bool =
            sqlx::query_scalar("SELECT to_regclass('earnest.schema_version') IS NOT NULL")
                .fetch_one(&mut *db)
                .await
                .map_err(|error| failed(context, error))?;
        if there {
            let filled = sqlx::query("SELECT version FROM earnest.schema_version")
                .fetch_optional(&mut *db)
                .await
                .map_err(|error| failed(context, error))?;
            if filled.is_some() {
                return Ok(());
            }
        }
        match db.execute(FIRST).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                match code.as_deref() {
                    // Somebody else is doing the same.
                    Some("23505" | "42P06" | "42P07" | "40001" | "40P01" | "XX000") => {
                        last = Some(error);
                    }
                    Some("42501") => {
                        return Err(StoreError::CannotOpen(format!(
                            "{shown}: this user may not create a schema ({error}): let the database's owner start \
                             Earnest once, or run `GRANT CREATE ON DATABASE` for this user"
                        )));
                    }
                    _ => return Err(failed("create the schema", error)),
                }
            }
        }
    }
    Err(last.map_or_else(
        || StoreError::CannotOpen(format!("{shown}: the schema was not created")),
        |error| failed("create the schema", error),
    ))
}
