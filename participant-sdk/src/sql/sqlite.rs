//! SQLite: the fence in one file beside the service's own tables.
//!
//! Local transactions start with BEGIN IMMEDIATE: the write lock is taken at once, so no transaction fails halfway because
//! another one wrote, and a fencing insert waits for (or is refused by) an open one instead of passing it.
//! The user's busy_timeout is never changed.

use sqlx::{
    Pool, Row, SqlSafeStr, Sqlite, SqliteConnection, error::DatabaseError, sqlite::SqliteError,
};

use super::{
    CLOCK_SLACK_US, Db, Dialect, InboxKey, Resource, TABLES, Tables,
    pooled::{Pooled, PooledTransaction},
};
use crate::{
    fence::{self, Call, FencingRead, Held, Inbox, Outcome, Wrote},
    ids::{BranchId, TransactionId},
};

/// The tables, as plain statements that change nothing when they are run again.
pub const SCHEMA: &str = include_str!("../../migrations/sqlite/0001_earnest.sql");

/// Creates Earnest's tables where they are missing.
pub async fn migrate(pool: &Pool<Sqlite>) -> Result<(), sqlx::Error> {
    <Sqlite as Dialect>::migrate(pool).await
}

impl Db for Sqlite {}

impl Pooled for Sqlite {}

impl Dialect for Sqlite {
    type Pool = Pool<Sqlite>;
    type Connection = SqliteConnection;
    type Local = PooledTransaction<Sqlite>;

    const ONE_WRITER: bool = true;
    const HANDLERS_AT_ONCE: usize = 1;

    async fn begin(pool: &Pool<Self>) -> Result<PooledTransaction<Self>, sqlx::Error> {
        PooledTransaction::begin(pool.acquire().await?, "BEGIN IMMEDIATE".into_sql_str()).await
    }

    async fn insert_outcome(
        connection: &mut SqliteConnection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
             VALUES (?1, 'outcome', '', 'committed', ?2)",
        )
        .bind(id.to_string())
        .bind(created_us)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn outcome_holds(
        connection: &mut SqliteConnection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let rows = sqlx::query(
            "UPDATE earnest_fence SET created_us = ?2 \
             WHERE transaction_id = ?1 AND kind = 'outcome' AND party = '' RETURNING state",
        )
        .bind(id.to_string())
        .bind(created_us)
        .fetch_all(connection)
        .await?;
        let states = rows
            .iter()
            .map(|row| row.try_get::<&str, _>(0).map(Outcome::parse))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(fence::may_commit(&states))
    }

    async fn fencing_read(
        pool: &Pool<Self>,
        id: TransactionId,
        created_us: i64,
    ) -> Result<FencingRead, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        // A statement outside of a transaction is one by itself: durable when it returns.
        sqlx::query(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
             SELECT ?1, 'outcome', '', 'rolled_back', ?2 \
             WHERE ?2 >= (SELECT horizon_us FROM earnest_resource) \
             ON CONFLICT DO NOTHING",
        )
        .bind(id.to_string())
        .bind(created_us)
        .execute(&mut *connection)
        .await?;
        let row = sqlx::query(
            "SELECT r.horizon_us, f.state FROM earnest_resource r LEFT JOIN earnest_fence f \
             ON f.transaction_id = ?1 AND f.kind = 'outcome' AND f.party = ''",
        )
        .bind(id.to_string())
        .fetch_one(&mut *connection)
        .await?;
        let horizon_us: i64 = row.try_get(0)?;
        let state: Option<&str> = row.try_get(1)?;
        Ok(fence::fencing_read(
            state.map(Outcome::parse),
            created_us,
            horizon_us,
        ))
    }

    async fn insert_inbox(
        connection: &mut SqliteConnection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<Inbox, sqlx::Error> {
        let inserted = sqlx::query(
            "INSERT INTO earnest_inbox (transaction_id, ordinal, subscription, created_us) \
             SELECT ?1, ?2, ?3, ?4 WHERE ?4 >= (SELECT horizon_us FROM earnest_resource) \
             ON CONFLICT DO NOTHING",
        )
        .bind(key.message.transaction.to_string())
        .bind(key.message.ordinal)
        .bind(&key.subscription)
        .bind(created_us)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        let row_there = inserted == 0 && inbox_rows(connection, key).await?.0 == 1;
        Ok(fence::inbox(inserted, row_there))
    }

    async fn inbox_holds(
        connection: &mut SqliteConnection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let (rows, horizon_us) = inbox_rows(connection, key).await?;
        Ok(fence::may_acknowledge(rows, created_us, horizon_us))
    }

    async fn write_branch(
        connection: &mut SqliteConnection,
        id: BranchId,
        call: Call,
        created_us: i64,
    ) -> Result<(Wrote, i64), sqlx::Error> {
        if let Call::Try | Call::Cancel = call {
            let state = if call == Call::Try {
                "tried"
            } else {
                "cancelled"
            };
            let inserted = sqlx::query(
                "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
                 SELECT ?1, 'branch', ?2, ?3, ?4 WHERE ?4 >= (SELECT horizon_us FROM earnest_resource) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(id.transaction.to_string())
            .bind(id.ordinal.to_string())
            .bind(state)
            .bind(created_us)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if inserted == 1 {
                return Ok((Wrote::Inserted, created_us));
            }
        }
        if let Call::Confirm | Call::Cancel = call {
            let state = if call == Call::Confirm {
                "confirmed"
            } else {
                "cancelled"
            };
            let moved = sqlx::query(
                "UPDATE earnest_fence SET state = ?3 \
                 WHERE transaction_id = ?1 AND kind = 'branch' AND party = ?2 AND state = 'tried'",
            )
            .bind(id.transaction.to_string())
            .bind(id.ordinal.to_string())
            .bind(state)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if moved == 1 {
                return Ok((Wrote::Moved, created_us));
            }
        }
        let (stands, horizon_us) = Self::branch_stands(connection, id).await?;
        Ok((Wrote::Nothing(stands), horizon_us))
    }

    async fn branch_stands(
        connection: &mut SqliteConnection,
        id: BranchId,
    ) -> Result<(Option<Held>, i64), sqlx::Error> {
        let row = sqlx::query(
            "SELECT r.horizon_us, f.state FROM earnest_resource r LEFT JOIN earnest_fence f \
             ON f.transaction_id = ?1 AND f.kind = 'branch' AND f.party = ?2",
        )
        .bind(id.transaction.to_string())
        .bind(id.ordinal.to_string())
        .fetch_one(connection)
        .await?;
        let state: Option<&str> = row.try_get(1)?;
        Ok((state.map(Held::parse), row.try_get(0)?))
    }

    async fn tables(pool: &Pool<Self>) -> Result<Tables, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let mut missing = Vec::new();
        for table in TABLES {
            let found: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1",
            )
            .bind(table)
            .fetch_one(&mut *connection)
            .await?;
            if found == 0 {
                missing.push(table);
            }
        }
        if !missing.is_empty() {
            return Ok(Tables::Missing(missing));
        }
        let row = sqlx::query("SELECT resource_id, schema_version FROM earnest_resource")
            .fetch_optional(&mut *connection)
            .await?;
        match row {
            Some(row) => Ok(Tables::Present(Resource {
                id: row.try_get(0)?,
                schema_version: row.try_get(1)?,
            })),
            None => Ok(Tables::Missing(vec!["the row of earnest_resource"])),
        }
    }

    async fn migrate(pool: &Pool<Self>) -> Result<(), sqlx::Error> {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    async fn durability_gaps(pool: &Pool<Self>) -> Result<Vec<String>, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *connection)
            .await?;
        let journal_mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *connection)
            .await?;
        let mut gaps = Vec::new();
        // 2 is FULL.
        if synchronous < 2 {
            gaps.push(format!(
                "PRAGMA synchronous is {synchronous}, so a power loss can undo a COMMIT that was answered; set it to FULL \
                 (SqliteConnectOptions::synchronous(SqliteSynchronous::Full))"
            ));
        }
        if matches!(journal_mode.as_str(), "off" | "memory") {
            gaps.push(format!(
                "PRAGMA journal_mode is {journal_mode}, so a crash can corrupt the database; set it to WAL \
                 (SqliteConnectOptions::journal_mode(SqliteJournalMode::Wal))"
            ));
        }
        Ok(gaps)
    }

    async fn purge_batch(
        pool: &Pool<Self>,
        cutoff_us: i64,
        limit: u32,
    ) -> Result<u64, sqlx::Error> {
        let below = TransactionId::floor(cutoff_us.saturating_add(CLOCK_SLACK_US)).to_string();
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut deleted: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM earnest_fence WHERE (transaction_id, kind, party) IN (\
             SELECT transaction_id, kind, party FROM earnest_fence \
             WHERE transaction_id < ?1 AND created_us < ?2 ORDER BY transaction_id LIMIT ?3) \
             RETURNING created_us",
        )
        .bind(&below)
        .bind(cutoff_us)
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await?;
        let taken: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM earnest_inbox WHERE (transaction_id, ordinal, subscription) IN (\
             SELECT transaction_id, ordinal, subscription FROM earnest_inbox \
             WHERE transaction_id < ?1 AND created_us < ?2 ORDER BY transaction_id LIMIT ?3) \
             RETURNING created_us",
        )
        .bind(&below)
        .bind(cutoff_us)
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await?;
        deleted.extend(taken);
        if let Some(youngest) = deleted.iter().max() {
            sqlx::query("UPDATE earnest_resource SET horizon_us = max(horizon_us, ?1)")
                .bind(youngest + 1)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(deleted.len() as u64)
    }
}

/// How many rows there are of this key, and the horizon.
async fn inbox_rows(
    connection: &mut SqliteConnection,
    key: &InboxKey,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM earnest_inbox \
         WHERE transaction_id = ?1 AND ordinal = ?2 AND subscription = ?3), horizon_us FROM earnest_resource",
    )
    .bind(key.message.transaction.to_string())
    .bind(key.message.ordinal)
    .bind(&key.subscription)
    .fetch_one(connection)
    .await
}

/// Whether the error is of the kind that passes; `None` when another database said it.
pub(super) fn is_passing(error: &dyn DatabaseError) -> Option<bool> {
    error.try_downcast_ref::<SqliteError>()?;
    // The low byte is the primary code; 5 busy, 6 locked.
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    Some(code.is_some_and(|code| matches!(code & 0xff, 5 | 6)))
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };

    use super::*;

    #[tokio::test]
    async fn settings_that_can_lose_a_commit_are_named() {
        let directory = tempfile::TempDir::new().unwrap();
        let cases = [
            (SqliteJournalMode::Wal, SqliteSynchronous::Full, 0),
            (SqliteJournalMode::Wal, SqliteSynchronous::Extra, 0),
            (SqliteJournalMode::Delete, SqliteSynchronous::Full, 0),
            (SqliteJournalMode::Wal, SqliteSynchronous::Normal, 1),
            (SqliteJournalMode::Memory, SqliteSynchronous::Off, 2),
            (SqliteJournalMode::Off, SqliteSynchronous::Full, 1),
        ];
        for (case, (journal_mode, synchronous, gaps)) in cases.into_iter().enumerate() {
            let options = SqliteConnectOptions::new()
                .filename(directory.path().join(format!("{case}.db")))
                .create_if_missing(true)
                .journal_mode(journal_mode)
                .synchronous(synchronous);
            let pool = SqlitePoolOptions::new()
                .max_connections(1)
                .connect_with(options)
                .await
                .unwrap();
            let found = Sqlite::durability_gaps(&pool).await.unwrap();
            assert_eq!(
                found.len(),
                gaps,
                "{journal_mode:?} {synchronous:?}: {found:?}"
            );
        }
    }
}
