//! Services and subscriptions, written.

use std::collections::BTreeSet;

use async_trait::async_trait;
use earnest_protocol::{DeliveryState, Name, Ordinal, TransactionId};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    PostgresStore,
    connection::within,
    error::{Context, Failure},
    fetch::PgTables,
    time::{TimeSource, now},
    write::write,
};
use crate::{
    BranchRow, DeliveryKey, Line, RegistryStore, ServiceRow, StoreError, SubscriptionRow, engine,
    sql::{
        branch,
        column::{limit, micros, read_row, read_rows, readable_rows},
        delivery, registry, transaction,
    },
    working_set::{Tables, WorkingSet},
};

/// Deliveries that are parked in one step, so that no other write waits long.
const STEP: usize = 256;
/// Runs of one step at most while others are in its way.
const TRIES: usize = 8;

#[async_trait]
impl RegistryStore for PostgresStore {
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError> {
        // Columns of the key are not written, so that it doesn't wait for decisions (FOR KEY SHARE).
        const PUT: &str = concat!(
            "INSERT INTO subscriptions (",
            registry::subscription_columns!(),
            ") VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, ",
            now!(),
            ") ON CONFLICT (namespace, name) DO UPDATE SET topic = excluded.topic, destination = excluded.destination, \
             ordered = excluded.ordered, paused = excluded.paused, concurrency = excluded.concurrency, \
             timeout = excluded.timeout, retry_initial = excluded.retry_initial, \
             retry_multiplier = excluded.retry_multiplier, retry_cap = excluded.retry_cap, \
             updated_at = excluded.updated_at RETURNING ",
            registry::subscription_columns!()
        );
        let name = "put subscription";
        let destination = registry::json(name, &row.destination)?;
        let mut transaction = self.writers.begin(name).await?;
        let put = sqlx::query(PUT)
            .bind(self.time.bind())
            .bind(row.name.as_str())
            .bind(row.namespace.as_str())
            .bind(row.topic.as_str())
            .bind(destination)
            .bind(row.ordered)
            .bind(row.paused)
            .bind(i64::from(row.concurrency))
            .bind(micros(row.timeout))
            .bind(micros(row.retry.initial))
            .bind(i64::from(row.retry.multiplier_milli))
            .bind(micros(row.retry.cap))
            .fetch_one(&mut *transaction);
        let kept = within(name, async { put.await.context(name) }).await?;
        let kept = read_row("subscriptions", &kept, registry::subscription)?;
        transaction.commit().await?;
        Ok(kept)
    }

    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        // It goes together with the last of what it owes: a crash half-way leaves it to be deleted again.
        let mut tries = 0;
        loop {
            match self.delete_step(namespace, name).await {
                Ok(Some(existed)) => return Ok(existed),
                Ok(None) => tries = 0,
                Err(Failure::Conflict(_)) if tries < TRIES => tries += 1,
                Err(failure) => return Err(failure.into_error()),
            }
        }
    }

    async fn pause_subscription(
        &self,
        namespace: &Name,
        name: &Name,
        paused: bool,
    ) -> Result<Option<SubscriptionRow>, StoreError> {
        const PAUSE: &str = concat!(
            "UPDATE subscriptions SET paused = $4, updated_at = ",
            now!(),
            " WHERE namespace = $2 AND name = $3 RETURNING ",
            registry::subscription_columns!()
        );
        let context = "pause subscription";
        let mut transaction = self.writers.begin(context).await?;
        let pause = sqlx::query(PAUSE)
            .bind(self.time.bind())
            .bind(namespace.as_str())
            .bind(name.as_str())
            .bind(paused)
            .fetch_optional(&mut *transaction);
        let row = within(context, async { pause.await.context(context) }).await?;
        let row = row.map(|row| read_row("subscriptions", &row, registry::subscription));
        let row = row.transpose()?;
        transaction.commit().await?;
        Ok(row)
    }

    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        const READ: &str = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions WHERE $1::text IS NULL OR namespace = $1 ORDER BY namespace, name"
        );
        let rows = sqlx::query(READ)
            .bind(namespace.map(Name::as_str))
            .fetch_all(&self.readers)
            .await
            .context("read subscriptions")?;
        read_rows("subscriptions", &rows, registry::subscription)
    }

    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError> {
        let mut transaction = self.writers.begin("put service").await?;
        let put = async {
            let kept = put_service(&mut transaction, row, replace, self.time.bind()).await?;
            ask_again(&mut transaction, &kept).await?;
            Ok(kept)
        };
        let kept = within("put service", put)
            .await
            .map_err(Failure::into_error)?;
        transaction.commit().await?;
        Ok(kept)
    }

    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError> {
        const READ: &str = concat!(
            "SELECT ",
            registry::service_columns!(),
            " FROM services WHERE namespace = $1 AND name = $2"
        );
        let row = sqlx::query(READ)
            .bind(namespace.as_str())
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await
            .context("read a service")?;
        row.map(|row| read_row("services", &row, registry::service))
            .transpose()
    }

    async fn services(&self, namespace: Option<&Name>) -> Result<Vec<ServiceRow>, StoreError> {
        const READ: &str = concat!(
            "SELECT ",
            registry::service_columns!(),
            " FROM services WHERE $1::text IS NULL OR namespace = $1 ORDER BY namespace, name"
        );
        let rows = sqlx::query(READ)
            .bind(namespace.map(Name::as_str))
            .fetch_all(&self.readers)
            .await
            .context("read services")?;
        read_rows("services", &rows, registry::service)
    }

    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        let context = "delete service";
        let mut transaction = self.writers.begin(context).await?;
        let delete = sqlx::query("DELETE FROM services WHERE namespace = $1 AND name = $2")
            .bind(namespace.as_str())
            .bind(name.as_str())
            .execute(&mut *transaction);
        let done = within(context, async { delete.await.context(context) }).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

/// There first, then locked, then rewritten: of two nodes that register at once neither loses its endpoints.
async fn put_service(
    db: &mut PgConnection,
    mut row: ServiceRow,
    replace: bool,
    time: Option<i64>,
) -> Result<ServiceRow, StoreError> {
    const INSERT: &str = "INSERT INTO services (namespace, name, endpoints, updated_at) VALUES ($1, $2, '[]', 0) \
         ON CONFLICT (namespace, name) DO NOTHING";
    const LOCK: &str = concat!(
        "SELECT ",
        registry::service_columns!(),
        " FROM services WHERE namespace = $1 AND name = $2 FOR UPDATE"
    );
    const UPDATE: &str = concat!(
        "UPDATE services SET endpoints = $4, updated_at = ",
        now!(),
        " WHERE namespace = $2 AND name = $3 RETURNING ",
        registry::service_columns!()
    );
    let context = "put a service";
    let (namespace, name) = (row.namespace.clone(), row.name.clone());
    sqlx::query(INSERT)
        .bind(namespace.as_str())
        .bind(name.as_str())
        .execute(&mut *db)
        .await
        .context(context)?;
    let known = sqlx::query(LOCK)
        .bind(namespace.as_str())
        .bind(name.as_str())
        .fetch_one(&mut *db)
        .await
        .context(context)?;
    let known = read_row("services", &known, registry::service)?;
    registry::gather(&mut row, (!replace).then_some(known));
    let kept = sqlx::query(UPDATE)
        .bind(time)
        .bind(namespace.as_str())
        .bind(name.as_str())
        .bind(registry::json(context, &row.endpoints)?)
        .fetch_one(&mut *db)
        .await
        .context(context)?;
    read_row("services", &kept, registry::service)
}

/// Makes check-backs and branches that wait for this service due. One that somebody has in hand is passed over, and so is one
/// that can't be read: a service must be able to register, whatever others have left.
async fn ask_again(db: &mut PgConnection, service: &ServiceRow) -> Result<(), Failure> {
    const WAITING: &str = concat!(
        "SELECT ",
        transaction::columns!(),
        " FROM transactions WHERE check_due IS NOT NULL AND namespace = $1 AND initiator = $2 AND holder = -1 \
         AND check_due > $3 ORDER BY check_due LIMIT $4 FOR UPDATE SKIP LOCKED"
    );
    if service.endpoints.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(WAITING)
        .bind(service.namespace.as_str())
        .bind(service.name.as_str())
        .bind(service.updated_at.as_micros())
        .bind(limit(engine::LOOKED_AT))
        .fetch_all(&mut *db)
        .await
        .context("find check-backs that wait for a service")?;
    let (waiting, _) = readable_rows("transactions", &rows, transaction::read);
    let branches = waiting_branches(db, service).await?;
    let mut set = WorkingSet::default();
    set.put_transactions([], waiting.clone());
    set.put_branches([], branches.clone());
    engine::ask_again(&mut set, waiting, service.updated_at)?;
    engine::call_again(&mut set, branches, service.updated_at)?;
    write(db, &set.writes(), None).await.map(drop)
}

async fn waiting_branches(
    db: &mut PgConnection,
    service: &ServiceRow,
) -> Result<Vec<BranchRow>, StoreError> {
    const WAITING: &str = concat!(
        "SELECT ",
        branch::columns!(),
        " FROM branches WHERE due IS NOT NULL AND namespace = $1 AND service = $2 AND holder = -1 AND due > $3 \
         ORDER BY due LIMIT $4 FOR UPDATE SKIP LOCKED"
    );
    let rows = sqlx::query(WAITING)
        .bind(service.namespace.as_str())
        .bind(service.name.as_str())
        .bind(service.updated_at.as_micros())
        .bind(limit(engine::LOOKED_AT))
        .fetch_all(&mut *db)
        .await
        .context("find branches that wait for a service")?;
    Ok(readable_rows("branches", &rows, branch::read).0)
}

impl PostgresStore {
    /// Parks some of what the subscription owes. `None`: more is left; else whether it existed, and it doesn't now.
    async fn delete_step(&self, namespace: &Name, name: &Name) -> Result<Option<bool>, Failure> {
        let context = "delete subscription";
        let mut transaction = self.writers.begin(context).await?;
        let step = delete_step(&mut transaction, &self.time, namespace, name);
        match within(context, step).await {
            Ok(done) => {
                transaction.commit().await?;
                Ok(done)
            }
            Err(failure) => {
                transaction.roll_back().await;
                Err(failure)
            }
        }
    }
}

async fn delete_step(
    db: &mut PgConnection,
    time: &TimeSource,
    namespace: &Name,
    name: &Name,
) -> Result<Option<bool>, Failure> {
    // Waits for decisions that have read it; those that come later wait, and then find it gone.
    const LOCK: &str = "SELECT 1 FROM subscriptions WHERE namespace = $1 AND name = $2 FOR UPDATE";
    const OWED: &str = "SELECT transaction_id, ordinal FROM deliveries \
         WHERE done_at IS NULL AND namespace = $1 AND subscription = $2 AND state = 1 LIMIT $3";
    const _: () = assert!(delivery::PENDING == 1);
    let context = "delete subscription";
    let there = sqlx::query(LOCK)
        .bind(namespace.as_str())
        .bind(name.as_str())
        .fetch_optional(&mut *db)
        .await
        .context(context)?;
    if there.is_none() {
        return Ok(Some(false));
    }
    let rows = sqlx::query(OWED)
        .bind(namespace.as_str())
        .bind(name.as_str())
        .bind(limit(STEP))
        .fetch_all(&mut *db)
        .await
        .context(context)?;
    let mut keys = BTreeSet::new();
    for row in &rows {
        let id: Uuid = row.try_get(0).context(context)?;
        let ordinal: i64 = row.try_get(1).context(context)?;
        keys.insert(DeliveryKey {
            transaction: TransactionId::from_bytes(*id.as_bytes())
                .map_err(|error| StoreError::Corrupt(format!("{id}: {error}")))?,
            ordinal: Ordinal(u32::try_from(ordinal).unwrap_or(u32::MAX)),
            subscription: Some(name.clone()),
        });
    }
    let is_last = rows.len() < STEP;
    park(db, time, name, &keys).await?;
    if !is_last {
        return Ok(None);
    }
    sqlx::query("DELETE FROM subscriptions WHERE namespace = $1 AND name = $2")
        .bind(namespace.as_str())
        .bind(name.as_str())
        .execute(&mut *db)
        .await
        .context(context)?;
    Ok(Some(true))
}

/// Parks those of `keys` that are still pending, in the locking order of every batch: transactions first.
async fn park(
    db: &mut PgConnection,
    time: &TimeSource,
    name: &Name,
    keys: &BTreeSet<DeliveryKey>,
) -> Result<(), Failure> {
    let ids: BTreeSet<TransactionId> = keys.iter().map(|key| key.transaction).collect();
    let mut set = WorkingSet::default();
    let mut tables = PgTables::new(db, time, Line::default());
    let transactions = tables.transactions(&ids, true).await?;
    set.put_transactions(ids, transactions);
    let mut owed = tables.deliveries(keys).await?;
    owed.retain(|row| row.state == DeliveryState::Pending);
    set.put_deliveries([], owed.clone());
    engine::park_owed(&mut set, name, owed)?;
    write(db, &set.writes(), None).await.map(drop)
}
