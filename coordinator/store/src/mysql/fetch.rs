//! What a batch fetches.
//!
//! Each statement has a snapshot of its own (READ COMMITTED), so what comes after a lock sees what its last holder
//! wrote. A range of keys is walked in their order, and so locked in it; FORCE INDEX, so that a small table is not walked through and
//! locked as a whole.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use earnest_protocol::{Name, Timestamp, Topic, TransactionId};
use sqlx::{MySqlConnection, mysql::MySqlRow};

use super::{
    error::{Context, unavailable},
    recall::found,
    rows::{ROWS, Row, Sql, keys, padded, values},
    time::{TimeSource, now},
};
use crate::{
    BranchKey, BranchRow, DeliveryKey, DeliveryRow, Line, Message, StoreError, SubscriptionRow,
    TransactionRow,
    mark::{FIRST_INCARNATION, Found},
    planted::planted,
    sql::{
        branch,
        column::{limit, read_row, read_rows},
        delivery, message,
        recall::LineStep,
        registry, transaction,
    },
    working_set::{QueueKey, Tables, WorkingSet},
};

/// An open database transaction, and the time in it.
pub(super) struct MySqlTables<'a> {
    pub(super) db: &'a mut MySqlConnection,
    pub(super) time: &'a TimeSource,
    /// The line that the batch advances, and then how far it is to come.
    pub(super) line: Line,
    pub(super) step: Option<LineStep>,
}

impl<'a> MySqlTables<'a> {
    pub(super) fn new(db: &'a mut MySqlConnection, time: &'a TimeSource, line: Line) -> Self {
        Self {
            db,
            time,
            line,
            step: None,
        }
    }
}

#[async_trait]
impl Tables for MySqlTables<'_> {
    async fn transactions(
        &mut self,
        ids: &BTreeSet<TransactionId>,
        lock: bool,
    ) -> Result<Vec<TransactionRow>, StoreError> {
        let rows = transactions(self.db, ids, lock).await?;
        read_rows("transactions", &rows, transaction::read)
    }

    async fn deliveries(
        &mut self,
        keys: &BTreeSet<DeliveryKey>,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let keys: Vec<&DeliveryKey> = keys.iter().collect();
        let sql = concat!(
            "SELECT ",
            delivery::columns!(),
            " FROM deliveries FORCE INDEX (PRIMARY) WHERE (transaction_id, ordinal, subscription) IN "
        );
        let sql = [sql, " FOR UPDATE"];
        let rows = select(
            self.db,
            sql,
            &keys,
            |row, key| row.key(key),
            "read deliveries",
        )
        .await?;
        read_rows("deliveries", &rows, delivery::read)
    }

    async fn deliveries_of(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let sql = concat!(
            "SELECT ",
            delivery::columns!(),
            " FROM deliveries FORCE INDEX (PRIMARY) WHERE transaction_id IN "
        );
        let rows = of(self.db, [sql, " FOR UPDATE"], ids, "read deliveries").await?;
        read_rows("deliveries", &rows, delivery::read)
    }

    async fn branches(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<BranchRow>, StoreError> {
        let sql = concat!(
            "SELECT ",
            branch::columns!(),
            " FROM branches FORCE INDEX (PRIMARY) WHERE transaction_id IN "
        );
        let after = " ORDER BY transaction_id, ordinal FOR UPDATE";
        let rows = of(self.db, [sql, after], ids, "read branches").await?;
        read_rows("branches", &rows, branch::read)
    }

    async fn branch_contents(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<(BranchKey, branch::Content)>, StoreError> {
        let rows = branch_contents(self.db, ids).await?;
        read_rows("branch_contents", &rows, branch::content)
    }

    async fn messages(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<(TransactionId, Message)>, StoreError> {
        let rows = messages(self.db, ids).await?;
        read_rows("messages", &rows, message::read)
    }

    async fn subscriptions_of(
        &mut self,
        topics: &BTreeSet<(Name, Topic)>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        let sql = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions FORCE INDEX (subscriptions_topic) WHERE (namespace, topic) IN "
        );
        let topics: Vec<_> = topics
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        subscriptions(self.db, sql, &topics).await
    }

    async fn subscriptions(
        &mut self,
        names: &BTreeSet<(Name, Name)>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        let sql = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions FORCE INDEX (PRIMARY) WHERE (namespace, name) IN "
        );
        let names: Vec<_> = names
            .iter()
            .map(|(n, name)| (n.as_str(), name.as_str()))
            .collect();
        subscriptions(self.db, sql, &names).await
    }

    async fn queues(
        &mut self,
        keys: &BTreeMap<QueueKey, usize>,
        set: &mut WorkingSet,
    ) -> Result<(), StoreError> {
        let wanted: Vec<(&QueueKey, usize)> = keys.iter().map(|(k, count)| (k, *count)).collect();
        for wanted in wanted.chunks(ROWS) {
            lock(self.db, wanted).await?;
        }
        for wanted in wanted.chunks(PARTS) {
            ends(self.db, wanted, set).await?;
        }
        Ok(())
    }

    async fn now(&mut self, set: &mut WorkingSet) -> Result<Timestamp, StoreError> {
        let sql = concat!(
            "SELECT ",
            now!(),
            ", (SELECT value FROM meta WHERE name = 'purge_horizon'), ",
            found!(),
            ", (SELECT MIN(format) FROM nodes)"
        );
        let row = sqlx::query(sql)
            .bind(self.time.bind())
            .bind(self.line.id)
            .fetch_one(&mut *self.db)
            .await
            .context("read the time")?;
        let (now, horizon, found, oldest) = read_row("meta", &row, |mut c| {
            let (now, horizon) = (c.time()?, c.time_option()?);
            let found = Found {
                incarnation: c.int_option()?.unwrap_or(FIRST_INCARNATION),
                batches: c.int_option()?,
            };
            Ok((now, horizon, found, c.int_option()?))
        })?;
        set.put_horizon(horizon);
        set.put_oldest(oldest);
        self.line.check(found)?;
        self.step = Some(LineStep {
            read: found.batches,
            to: self.line.next(found, now),
        });
        Ok(now)
    }
}

/// What `before` selects by `rows`, a statement for each [`ROWS`] of them.
async fn select<R>(
    db: &mut MySqlConnection,
    [before, after]: [&'static str; 2],
    rows: &[R],
    row: impl for<'r> Fn(Row<'r>, &R) -> Row<'r>,
    context: &str,
) -> Result<Vec<MySqlRow>, StoreError> {
    let mut all = Vec::new();
    for rows in rows.chunks(ROWS) {
        let mut sql = Sql::new(before);
        keys(&mut sql, rows, &row);
        sql.push(after);
        all.extend(sql.build().fetch_all(&mut *db).await.context(context)?);
    }
    Ok(all)
}

async fn of(
    db: &mut MySqlConnection,
    sql: [&'static str; 2],
    ids: &BTreeSet<TransactionId>,
    context: &str,
) -> Result<Vec<MySqlRow>, StoreError> {
    let ids: Vec<&TransactionId> = ids.iter().collect();
    select(db, sql, &ids, |row, id| row.id(id), context).await
}

pub(super) async fn transactions(
    db: &mut MySqlConnection,
    ids: &BTreeSet<TransactionId>,
    lock: bool,
) -> Result<Vec<MySqlRow>, StoreError> {
    let sql = concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions FORCE INDEX (PRIMARY) WHERE id IN "
    );
    let after = if lock { " FOR UPDATE" } else { "" };
    of(db, [sql, after], ids, "read transactions").await
}

pub(super) async fn branch_contents(
    db: &mut MySqlConnection,
    ids: &BTreeSet<TransactionId>,
) -> Result<Vec<MySqlRow>, StoreError> {
    let sql = concat!(
        "SELECT ",
        branch::content_columns!(),
        " FROM branch_contents FORCE INDEX (PRIMARY) WHERE transaction_id IN "
    );
    of(db, [sql, ""], ids, "read what branches say").await
}

pub(super) async fn messages(
    db: &mut MySqlConnection,
    ids: &BTreeSet<TransactionId>,
) -> Result<Vec<MySqlRow>, StoreError> {
    let sql = concat!(
        "SELECT ",
        message::columns!(),
        " FROM messages FORCE INDEX (PRIMARY) WHERE transaction_id IN "
    );
    let after = " ORDER BY transaction_id, ordinal";
    of(db, [sql, after], ids, "read messages").await
}

async fn subscriptions(
    db: &mut MySqlConnection,
    sql: &'static str,
    keys: &[(&str, &str)],
) -> Result<Vec<SubscriptionRow>, StoreError> {
    fn row<'r>(row: Row<'r>, (namespace, other): &(&str, &str)) -> Row<'r> {
        row.bytes(namespace.as_bytes()).bytes(other.as_bytes())
    }
    // `FOR SHARE` is MySQL's alone.
    let after = if planted!(MysqlSubscriptionsAreNotLocked) {
        " ORDER BY namespace, name"
    } else {
        " ORDER BY namespace, name LOCK IN SHARE MODE"
    };
    let rows = select(db, [sql, after], keys, row, "read subscriptions").await?;
    read_rows("subscriptions", &rows, registry::subscription)
}

fn queue_key<'r>(row: Row<'r>, ((namespace, name, order_key), _): &(&QueueKey, usize)) -> Row<'r> {
    row.bytes(namespace.as_str().as_bytes())
        .bytes(name.as_str().as_bytes())
        .bytes(order_key.as_bytes())
}

async fn lock(db: &mut MySqlConnection, wanted: &[(&QueueKey, usize)]) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT 1 FROM ordered_keys FORCE INDEX (PRIMARY) WHERE (namespace, subscription, order_key) IN ";
    const INSERT: &str = "INSERT INTO ordered_keys (namespace, subscription, order_key) VALUES ";
    let context = "lock ordered keys";
    for _ in 0..4 {
        let locked = select(db, [LOCK, " FOR UPDATE"], wanted, queue_key, context).await?;
        if locked.len() == wanted.len() || planted!(MysqlKeysAreNotLocked) {
            return Ok(());
        }
        // (INSERT IGNORE would hide what is cut off.)
        let mut sql = Sql::new(INSERT);
        values(&mut sql, wanted, queue_key);
        sql.push(" ON DUPLICATE KEY UPDATE namespace = ordered_keys.namespace");
        sql.build().execute(&mut *db).await.context(context)?;
    }
    // A purge takes unused ones away, but not again and again.
    Err(unavailable(format!("{context}: they vanish")))
}

/// Keys whose ends are read in one statement: it has a part for each, since only a part of its own seeks in the index.
const PARTS: usize = 64;

async fn ends(
    db: &mut MySqlConnection,
    wanted: &[(&QueueKey, usize)],
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    let open = concat!(
        "(SELECT ",
        delivery::columns!(),
        " FROM deliveries FORCE INDEX (deliveries_order) WHERE namespace = ? AND subscription = ? AND order_key = ? \
         AND order_done = 0 ORDER BY order_position LIMIT ?)"
    );
    let last = "(SELECT MAX(order_position) FROM deliveries FORCE INDEX (deliveries_order) \
         WHERE namespace = ? AND subscription = ? AND order_key = ? AND order_done = ?)";
    let context = "read ordered keys";

    // Of a key that stands here twice no more than once is read.
    let repeated = padded(wanted).count() - wanted.len();
    let limits = wanted.iter().map(|(_, count)| limit(*count));
    let limits = limits.chain(std::iter::repeat_n(0, repeated));
    let sql = vec![open; wanted.len() + repeated].join(" UNION ALL ");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (((namespace, name, order_key), _), limit) in padded(wanted).zip(limits) {
        query = query
            .bind(namespace.as_str().as_bytes())
            .bind(name.as_str().as_bytes())
            .bind(order_key.as_bytes())
            .bind(limit);
    }
    let rows = query.fetch_all(&mut *db).await.context(context)?;
    let mut open: BTreeMap<QueueKey, Vec<DeliveryRow>> = BTreeMap::new();
    for row in read_rows("deliveries", &rows, delivery::read)? {
        let (Some(name), Some((order_key, _))) = (&row.key.subscription, &row.order) else {
            continue;
        };
        let key = (row.namespace.clone(), name.clone(), order_key.clone());
        open.entry(key).or_default().push(row);
    }

    // A list of scalars: one row, two columns for each key.
    let sql = vec![last; 2 * (wanted.len() + repeated)].join(", ");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {sql}")));
    for ((namespace, name, order_key), _) in padded(wanted) {
        for done in [0_i64, 1] {
            query = query
                .bind(namespace.as_str().as_bytes())
                .bind(name.as_str().as_bytes())
                .bind(order_key.as_bytes())
                .bind(done);
        }
    }
    let row = query.fetch_one(db).await.context(context)?;
    let lasts: Vec<Option<i64>> = read_row("deliveries", &row, |mut c| {
        wanted
            .iter()
            .map(|_| Ok(c.int_option()?.max(c.int_option()?)))
            .collect()
    })?;
    for ((key, wanted), last) in wanted.iter().zip(lasts) {
        let mut open = open.remove(*key).unwrap_or_default();
        open.sort_unstable_by_key(|row| row.order.as_ref().map(|(_, position)| *position));
        let complete = open.len() < *wanted;
        set.put_queue((*key).clone(), last, open, complete);
    }
    Ok(())
}
