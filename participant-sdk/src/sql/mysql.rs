//! MySQL and MariaDB: the fence beside the service's own tables. Right at every isolation level, REPEATABLE READ being the default.
//!
//! What these servers do that this file is built around:
//! - A deadlock rolls the whole transaction back, and what follows runs in another one; DDL commits it halfway. A savepoint that
//!   is set after the first row and released before COMMIT is gone then. Earnest's transactions run with autocommit off, so that
//!   what follows a loss is not committed statement by statement.
//! - An insert of a key that an open transaction inserted waits for its end. A fencing insert waits no longer than
//!   `innodb_lock_wait_timeout`, and then knows that the transaction is in progress.
//! - A plain read shows the database as it was at the transaction's first plain read. The fence's first statement is an insert, so
//!   that the horizon, read after it, is one that a purge in its way has moved.
//!
//! Several statements go in one call where their values are numbers and hex digits only: each call is a round trip with locks held.
//! TiDB and OceanBase speak this dialect: no `RETURNING`, no `SKIP LOCKED`, no shared locks.

mod durability;

use std::fmt::Write;

use sqlx::{
    AssertSqlSafe, MySql, MySqlConnection, Pool, QueryBuilder, Row, SqlSafeStr,
    error::DatabaseError, mysql::MySqlDatabaseError,
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
pub const SCHEMA: &str = include_str!("../../migrations/mysql/0001_earnest.sql");

/// Opens a service's local transaction.
const BEGIN: &str = "SET @earnest_autocommit = @@SESSION.autocommit, \
     @earnest_lock_wait_timeout = @@SESSION.innodb_lock_wait_timeout, \
     SESSION autocommit = 0; START TRANSACTION";
/// Opens a transaction of Earnest's own, which waits for nobody's lock for long.
const BEGIN_OWN: &str = "SET @earnest_autocommit = @@SESSION.autocommit, \
     @earnest_lock_wait_timeout = @@SESSION.innodb_lock_wait_timeout, \
     SESSION autocommit = 0, SESSION innodb_lock_wait_timeout = 1; START TRANSACTION";
/// Nothing is open any more, so that turning autocommit on commits nothing.
const HAND_BACK: &str = "SET SESSION autocommit = @earnest_autocommit, \
     SESSION innodb_lock_wait_timeout = @earnest_lock_wait_timeout";

const DUPLICATE_KEY: u16 = 1062;
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const NO_SUCH_SAVEPOINT: u16 = 1305;

/// What the columns hold.
const MAX_NAME_CHARS: usize = 255;

/// Creates Earnest's tables where they are missing.
pub async fn migrate(pool: &Pool<MySql>) -> Result<(), sqlx::Error> {
    <MySql as Dialect>::migrate(pool).await
}

impl Db for MySql {}

impl Pooled for MySql {
    const LEAVES_TRACES: bool = true;

    async fn hand_back(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(HAND_BACK).execute(connection).await?;
        Ok(())
    }
}

impl Dialect for MySql {
    type Pool = Pool<MySql>;
    type Connection = MySqlConnection;
    type Local = PooledTransaction<MySql>;

    const ONE_WRITER: bool = false;
    const HANDLERS_AT_ONCE: usize = 4;

    async fn begin(pool: &Pool<Self>) -> Result<PooledTransaction<Self>, sqlx::Error> {
        PooledTransaction::begin(pool.acquire().await?, BEGIN.into_sql_str()).await
    }

    async fn insert_outcome(
        connection: &mut MySqlConnection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<(), sqlx::Error> {
        let id = hex(id);
        let statements = format!(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
             VALUES (x'{id}', 'outcome', '', 'committed', {created_us}); SAVEPOINT earnest_outcome"
        );
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn outcome_holds(
        connection: &mut MySqlConnection,
        id: TransactionId,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let id = hex(id);
        let statements = format!(
            "RELEASE SAVEPOINT earnest_outcome; \
             UPDATE earnest_fence SET created_us = {created_us} \
             WHERE transaction_id = x'{id}' AND kind = 'outcome' AND party = ''; \
             SELECT state FROM earnest_fence \
             WHERE transaction_id = x'{id}' AND kind = 'outcome' AND party = ''"
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(statements))
            .fetch_all(connection)
            .await;
        let rows = match rows {
            Err(error) if number(&error) == Some(NO_SUCH_SAVEPOINT) => return Ok(false),
            rows => rows?,
        };
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
        let mut own = begin_own(pool).await?;
        // Not INSERT IGNORE, which would also ignore what is wrong with the row.
        let inserted = sqlx::query(
            "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
             VALUES (?, 'outcome', '', 'rolled_back', ?) ON DUPLICATE KEY UPDATE kind = kind",
        )
        .bind(id.as_uuid())
        .bind(created_us)
        .execute(own.connection_mut())
        .await;
        match inserted {
            Err(error) if number(&error) == Some(LOCK_WAIT_TIMEOUT) => {
                own.rollback().await?;
                return Ok(FencingRead::InProgress);
            }
            inserted => inserted?,
        };
        // A locking read, which sees what was committed last on every server: on TiDB a plain one sees what was there at BEGIN.
        let horizon_us: i64 =
            sqlx::query_scalar("SELECT horizon_us FROM earnest_resource FOR UPDATE")
                .fetch_one(own.connection_mut())
                .await?;
        if fence::remembers(created_us, horizon_us) {
            own.commit().await?;
        } else {
            own.rollback().await?;
        }
        let row = sqlx::query(
            "SELECT r.horizon_us, f.state FROM earnest_resource r LEFT JOIN earnest_fence f \
             ON f.transaction_id = ? AND f.kind = 'outcome' AND f.party = ''",
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
        connection: &mut MySqlConnection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<Inbox, sqlx::Error> {
        // A server that is not in strict mode would cut it off, and take it for another one.
        if key.subscription.chars().count() > MAX_NAME_CHARS {
            return Err(sqlx::Error::InvalidArgument(format!(
                "the name of a subscription has more than {MAX_NAME_CHARS} characters"
            )));
        }
        let inserted = sqlx::query(
            "INSERT INTO earnest_inbox (transaction_id, ordinal, subscription, created_us) VALUES (?, ?, ?, ?)",
        )
        .bind(key.message.transaction.as_uuid())
        .bind(i64::from(key.message.ordinal))
        .bind(&key.subscription)
        .bind(created_us)
        .execute(&mut *connection)
        .await;
        // Only the statement is undone then. With ON DUPLICATE KEY UPDATE the server would not say which of both it did.
        match inserted {
            Err(error) if number(&error) == Some(DUPLICATE_KEY) => {
                return Ok(fence::inbox(0, true));
            }
            inserted => inserted?,
        };
        let horizon_us: i64 =
            sqlx::raw_sql("SAVEPOINT earnest_inbox; SELECT horizon_us FROM earnest_resource")
                .fetch_one(connection)
                .await?
                .try_get(0)?;
        // The row that should not be there goes with the transaction.
        let stays = fence::remembers(created_us, horizon_us);
        Ok(fence::inbox(u64::from(stays), false))
    }

    async fn inbox_holds(
        connection: &mut MySqlConnection,
        key: &InboxKey,
        created_us: i64,
    ) -> Result<bool, sqlx::Error> {
        let released = sqlx::raw_sql("RELEASE SAVEPOINT earnest_inbox")
            .execute(&mut *connection)
            .await;
        match released {
            Err(error) if number(&error) == Some(NO_SUCH_SAVEPOINT) => return Ok(false),
            released => released?,
        };
        let (rows, horizon_us): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM earnest_inbox \
             WHERE transaction_id = ? AND ordinal = ? AND subscription = ?), horizon_us FROM earnest_resource",
        )
        .bind(key.message.transaction.as_uuid())
        .bind(i64::from(key.message.ordinal))
        .bind(&key.subscription)
        .fetch_one(connection)
        .await?;
        Ok(fence::may_acknowledge(rows, created_us, horizon_us))
    }

    async fn write_branch(
        connection: &mut MySqlConnection,
        id: BranchId,
        call: Call,
        created_us: i64,
    ) -> Result<(Wrote, i64), sqlx::Error> {
        let key = branch_key(id);
        let (transaction, ordinal) = (hex(id.transaction), id.ordinal);
        if let Call::Try | Call::Cancel = call {
            let state = if call == Call::Try {
                "tried"
            } else {
                "cancelled"
            };
            // First of all, so that two calls of one branch meet at its key and not at the gap around it. It waits for a call
            // that is under way. Only the statement is undone where the key is taken.
            let statements = format!(
                "INSERT INTO earnest_fence (transaction_id, kind, party, state, created_us) \
                 VALUES (x'{transaction}', 'branch', '{ordinal}', '{state}', {created_us}); SAVEPOINT earnest_branch; \
                 SELECT horizon_us FROM earnest_resource"
            );
            let inserted = sqlx::raw_sql(AssertSqlSafe(statements))
                .fetch_one(&mut *connection)
                .await;
            match inserted {
                Err(error) if number(&error) == Some(DUPLICATE_KEY) => {}
                inserted => {
                    let horizon_us: i64 = inserted?.try_get(0)?;
                    // The row that should not be there goes with the transaction.
                    let stays = fence::remembers(created_us, horizon_us);
                    let wrote = if stays {
                        Wrote::Inserted
                    } else {
                        Wrote::Nothing(None)
                    };
                    return Ok((wrote, horizon_us));
                }
            }
        }
        if let Call::Confirm | Call::Cancel = call {
            let state = if call == Call::Confirm {
                "confirmed"
            } else {
                "cancelled"
            };
            let update = format!(
                "UPDATE earnest_fence SET state = '{state}' WHERE {key} AND state = 'tried'"
            );
            let moved = sqlx::raw_sql(AssertSqlSafe(update))
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if moved == 1 {
                sqlx::raw_sql("SAVEPOINT earnest_branch")
                    .execute(connection)
                    .await?;
                return Ok((Wrote::Moved, created_us));
            }
        }
        let (stands, horizon_us) = read_branch(connection, &key).await?;
        Ok((Wrote::Nothing(stands), horizon_us))
    }

    async fn branch_stands(
        connection: &mut MySqlConnection,
        id: BranchId,
    ) -> Result<(Option<Held>, i64), sqlx::Error> {
        let released = sqlx::raw_sql("RELEASE SAVEPOINT earnest_branch")
            .execute(&mut *connection)
            .await;
        match released {
            Err(error) if number(&error) == Some(NO_SUCH_SAVEPOINT) => return Ok((None, 0)),
            released => released?,
        };
        read_branch(connection, &branch_key(id)).await
    }

    async fn tables(pool: &Pool<Self>) -> Result<Tables, sqlx::Error> {
        let mut missing = Vec::new();
        for table in TABLES {
            let found: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
            )
            .bind(table)
            .fetch_one(pool)
            .await?;
            if found == 0 {
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
        // Each statement commits by itself, and instances that start at once wait for each other's.
        let mut connection = pool.acquire().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *connection).await?;
        // Only where a service turned autocommit off; DDL never waits for it.
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        Ok(())
    }

    async fn durability_gaps(pool: &Pool<Self>) -> Result<Vec<String>, sqlx::Error> {
        durability::gaps(pool).await
    }

    async fn purge_batch(
        pool: &Pool<Self>,
        cutoff_us: i64,
        limit: u32,
    ) -> Result<u64, sqlx::Error> {
        let mut own = begin_own(pool).await?;
        // Taken first by every purge: they come one after the other, and meet in one order only.
        sqlx::query("SELECT horizon_us FROM earnest_resource FOR UPDATE")
            .execute(own.connection_mut())
            .await?;
        let mut rows = 0;
        for table in ["earnest_fence", "earnest_inbox"] {
            rows += purge_table(own.connection_mut(), table, cutoff_us, limit).await?;
        }
        own.commit().await?;
        Ok(rows)
    }
}

/// Deletes old rows by their ids, so that no row in between is locked, and moves the horizon past them.
async fn purge_table(
    connection: &mut MySqlConnection,
    table: &'static str,
    cutoff_us: i64,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let below = TransactionId::floor(cutoff_us.saturating_add(CLOCK_SLACK_US));
    let old: Vec<(uuid::Uuid, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT transaction_id, created_us FROM {table} \
         WHERE transaction_id < ? AND created_us < ? ORDER BY transaction_id LIMIT ?"
    )))
    .bind(below.as_uuid())
    .bind(cutoff_us)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let Some(youngest) = old.iter().map(|(_, created_us)| *created_us).max() else {
        return Ok(0);
    };
    let mut delete =
        QueryBuilder::<MySql>::new(format!("DELETE FROM {table} WHERE created_us <= "));
    delete.push_bind(youngest).push(" AND transaction_id IN (");
    let mut ids = delete.separated(", ");
    for (id, _) in &old {
        ids.push_bind(*id);
    }
    delete.push(")");
    let deleted = delete.build().execute(&mut *connection).await?;
    sqlx::query("UPDATE earnest_resource SET horizon_us = GREATEST(horizon_us, ?)")
        .bind(youngest + 1)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// Digits only.
fn branch_key(id: BranchId) -> String {
    let (transaction, ordinal) = (hex(id.transaction), id.ordinal);
    format!("transaction_id = x'{transaction}' AND kind = 'branch' AND party = '{ordinal}'")
}

/// How the branch's row stands, by a locking read, which shows what was committed last, and the horizon.
async fn read_branch(
    connection: &mut MySqlConnection,
    key: &str,
) -> Result<(Option<Held>, i64), sqlx::Error> {
    let select = format!("SELECT state FROM earnest_fence WHERE {key} FOR UPDATE");
    let row = sqlx::raw_sql(AssertSqlSafe(select))
        .fetch_optional(&mut *connection)
        .await?;
    let state: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
    let horizon_us = sqlx::query_scalar("SELECT horizon_us FROM earnest_resource")
        .fetch_one(connection)
        .await?;
    Ok((state.as_deref().map(Held::parse), horizon_us))
}

async fn begin_own(pool: &Pool<MySql>) -> Result<PooledTransaction<MySql>, sqlx::Error> {
    PooledTransaction::begin(pool.acquire().await?, BEGIN_OWN.into_sql_str()).await
}

fn hex(id: TransactionId) -> String {
    let mut text = String::with_capacity(32);
    for byte in id.as_uuid().as_bytes() {
        // Writing to a String doesn't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The server's own number of an error.
fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    Some(error.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// Whether the error is of the kind that passes; `None` when another database said it.
pub(super) fn is_passing(error: &dyn DatabaseError) -> Option<bool> {
    let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
    // Too many connections, shutdown, lock wait timeout, deadlock, connection killed, lock not available at once.
    Some(matches!(
        error.number(),
        1040 | 1053 | LOCK_WAIT_TIMEOUT | 1213 | 1927 | 3572
    ))
}
