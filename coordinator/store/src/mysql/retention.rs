//! The purge of finished history, in steps that no other write waits long for. Several nodes may purge at once.

use std::{sync::PoisonError, time::Duration};

use async_trait::async_trait;
use earnest_protocol::Timestamp;
use sqlx::{MySqlConnection, mysql::MySqlRow};

use super::{
    MySqlStore,
    connection::transact,
    error::Context,
    rows::{ROWS, Row, Sql, keys},
    time::now,
};
use crate::{
    PurgeReport, RetentionStore, StoreError,
    sql::column::{limit, read_row, read_rows},
};

/// An id, finished or damaged: the purge goes by what is there.
type Id = [u8; 16];

/// In the order of ids, which is about the order of time.
const OLD: &str = "SELECT id FROM transactions FORCE INDEX (PRIMARY) \
     WHERE id > ? AND id < ? AND finished_at < ? ORDER BY id LIMIT ?";
/// A row that somebody has in hand is left for the next purge.
const LOCK: &str =
    "SELECT id FROM transactions FORCE INDEX (PRIMARY) WHERE finished_at IS NOT NULL AND id IN ";
const KEYS: &str = "SELECT DISTINCT namespace, subscription, order_key FROM deliveries FORCE INDEX (PRIMARY) \
     WHERE order_key IS NOT NULL AND transaction_id IN ";
const REMOVE: [&str; 6] = [
    "DELETE m FROM messages m FORCE INDEX (PRIMARY) WHERE m.transaction_id IN ",
    "DELETE b FROM branches b FORCE INDEX (PRIMARY) WHERE b.transaction_id IN ",
    "DELETE c FROM branch_contents c FORCE INDEX (PRIMARY) WHERE c.transaction_id IN ",
    "DELETE a FROM attempts a FORCE INDEX (attempts_transaction) WHERE a.transaction_id IN ",
    "DELETE d FROM deliveries d FORCE INDEX (PRIMARY) WHERE d.transaction_id IN ",
    "DELETE t FROM transactions t FORCE INDEX (PRIMARY) WHERE t.id IN ",
];
const LOCK_KEYS: &str = "SELECT namespace, subscription, order_key FROM ordered_keys FORCE INDEX (PRIMARY) \
     WHERE (namespace, subscription, order_key) IN ";
/// The locks of keys that nothing is left of. (Whoever wants one that goes just now makes it anew.)
const FORGET: &str = "DELETE o FROM ordered_keys o FORCE INDEX (PRIMARY) WHERE NOT EXISTS (SELECT 1 FROM deliveries d \
     WHERE d.namespace = o.namespace AND d.subscription = o.subscription AND d.order_key = o.order_key) \
     AND (o.namespace, o.subscription, o.order_key) IN ";
const RAISE: &str = "INSERT INTO meta (name, value) VALUES ('purge_horizon', ?) \
     ON DUPLICATE KEY UPDATE value = GREATEST(value, VALUES(value))";

#[async_trait]
impl RetentionStore for MySqlStore {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        let from = *self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        let done: Result<(PurgeReport, Option<Id>), StoreError> =
            transact!(self.writers, "purge", |db| {
                let now: i64 = sqlx::query_scalar(concat!("SELECT ", now!()))
                    .bind(self.time.bind())
                    .fetch_one(&mut *db)
                    .await
                    .context("read the time")?;
                let horizon = Timestamp::from_micros(now).before(older_than);
                // Each time from where the last purge came to, until the end is reached: what is old and unfinished may be
                // a lot to pass over.
                let mut ids = old(db, from, horizon, limit).await?;
                if ids.is_empty() && from.is_some() {
                    ids = old(db, None, horizon, limit).await?;
                }
                let more = ids.len() > limit;
                ids.truncate(limit);
                let mut removed = 0;
                for ids in ids.chunks(ROWS) {
                    removed += remove(db, ids).await?;
                }
                if removed > 0 {
                    sqlx::query(RAISE)
                        .bind(horizon.as_micros())
                        .execute(db)
                        .await
                        .context("store the purge horizon")?;
                }
                let reached = ids.last().filter(|_| more).copied();
                Ok((PurgeReport { removed, more }, reached))
            });
        let (report, reached) = done?;
        *self.purged.lock().unwrap_or_else(PoisonError::into_inner) = reached;
        Ok(report)
    }
}

fn ids(rows: &[MySqlRow]) -> Result<Vec<Id>, StoreError> {
    read_rows("transactions", rows, |mut c| {
        c.bytes()?.try_into().map_err(|_| "no id".to_owned())
    })
}

/// One more than `count`, when there are so many.
async fn old(
    db: &mut MySqlConnection,
    from: Option<Id>,
    horizon: Timestamp,
    count: usize,
) -> Result<Vec<Id>, StoreError> {
    let rows = sqlx::query(OLD)
        .bind(Vec::from(from.unwrap_or_default()))
        .bind(Vec::from(first_id(horizon)))
        .bind(horizon.as_micros())
        .bind(limit(count.saturating_add(1)))
        .fetch_all(db)
        .await
        .context("find what is old")?;
    ids(&rows)
}

/// No id that was made before `time` is as large, and every other is.
fn first_id(time: Timestamp) -> Id {
    // Ids count whole milliseconds: one within which `time` lies was made before it.
    let millis = u64::try_from(time.as_micros()).unwrap_or(0).div_ceil(1_000);
    let mut id = [0; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id
}

fn by_id(sql: &'static str, ids: &[Id]) -> Sql {
    let mut sql = Sql::new(sql);
    keys(&mut sql, ids, |row, id| row.bytes(&id[..]));
    sql
}

/// All that belongs to those of `all` that nobody has in hand.
async fn remove(db: &mut MySqlConnection, all: &[Id]) -> Result<usize, StoreError> {
    let context = "purge";
    let mut sql = by_id(LOCK, all);
    sql.push(" FOR UPDATE SKIP LOCKED");
    let rows = sql.build().fetch_all(&mut *db).await.context(context)?;
    let gone = ids(&rows)?;
    if gone.is_empty() {
        return Ok(0);
    }
    let ordered = by_id(KEYS, &gone).build().fetch_all(&mut *db).await;
    let ordered = ordered.context(context)?;
    for sql in REMOVE {
        let removed = by_id(sql, &gone).build().execute(&mut *db).await;
        removed.context(context)?;
    }
    for ordered in ordered.chunks(ROWS) {
        forget(db, ordered).await?;
    }
    Ok(gone.len())
}

async fn forget(db: &mut MySqlConnection, ordered: &[MySqlRow]) -> Result<(), StoreError> {
    fn bind<'r>(row: Row<'r>, key: &[Vec<u8>; 3]) -> Row<'r> {
        key.iter().fold(row, |row, part| row.bytes(&part[..]))
    }
    let context = "forget ordered keys";
    let key = |row: &MySqlRow| {
        read_row("ordered_keys", row, |mut c| {
            Ok([
                c.bytes()?.to_vec(),
                c.bytes()?.to_vec(),
                c.bytes()?.to_vec(),
            ])
        })
    };
    let wanted = ordered.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let mut sql = Sql::new(LOCK_KEYS);
    keys(&mut sql, &wanted, bind);
    sql.push(" FOR UPDATE SKIP LOCKED");
    let locked = sql.build().fetch_all(&mut *db).await.context(context)?;
    let locked = locked.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    if !locked.is_empty() {
        let mut sql = Sql::new(FORGET);
        keys(&mut sql, &locked, bind);
        sql.build().execute(db).await.context(context)?;
    }
    Ok(())
}
