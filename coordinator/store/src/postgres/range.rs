//! Ranges of ids that history is kept in: made ahead of the ids, dropped when all that they hold is over.
//!
//! Making or dropping one locks the tables for some milliseconds, so it waits for that lock only briefly, since whoever comes
//! after it waits as well, and is tried again at the next purge. Nothing here may drop what is unfinished: it is looked for
//! again when nobody can write any more.

use std::time::Duration;

use earnest_protocol::Timestamp;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use uuid::Uuid;

use super::error::Context;
use crate::{StoreError, sql::column::limit};

/// The tables that have ranges, in the order in which batches come to them: the column of the id, and what else is said of
/// a table.
pub(super) const TABLES: [(&str, &str, &str); 6] = [
    ("transactions", "id", " WITH (fillfactor = 75)"),
    ("messages", "transaction_id", ""),
    ("branches", "transaction_id", " WITH (fillfactor = 75)"),
    ("branch_contents", "transaction_id", ""),
    ("deliveries", "transaction_id", " WITH (fillfactor = 75)"),
    ("attempts", "transaction_id", ""),
];
/// Who waits for the tables holds up everybody who comes later.
const PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";
const LOCK: &str = "LOCK TABLE ONLY transactions, ONLY messages, ONLY branches, ONLY branch_contents, ONLY deliveries, \
     ONLY attempts IN ACCESS EXCLUSIVE MODE";
/// So many ranges make up the retention: what is finished is kept longer by one of them at most.
const PER_RETENTION: u32 = 8;
const SHORTEST: Duration = Duration::from_secs(10);
/// Ranges are there so many lengths before the ids.
const AHEAD: i64 = 2;

/// Ids that begin with a time from `since` on and before `until`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) since: i64,
    pub(super) until: i64,
}

impl Range {
    /// No id of it is smaller.
    pub(super) fn first(self) -> Uuid {
        first_id_at(self.since)
    }

    /// All ids of it are smaller.
    pub(super) fn end(self) -> Uuid {
        first_id_at(self.until)
    }

    /// Whether it is never dropped: what was there before there were ranges.
    pub(super) fn is_oldest(self) -> bool {
        self.since == 0
    }
}

fn first_id_at(millis: i64) -> Uuid {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Uuid::from_bytes(id)
}

/// No id that was made before `time` is as large, and every other is.
pub(super) fn first_id(time: Timestamp) -> Uuid {
    // Ids count whole milliseconds: one within which `time` lies was made before it.
    let millis = u64::try_from(time.as_micros()).unwrap_or(0).div_ceil(1_000);
    first_id_at(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The ranges there are, from the oldest on; none where the tables have no ranges (CockroachDB).
pub(super) async fn ranges(db: &mut PgConnection) -> Result<Vec<Range>, StoreError> {
    let context = "list the ranges of history";
    let has_ranges: bool = sqlx::query_scalar("SELECT to_regclass('id_ranges') IS NOT NULL")
        .fetch_one(&mut *db)
        .await
        .context(context)?;
    if !has_ranges {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT since, until FROM id_ranges ORDER BY since")
        .fetch_all(db)
        .await
        .context(context)?;
    let range = |(since, until)| Range { since, until };
    Ok(rows.into_iter().map(range).collect())
}

/// How long a range is.
pub(super) fn length(retention: Duration) -> i64 {
    let length = (retention / PER_RETENTION).max(SHORTEST);
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Whether another range is wanted after the one that ends with `until`.
pub(super) fn is_short(until: i64, now: Timestamp, length: i64) -> bool {
    until < millis(now).saturating_add(length.saturating_mul(AHEAD))
}

fn millis(time: Timestamp) -> i64 {
    time.as_micros() / 1_000
}

/// Makes the next range; false: somebody else just did. What waits for its range (ids from clocks that run ahead, or all
/// that came while no purge ran) becomes its beginning, so that nothing is copied.
pub(super) async fn make(
    db: &mut PgConnection,
    now: Timestamp,
    length: i64,
) -> Result<bool, StoreError> {
    let context = "make a range of history";
    db.execute(PATIENCE).await.context(context)?;
    // One node at a time, while others still read.
    db.execute("LOCK TABLE id_ranges IN SHARE ROW EXCLUSIVE MODE")
        .await
        .context(context)?;
    let since: i64 = sqlx::query_scalar("SELECT max(until) FROM id_ranges")
        .fetch_one(&mut *db)
        .await
        .context(context)?;
    if !is_short(since, now, length) {
        return Ok(false);
    }
    let range = Range {
        since,
        until: since.max(millis(now)).saturating_add(length),
    };
    db.execute(LOCK).await.context(context)?;
    let (first, end) = (range.first(), range.end());
    for (table, id, with) in TABLES {
        let sql = format!(
            "ALTER TABLE {table} DETACH PARTITION {table}_late; \
             ALTER TABLE {table}_late RENAME TO {table}_{since}; \
             CREATE TABLE {table}_late (LIKE {table}){with}; \
             WITH gone AS (DELETE FROM {table}_{since} WHERE {id} >= '{end}' RETURNING *) \
             INSERT INTO {table}_late SELECT * FROM gone; \
             ALTER TABLE {table} ATTACH PARTITION {table}_{since} FOR VALUES FROM ('{first}') TO ('{end}'); \
             ALTER TABLE {table} ATTACH PARTITION {table}_late FOR VALUES FROM ('{end}') TO (MAXVALUE)"
        );
        db.execute(AssertSqlSafe(sql)).await.context(context)?;
    }
    sqlx::query("INSERT INTO id_ranges (since, until) VALUES ($1, $2)")
        .bind(range.since)
        .bind(range.until)
        .execute(db)
        .await
        .context(context)?;
    Ok(true)
}

/// What a look at some rows of a range found.
pub(super) struct Look {
    pub(super) rows: usize,
    /// The last one; `None`: there are no more.
    pub(super) last: Option<Uuid>,
    /// One is unfinished, or has finished too lately.
    pub(super) holds: bool,
}

/// Looks at up to `count` rows of `range` after `from`.
pub(super) async fn look(
    db: &mut PgConnection,
    range: Range,
    from: Uuid,
    horizon: Timestamp,
    count: usize,
) -> Result<Look, StoreError> {
    // There is no max(uuid).
    const LOOK: &str = "SELECT count(*), max(c.id::text COLLATE \"C\")::uuid, \
         coalesce(bool_or(c.finished_at IS NULL OR c.finished_at >= $3), false) FROM (SELECT id, finished_at \
         FROM transactions WHERE id > $1 AND id < $2 ORDER BY id LIMIT $4) c";
    let (rows, last, holds): (i64, Option<Uuid>, bool) = sqlx::query_as(LOOK)
        .bind(from)
        .bind(range.end())
        .bind(horizon.as_micros())
        .bind(limit(count))
        .fetch_one(db)
        .await
        .context("look through a range of history")?;
    let rows = usize::try_from(rows).unwrap_or_default();
    Ok(Look {
        rows,
        last: last.filter(|_| rows == count),
        holds,
    })
}

/// Whether anything in it is unfinished.
pub(super) async fn is_needed(db: &mut PgConnection, range: Range) -> Result<bool, StoreError> {
    const UNFINISHED: &str = "SELECT EXISTS (SELECT 1 FROM transactions \
         WHERE finished_at IS NULL AND id >= $1 AND id < $2)";
    sqlx::query_scalar(UNFINISHED)
        .bind(range.first())
        .bind(range.end())
        .fetch_one(db)
        .await
        .context("look for unfinished work in a range of history")
}

/// Drops `range` with all that is in it; false: something in it is unfinished after all, or somebody else dropped it.
pub(super) async fn drop(db: &mut PgConnection, range: Range) -> Result<bool, StoreError> {
    let context = "drop a range of history";
    db.execute(PATIENCE).await.context(context)?;
    let taken = sqlx::query("DELETE FROM id_ranges WHERE since = $1 AND since > 0")
        .bind(range.since)
        .execute(&mut *db)
        .await
        .context(context)?;
    if taken.rows_affected() == 0 {
        return Ok(false);
    }
    db.execute(LOCK).await.context(context)?;
    if is_needed(db, range).await? {
        return Ok(false);
    }
    let tables = TABLES.map(|(table, _, _)| format!("{table}_{}", range.since));
    db.execute(AssertSqlSafe(format!("DROP TABLE {}", tables.join(", "))))
        .await
        .context(context)?;
    Ok(true)
}
