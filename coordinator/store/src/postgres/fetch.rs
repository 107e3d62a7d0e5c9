//! What a batch fetches.
//!
//! Each statement has a snapshot of its own (READ COMMITTED), so what comes after a lock sees what its last holder
//! wrote.
//!
//! `id = ANY($1)` says to a plan that is made once nothing of the ranges that history is kept in, so each statement also says
//! between which ids it looks: the other ranges are not even opened.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use earnest_protocol::{Name, Timestamp, Topic, TransactionId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    error::Context,
    recall::found,
    time::{TimeSource, now},
};
use crate::{
    BranchKey, BranchRow, DeliveryKey, DeliveryRow, Line, Message, StoreError, SubscriptionRow,
    TransactionRow,
    mark::{FIRST_INCARNATION, Found},
    planted::planted,
    sql::{
        branch,
        column::{limit, read_rows},
        delivery, message,
        recall::LineStep,
        registry, transaction,
    },
    working_set::{QueueKey, Tables, WorkingSet},
};

/// An open database transaction, and the time in it.
pub(super) struct PgTables<'a> {
    pub(super) db: &'a mut PgConnection,
    pub(super) time: &'a TimeSource,
    /// The line that the batch advances, and then how far it is to come.
    pub(super) line: Line,
    pub(super) step: Option<LineStep>,
}

impl<'a> PgTables<'a> {
    pub(super) fn new(db: &'a mut PgConnection, time: &'a TimeSource, line: Line) -> Self {
        Self {
            db,
            time,
            line,
            step: None,
        }
    }
}

#[async_trait]
impl Tables for PgTables<'_> {
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
        // The order of a table of keys is not the order in which a join finds its rows.
        const LOCK: &str = concat!(
            "SELECT ",
            delivery::columns!(),
            " FROM deliveries WHERE (transaction_id, ordinal, subscription) IN \
             (SELECT k.a, k.b, k.c FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS k (a, b, c)) \
             AND transaction_id >= $4 AND transaction_id <= $5 ORDER BY transaction_id, ordinal, subscription FOR UPDATE"
        );
        let end =
            |key: Option<&DeliveryKey>| key.map(|key| uuid(&key.transaction)).unwrap_or_default();
        let ordinals: Vec<i64> = keys.iter().map(|key| key.ordinal.0.into()).collect();
        let names: Vec<&str> = keys.iter().map(delivery::subscription).collect();
        let rows = sqlx::query(LOCK)
            .bind(uuids(keys.iter().map(|key| &key.transaction)))
            .bind(ordinals)
            .bind(names)
            .bind(end(keys.first()))
            .bind(end(keys.last()))
            .fetch_all(&mut *self.db)
            .await
            .context("read deliveries")?;
        read_rows("deliveries", &rows, delivery::read)
    }

    async fn deliveries_of(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        const LOCK: &str = concat!(
            "SELECT ",
            delivery::columns!(),
            " FROM deliveries WHERE transaction_id = ANY($1) AND transaction_id >= $2 AND transaction_id <= $3 \
             ORDER BY transaction_id, ordinal, subscription FOR UPDATE"
        );
        let rows = of(self.db, LOCK, ids, "read deliveries").await?;
        read_rows("deliveries", &rows, delivery::read)
    }

    async fn branches(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<BranchRow>, StoreError> {
        const LOCK: &str = concat!(
            "SELECT ",
            branch::columns!(),
            " FROM branches WHERE transaction_id = ANY($1) AND transaction_id >= $2 AND transaction_id <= $3 \
             ORDER BY transaction_id, ordinal FOR UPDATE"
        );
        let rows = of(self.db, LOCK, ids, "read branches").await?;
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
        const SHARE: &str = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions WHERE (namespace, topic) IN \
             (SELECT k.a, k.b FROM unnest($1::text[], $2::text[]) AS k (a, b)) \
             ORDER BY namespace, name FOR KEY SHARE"
        );
        let topics = topics.iter().map(|(n, topic)| (n.as_str(), topic.as_str()));
        subscriptions(self.db, SHARE, topics).await
    }

    async fn subscriptions(
        &mut self,
        names: &BTreeSet<(Name, Name)>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        const SHARE: &str = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions WHERE (namespace, name) IN \
             (SELECT k.a, k.b FROM unnest($1::text[], $2::text[]) AS k (a, b)) \
             ORDER BY namespace, name FOR KEY SHARE"
        );
        let names = names.iter().map(|(n, name)| (n.as_str(), name.as_str()));
        subscriptions(self.db, SHARE, names).await
    }

    async fn queues(
        &mut self,
        keys: &BTreeMap<QueueKey, usize>,
        set: &mut WorkingSet,
    ) -> Result<(), StoreError> {
        queues(self.db, keys, set).await
    }

    async fn now(&mut self, set: &mut WorkingSet) -> Result<Timestamp, StoreError> {
        let sql = concat!(
            "SELECT ",
            now!(),
            ", (SELECT value FROM meta WHERE name = 'purge_horizon'), ",
            found!(),
            ", (SELECT min(format) FROM nodes)"
        );
        let row = sqlx::query(sql)
            .bind(self.time.bind())
            .bind(self.line.id)
            .fetch_one(&mut *self.db)
            .await
            .context("read the time")?;
        let horizon: Option<i64> = row.try_get(1).context("read the purge horizon")?;
        set.put_horizon(horizon.map(Timestamp::from_micros));
        let oldest: Option<i16> = row.try_get(4).context("read how old the nodes are")?;
        set.put_oldest(oldest.map(i64::from));
        let now = Timestamp::from_micros(row.try_get(0).context("read the time")?);
        let incarnation: Option<i64> = row.try_get(2).context("read the incarnation")?;
        let found = Found {
            incarnation: incarnation.unwrap_or(FIRST_INCARNATION),
            batches: row.try_get(3).context("read how far the line is")?,
        };
        self.line.check(found)?;
        self.step = Some(LineStep {
            read: found.batches,
            to: self.line.next(found, now),
        });
        Ok(now)
    }
}

/// The first and the last, which is how far a statement has to look.
fn ends_of(ids: &BTreeSet<TransactionId>) -> (Uuid, Uuid) {
    let end = |id: Option<&TransactionId>| id.map(uuid).unwrap_or_default();
    (end(ids.first()), end(ids.last()))
}

fn uuids<'a>(ids: impl IntoIterator<Item = &'a TransactionId>) -> Vec<Uuid> {
    ids.into_iter().map(uuid).collect()
}

pub(super) fn uuid(id: &TransactionId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// Rows of these transactions.
async fn of(
    db: &mut PgConnection,
    sql: &'static str,
    ids: &BTreeSet<TransactionId>,
    context: &str,
) -> Result<Vec<PgRow>, StoreError> {
    let (first, last) = ends_of(ids);
    let rows = sqlx::query(sql)
        .bind(uuids(ids))
        .bind(first)
        .bind(last)
        .fetch_all(db)
        .await;
    rows.context(context)
}

pub(super) async fn transactions(
    db: &mut PgConnection,
    ids: &BTreeSet<TransactionId>,
    lock: bool,
) -> Result<Vec<PgRow>, StoreError> {
    const READ: &str = concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions WHERE id = ANY($1) AND id >= $2 AND id <= $3"
    );
    const LOCK: &str = concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions WHERE id = ANY($1) AND id >= $2 AND id <= $3 ORDER BY id FOR UPDATE"
    );
    of(db, if lock { LOCK } else { READ }, ids, "read transactions").await
}

pub(super) async fn branch_contents(
    db: &mut PgConnection,
    ids: &BTreeSet<TransactionId>,
) -> Result<Vec<PgRow>, StoreError> {
    const READ: &str = concat!(
        "SELECT ",
        branch::content_columns!(),
        " FROM branch_contents WHERE transaction_id = ANY($1) AND transaction_id >= $2 AND transaction_id <= $3"
    );
    of(db, READ, ids, "read what branches say").await
}

pub(super) async fn messages(
    db: &mut PgConnection,
    ids: &BTreeSet<TransactionId>,
) -> Result<Vec<PgRow>, StoreError> {
    const READ: &str = concat!(
        "SELECT ",
        message::columns!(),
        " FROM messages WHERE transaction_id = ANY($1) AND transaction_id >= $2 AND transaction_id <= $3 \
         ORDER BY transaction_id, ordinal"
    );
    of(db, READ, ids, "read messages").await
}

async fn subscriptions(
    db: &mut PgConnection,
    share: &'static str,
    keys: impl Iterator<Item = (&str, &str)>,
) -> Result<Vec<SubscriptionRow>, StoreError> {
    let sql = match share.split_once(" FOR KEY SHARE") {
        Some((unlocked, _)) if planted!(PostgresSubscriptionsAreNotLocked) => unlocked,
        _ => share,
    };
    let (namespaces, others): (Vec<&str>, Vec<&str>) = keys.unzip();
    let rows = sqlx::query(sql)
        .bind(namespaces)
        .bind(others)
        .fetch_all(db)
        .await
        .context("read subscriptions")?;
    read_rows("subscriptions", &rows, registry::subscription)
}

async fn queues(
    db: &mut PgConnection,
    keys: &BTreeMap<QueueKey, usize>,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    const INSERT: &str = "INSERT INTO ordered_keys (namespace, subscription, order_key) \
         SELECT k.a, k.b, k.c FROM unnest($1::text[], $2::text[], $3::text[]) AS k (a, b, c) \
         ON CONFLICT (namespace, subscription, order_key) DO NOTHING";
    const LOCK: &str = "SELECT 1 FROM ordered_keys WHERE (namespace, subscription, order_key) IN \
         (SELECT k.a, k.b, k.c FROM unnest($1::text[], $2::text[], $3::text[]) AS k (a, b, c)) \
         ORDER BY namespace, subscription, order_key FOR UPDATE";
    let context = "lock ordered keys";
    let namespaces: Vec<&str> = keys.keys().map(|(n, _, _)| n.as_str()).collect();
    let names: Vec<&str> = keys.keys().map(|(_, s, _)| s.as_str()).collect();
    let order_keys: Vec<&str> = keys.keys().map(|(_, _, k)| k.as_str()).collect();
    let mut tries = 0;
    loop {
        let locked: Vec<PgRow> = sqlx::query(LOCK)
            .bind(&namespaces)
            .bind(&names)
            .bind(&order_keys)
            .fetch_all(&mut *db)
            .await
            .context(context)?;
        if locked.len() == keys.len() || planted!(PostgresKeysAreNotLocked) {
            break;
        }
        if tries == 3 {
            // A purge takes unused ones away, but not again and again.
            return Err(super::error::unavailable(format!("{context}: they vanish")));
        }
        tries += 1;
        sqlx::query(INSERT)
            .bind(&namespaces)
            .bind(&names)
            .bind(&order_keys)
            .execute(&mut *db)
            .await
            .context(context)?;
    }
    ends(db, keys, set, [namespaces, names, order_keys]).await
}

async fn ends(
    db: &mut PgConnection,
    keys: &BTreeMap<QueueKey, usize>,
    set: &mut WorkingSet,
    [namespaces, names, order_keys]: [Vec<&str>; 3],
) -> Result<(), StoreError> {
    const LAST: &str = "SELECT (SELECT d.order_position FROM deliveries d WHERE d.order_key IS NOT NULL \
         AND d.namespace = k.a AND d.subscription = k.b AND d.order_key = k.c ORDER BY d.order_position DESC LIMIT 1) \
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (a, b, c, n) ORDER BY k.n";
    const OPEN: &str = concat!(
        "SELECT ",
        delivery::columns!(),
        " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (a, b, c, wanted) \
         CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE d.order_key IS NOT NULL AND d.done_at IS NULL \
         AND d.namespace = k.a AND d.subscription = k.b AND d.order_key = k.c \
         ORDER BY d.order_position LIMIT k.wanted) open"
    );
    let context = "read ordered keys";
    let wanted: Vec<i64> = keys.values().map(|count| limit(*count)).collect();
    let last: Vec<Option<i64>> = sqlx::query_scalar(LAST)
        .bind(&namespaces)
        .bind(&names)
        .bind(&order_keys)
        .fetch_all(&mut *db)
        .await
        .context(context)?;
    let rows = sqlx::query(OPEN)
        .bind(&namespaces)
        .bind(&names)
        .bind(&order_keys)
        .bind(wanted)
        .fetch_all(&mut *db)
        .await
        .context(context)?;
    let mut open: BTreeMap<QueueKey, Vec<DeliveryRow>> = BTreeMap::new();
    for row in read_rows("deliveries", &rows, delivery::read)? {
        let (Some(name), Some((order_key, _))) = (&row.key.subscription, &row.order) else {
            continue;
        };
        let key = (row.namespace.clone(), name.clone(), order_key.clone());
        open.entry(key).or_default().push(row);
    }
    for ((key, wanted), last) in keys.iter().zip(last) {
        let open = open.remove(key).unwrap_or_default();
        let complete = open.len() < *wanted;
        set.put_queue(key.clone(), last, open, complete);
    }
    Ok(())
}
