//! PostgreSQL: the fence beside the service's own tables. Right at every isolation level, READ COMMITTED being the default.
//!
//! What PostgreSQL does that this file is built around:
//! - COMMIT of a transaction that had an error is answered without one, as ROLLBACK. The fence row is read last, and that
//!   statement fails in such a transaction.
//! - An insert of a key that an open transaction inserted waits for its end. A fencing insert waits no longer than
//!   `lock_timeout`, and then knows that the transaction is in progress.
//! - A statement sees what was committed when it began, but an insert meets what was committed since. So the horizon is read in a
//!   statement after the insert: a purge that let the insert through has moved it.
//!
//! CockroachDB and YugabyteDB speak this dialect: no advisory locks, no table locks, no `xmin`.

mod durability;

use sqlx::{
    PgConnection, Pool, Postgres, Row, SqlSafeStr, error::DatabaseError, postgres::PgDatabaseError,
};

use super::{
    CLOCK_SLACK_US, Db, Dialect, InboxKey, Local, Resource, TABLES, Tables,
    pooled::{Pooled, PooledTransaction},
};
use crate::{
    fence::{self, Call, FencingRead, Held, Inbox, Outcome, Wrote},
    ids::{BranchId, TransactionId},
};

/// The tables, as plain statements that change nothing when they are run again.
pub const SCHEMA: &str = include_str!("../../migrations/postgres/0001_earnest.sql");

/// Opens a transaction of Earnest's own, which waits for nobody's lock for long, and sees what was committed meanwhile.
const BEGIN_OWN: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '1s'";

/// Several instances that start at once trip over each other's tables; one of them is always through by then.
const MIGRATE_TRIES: u32 = 5;

/// Creates Earnest's tables where they are missing.
pub async fn migrate(pool: &Pool<Postgres>) -> Result<(), sqlx::Error> {
    <Postgres as Dialect>::migrate(pool).await
}

impl Db for Postgres {}

impl Pooled for Postgres {}

impl Dialect for Postgres {
    type Pool = Pool<Postgres>;
    type Connection = PgConnection;
    type Local = PooledTransaction<Postgres>;

    const ONE_WRITER: bool = false;
    const HANDLERS_AT_ONCE: usize = 4;

    async fn begin(pool: &Pool<Self>) -> Result<PooledTransaction<Self>, sqlx::Error> {
        PooledTransaction::begin(pool.acquire().await?, "BEGIN".into_sql_str()).await
    }

    async fn insert_outcome(
        connection: &mut PgConnection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
             VALUES ($1, 'outcome', '', 'committed', $2)",
        )
        .bind(id.as_uuid())
        .bind(created_us)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn outcome_holds(
        connection: &mut PgConnection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let states: Vec<String> = sqlx::query_scalar(
            "UPDATE earnest_fence SET created_us = $2 \
             WHERE transaction_id = $1 AND kind = 'outcome' AND party = '' RETURNING state",
        )
        .bind(id.as_uuid())
        .bind(created_us)
        .fetch_all(connection)
        .await?;
        let states: Vec<Outcome> = states.iter().map(|state| Outcome::parse(state)).collect();
        Ok(fence::may_commit(&states))
    }

    async fn fencing_read(
        pool: &Pool<Self>,
        id: TransactionId,
        created_us: i64,
    ) -> Result<FencingRead, sqlx::Error> {
        let mut own = begin_own(pool).await?;
        let inserted = sqlx::query(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
             VALUES ($1, 'outcome', '', 'rolled_back', $2) ON CONFLICT DO NOTHING",
        )
        .bind(id.as_uuid())
        .bind(created_us)
        .execute(own.connection_mut())
        .await;
        match inserted {
            Err(error) if is_lock_timeout(&error) => {
                own.rollback().await?;
                return Ok(FencingRead::InProgress);
            }
            inserted => inserted?,
        };
        let horizon_us: i64 = sqlx::query_scalar("SELECT horizon_us FROM earnest_resource")
            .fetch_one(own.connection_mut())
            .await?;
        if fence::remembers(created_us, horizon_us) {
            own.commit().await?;
        } else {
            own.rollback().await?;
        }
        let row = sqlx::query(
            "SELECT r.horizon_us, f.state FROM earnest_resource r LEFT JOIN earnest_fence f \
             ON f.transaction_id = $1 AND f.kind = 'outcome' AND f.party = ''",
        )
        .bind(id.as_uuid())
        .fetch_one(pool)
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
        connection: &mut PgConnection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<Inbox, sqlx::Error> {
        let inserted = sqlx::query(
            "INSERT INTO earnest_inbox (transaction_id, ordinal, subscription, created_us) \
             SELECT $1, $2, $3, $4 WHERE $4 >= (SELECT horizon_us FROM earnest_resource) \
             ON CONFLICT DO NOTHING",
        )
        .bind(key.message.transaction.as_uuid())
        .bind(i64::from(key.message.ordinal))
        .bind(&key.subscription)
        .bind(created_us)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        let row_there = inserted == 0 && inbox_rows(connection, key).await?.0 == 1;
        Ok(fence::inbox(inserted, row_there))
    }

    async fn inbox_holds(
        connection: &mut PgConnection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let (rows, mut horizon_us, isolation) = inbox_rows(connection, key).await?;
        // Above READ COMMITTED a plain read shows the horizon as it was before the insert; a locking one fails if it moved.
        if isolation != "read committed" {
            horizon_us = sqlx::query_scalar("SELECT horizon_us FROM earnest_resource FOR SHARE")
                .fetch_one(connection)
                .await?;
        }
        Ok(fence::may_acknowledge(rows, created_us, horizon_us))
    }

    async fn write_branch(
        connection: &mut PgConnection,
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
            // Waits for a call of the same branch that is under way, and sees what became of it.
            let inserted = sqlx::query(
                "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
                 SELECT $1, 'branch', $2, $3, $4 WHERE $4 >= (SELECT horizon_us FROM earnest_resource) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(id.transaction.as_uuid())
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
                "UPDATE earnest_fence SET state = $3 \
                 WHERE transaction_id = $1 AND kind = 'branch' AND party = $2 AND state = 'tried'",
            )
            .bind(id.transaction.as_uuid())
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
        connection: &mut PgConnection,
        id: BranchId,
    ) -> Result<(Option<Held>, i64), sqlx::Error> {
        let (state, mut horizon_us, isolation): (Option<String>, i64, String) = sqlx::query_as(
            "SELECT (SELECT state FROM earnest_fence \
             WHERE transaction_id = $1 AND kind = 'branch' AND party = $2), \
             horizon_us, current_setting('transaction_isolation') FROM earnest_resource",
        )
        .bind(id.transaction.as_uuid())
        .bind(id.ordinal.to_string())
        .fetch_one(&mut *connection)
        .await?;
        // As in inbox_holds.
        if isolation != "read committed" {
            horizon_us = sqlx::query_scalar("SELECT horizon_us FROM earnest_resource FOR SHARE")
                .fetch_one(connection)
                .await?;
        }
        Ok((state.as_deref().map(Held::parse), horizon_us))
    }

    async fn tables(pool: &Pool<Self>) -> Result<Tables, sqlx::Error> {
        let mut missing = Vec::new();
        for table in TABLES {
            let found: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
                .bind(table)
                .fetch_one(pool)
                .await?;
            if !found {
                missing.push(table);
            }
        }
        if !missing.is_empty() {
            return Ok(Tables::Missing(missing));
        }
        let row = sqlx::query("SELECT resource_id, schema_version FROM earnest_resource")
            .fetch_optional(pool)
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
        // No advisory lock: CockroachDB has none. Who loses the race for a table finds it there the next time.
        let mut tries = 1;
        loop {
            let mut transaction = pool.begin().await?;
            let run = sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await;
            match run {
                Ok(_) => return transaction.commit().await,
                Err(sqlx::Error::Database(error))
                    if tries < MIGRATE_TRIES && is_lost_race(&*error) => {}
                Err(error) => return Err(error),
            }
            transaction.rollback().await?;
            tries += 1;
        }
    }

    async fn durability_gaps(pool: &Pool<Self>) -> Result<Vec<String>, sqlx::Error> {
        durability::gaps(pool).await
    }

    async fn purge_batch(
        pool: &Pool<Self>,
        cutoff_us: i64,
        limit: u32,
    ) -> Result<u64, sqlx::Error> {
        let below = TransactionId::floor(cutoff_us.saturating_add(CLOCK_SLACK_US)).as_uuid();
        let mut own = begin_own(pool).await?;
        // Taken first by every purge: they come one after the other, and meet in one order only.
        sqlx::query("SELECT horizon_us FROM earnest_resource FOR UPDATE")
            .execute(own.connection_mut())
            .await?;
        let mut deleted: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM earnest_fence WHERE (transaction_id, kind, party) IN (\
             SELECT transaction_id, kind, party FROM earnest_fence \
             WHERE transaction_id < $1 AND created_us < $2 ORDER BY transaction_id LIMIT $3) \
             RETURNING created_us",
        )
        .bind(below)
        .bind(cutoff_us)
        .bind(i64::from(limit))
        .fetch_all(own.connection_mut())
        .await?;
        let taken: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM earnest_inbox WHERE (transaction_id, ordinal, subscription) IN (\
             SELECT transaction_id, ordinal, subscription FROM earnest_inbox \
             WHERE transaction_id < $1 AND created_us < $2 ORDER BY transaction_id LIMIT $3) \
             RETURNING created_us",
        )
        .bind(below)
        .bind(cutoff_us)
        .bind(i64::from(limit))
        .fetch_all(own.connection_mut())
        .await?;
        deleted.extend(taken);
        if let Some(youngest) = deleted.iter().max() {
            sqlx::query("UPDATE earnest_resource SET horizon_us = greatest(horizon_us, $1)")
                .bind(youngest + 1)
                .execute(own.connection_mut())
                .await?;
        }
        own.commit().await?;
        Ok(deleted.len() as u64)
    }
}

async fn begin_own(pool: &Pool<Postgres>) -> Result<PooledTransaction<Postgres>, sqlx::Error> {
    PooledTransaction::begin(pool.acquire().await?, BEGIN_OWN.into_sql_str()).await
}

/// How many rows there are of this key, the horizon, and the transaction's isolation level.
async fn inbox_rows(
    connection: &mut PgConnection,
    key: &InboxKey,
) -> Result<(i64, i64, String), sqlx::Error> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM earnest_inbox \
         WHERE transaction_id = $1 AND ordinal = $2 AND subscription = $3), \
         horizon_us, current_setting('transaction_isolation') FROM earnest_resource",
    )
    .bind(key.message.transaction.as_uuid())
    .bind(i64::from(key.message.ordinal))
    .bind(&key.subscription)
    .fetch_one(connection)
    .await
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

/// Whether another session created the same thing at the same time.
fn is_lost_race(error: &dyn DatabaseError) -> bool {
    // Unique violation (in the catalog), duplicate table or its type, serialization failure, deadlock, "tuple concurrently updated".
    matches!(
        error.code().as_deref(),
        Some("23505" | "42P07" | "42710" | "40001" | "40P01" | "XX000")
    )
}

/// Whether the error is of the kind that passes; `None` when another database said it.
pub(super) fn is_passing(error: &dyn DatabaseError) -> Option<bool> {
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    // Serialization failure, deadlock, lock not available, too many connections, shutdown and start; lost connections.
    Some(
        matches!(
            error.code(),
            "40001" | "40P01" | "55P03" | "53300" | "57P01" | "57P02" | "57P03"
        ) || error.code().starts_with("08"),
    )
}
