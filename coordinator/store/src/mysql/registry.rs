//! Services and subscriptions, written.

use std::collections::BTreeSet;

use async_trait::async_trait;
use earnest_protocol::{DeliveryState, Name, Ordinal, TransactionId};
use sqlx::MySqlConnection;

use super::{
    MySqlStore,
    connection::transact,
    error::{Context, Failure},
    fetch::MySqlTables,
    time::now,
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

const SUBSCRIPTION: &str = concat!(
    "SELECT ",
    registry::subscription_columns!(),
    " FROM subscriptions WHERE namespace = ? AND name = ?"
);
const SERVICE: &str = concat!(
    "SELECT ",
    registry::service_columns!(),
    " FROM services WHERE namespace = ? AND name = ?"
);

#[async_trait]
impl RegistryStore for MySqlStore {
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError> {
        // (`VALUES()` is what both MySQL and MariaDB call the row that was not inserted.)
        const PUT: &str = concat!(
            "INSERT INTO subscriptions (",
            registry::subscription_columns!(),
            ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ",
            now!(),
            ") ON DUPLICATE KEY UPDATE topic = VALUES(topic), destination = VALUES(destination), \
             ordered = VALUES(ordered), paused = VALUES(paused), concurrency = VALUES(concurrency), \
             timeout = VALUES(timeout), retry_initial = VALUES(retry_initial), \
             retry_multiplier = VALUES(retry_multiplier), retry_cap = VALUES(retry_cap), \
             updated_at = VALUES(updated_at)"
        );
        let name = "put subscription";
        let destination = registry::json(name, &row.destination)?;
        transact!(self.writers, name, |db| {
            sqlx::query(PUT)
                .bind(row.name.as_str().as_bytes())
                .bind(row.namespace.as_str().as_bytes())
                .bind(row.topic.as_str().as_bytes())
                .bind(destination.as_str())
                .bind(row.ordered)
                .bind(row.paused)
                .bind(i64::from(row.concurrency))
                .bind(micros(row.timeout))
                .bind(micros(row.retry.initial))
                .bind(i64::from(row.retry.multiplier_milli))
                .bind(micros(row.retry.cap))
                .bind(self.time.bind())
                .execute(&mut *db)
                .await
                .context(name)?;
            let kept = kept(db, &row.namespace, &row.name).await?;
            kept.ok_or_else(|| StoreError::Corrupt(format!("{name}: it is gone")).into())
        })
    }

    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        // It goes together with the last of what it owes: a crash half-way leaves it to be deleted again.
        loop {
            let step: Result<Option<bool>, StoreError> =
                transact!(self.writers, "delete subscription", |db| {
                    self.delete_step(db, namespace, name).await
                });
            if let Some(existed) = step? {
                return Ok(existed);
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
            "UPDATE subscriptions SET paused = ?, updated_at = ",
            now!(),
            " WHERE namespace = ? AND name = ?"
        );
        let context = "pause subscription";
        transact!(self.writers, context, |db| {
            sqlx::query(PAUSE)
                .bind(paused)
                .bind(self.time.bind())
                .bind(namespace.as_str().as_bytes())
                .bind(name.as_str().as_bytes())
                .execute(&mut *db)
                .await
                .context(context)?;
            Ok(kept(db, namespace, name).await?)
        })
    }

    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        const READ: &str = concat!(
            "SELECT ",
            registry::subscription_columns!(),
            " FROM subscriptions WHERE ? IS NULL OR namespace = ? ORDER BY namespace, name"
        );
        let namespace = namespace.map(|name| name.as_str().as_bytes());
        let rows = sqlx::query(READ)
            .bind(namespace)
            .bind(namespace)
            .fetch_all(&self.readers)
            .await
            .context("read subscriptions")?;
        read_rows("subscriptions", &rows, registry::subscription)
    }

    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError> {
        transact!(self.writers, "put service", |db| {
            let kept = put_service(db, row.clone(), replace, self.time.bind()).await?;
            self.ask_again(db, &kept).await?;
            Ok(kept)
        })
    }

    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError> {
        let row = sqlx::query(SERVICE)
            .bind(namespace.as_str().as_bytes())
            .bind(name.as_str().as_bytes())
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
            " FROM services WHERE ? IS NULL OR namespace = ? ORDER BY namespace, name"
        );
        let namespace = namespace.map(|name| name.as_str().as_bytes());
        let rows = sqlx::query(READ)
            .bind(namespace)
            .bind(namespace)
            .fetch_all(&self.readers)
            .await
            .context("read services")?;
        read_rows("services", &rows, registry::service)
    }

    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        let context = "delete service";
        transact!(self.writers, context, |db| {
            let done = sqlx::query("DELETE FROM services WHERE namespace = ? AND name = ?")
                .bind(namespace.as_str().as_bytes())
                .bind(name.as_str().as_bytes())
                .execute(db)
                .await
                .context(context)?;
            Ok(done.rows_affected() > 0)
        })
    }
}

/// A subscription as it is kept.
async fn kept(
    db: &mut MySqlConnection,
    namespace: &Name,
    name: &Name,
) -> Result<Option<SubscriptionRow>, StoreError> {
    let row = sqlx::query(SUBSCRIPTION)
        .bind(namespace.as_str().as_bytes())
        .bind(name.as_str().as_bytes())
        .fetch_optional(db)
        .await
        .context("read a subscription")?;
    row.map(|row| read_row("subscriptions", &row, registry::subscription))
        .transpose()
}

/// There first, then locked, then rewritten: of two nodes that register at once neither loses its endpoints.
async fn put_service(
    db: &mut MySqlConnection,
    mut row: ServiceRow,
    replace: bool,
    time: Option<i64>,
) -> Result<ServiceRow, StoreError> {
    // Locks the row, whether or not it was there. (INSERT IGNORE would hide what is cut off.)
    const INSERT: &str = "INSERT INTO services (namespace, name, endpoints, updated_at) VALUES (?, ?, '[]', 0) \
         ON DUPLICATE KEY UPDATE name = services.name";
    const UPDATE: &str = concat!(
        "UPDATE services SET endpoints = ?, updated_at = ",
        now!(),
        " WHERE namespace = ? AND name = ?"
    );
    let context = "put a service";
    let names = (row.namespace.clone(), row.name.clone());
    let (namespace, name) = (names.0.as_str().as_bytes(), names.1.as_str().as_bytes());
    let read = async |db: &mut MySqlConnection| {
        let row = sqlx::query(SERVICE)
            .bind(namespace)
            .bind(name)
            .fetch_one(db)
            .await
            .context(context)?;
        read_row("services", &row, registry::service)
    };
    sqlx::query(INSERT)
        .bind(namespace)
        .bind(name)
        .execute(&mut *db)
        .await
        .context(context)?;
    let known = read(db).await?;
    registry::gather(&mut row, (!replace).then_some(known));
    sqlx::query(UPDATE)
        .bind(registry::json(context, &row.endpoints)?)
        .bind(time)
        .bind(namespace)
        .bind(name)
        .execute(&mut *db)
        .await
        .context(context)?;
    read(db).await
}

async fn waiting_branches(
    db: &mut MySqlConnection,
    service: &ServiceRow,
) -> Result<Vec<BranchRow>, StoreError> {
    const WAITING: &str = concat!(
        "SELECT ",
        branch::columns!(),
        " FROM branches FORCE INDEX (branches_due) WHERE is_due = 1 AND namespace = ? AND service = ? AND holder = -1 \
         AND due > ? ORDER BY due LIMIT ? FOR UPDATE SKIP LOCKED"
    );
    let rows = sqlx::query(WAITING)
        .bind(service.namespace.as_str().as_bytes())
        .bind(service.name.as_str().as_bytes())
        .bind(service.updated_at.as_micros())
        .bind(limit(engine::LOOKED_AT))
        .fetch_all(&mut *db)
        .await
        .context("find branches that wait for a service")?;
    Ok(readable_rows("branches", &rows, branch::read).0)
}

impl MySqlStore {
    /// Makes check-backs and branches that wait for this service due. One that somebody has in hand is passed over, and so is one
    /// that can't be read: a service must be able to register, whatever others have left.
    async fn ask_again(
        &self,
        db: &mut MySqlConnection,
        service: &ServiceRow,
    ) -> Result<(), Failure> {
        const WAITING: &str = concat!(
            "SELECT ",
            transaction::columns!(),
            " FROM transactions FORCE INDEX (transactions_due) WHERE phase = 1 AND namespace = ? AND initiator = ? \
             AND holder = -1 AND check_due > ? ORDER BY check_due LIMIT ? FOR UPDATE SKIP LOCKED"
        );
        if service.endpoints.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(WAITING)
            .bind(service.namespace.as_str().as_bytes())
            .bind(service.name.as_str().as_bytes())
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
        write(db, &set.writes(), None, self.packet).await.map(drop)
    }

    /// Parks some of what the subscription owes. `None`: more is left; else whether it existed, and it doesn't now.
    async fn delete_step(
        &self,
        db: &mut MySqlConnection,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<bool>, Failure> {
        // Waits for decisions that have read it; those that come later wait, and then find it gone.
        const LOCK: &str =
            "SELECT 1 FROM subscriptions WHERE namespace = ? AND name = ? FOR UPDATE";
        const OWED: &str = "SELECT transaction_id, ordinal FROM deliveries FORCE INDEX (deliveries_owed) \
             WHERE state = 1 AND namespace = ? AND subscription = ? LIMIT ?";
        const _: () = assert!(delivery::PENDING == 1);
        let context = "delete subscription";
        let names = (namespace.as_str().as_bytes(), name.as_str().as_bytes());
        let there = sqlx::query(LOCK)
            .bind(names.0)
            .bind(names.1)
            .fetch_optional(&mut *db)
            .await
            .context(context)?;
        if there.is_none() {
            return Ok(Some(false));
        }
        let rows = sqlx::query(OWED)
            .bind(names.0)
            .bind(names.1)
            .bind(limit(STEP))
            .fetch_all(&mut *db)
            .await
            .context(context)?;
        let keys = read_rows("deliveries", &rows, |mut c| {
            Ok(DeliveryKey {
                transaction: c.id()?,
                ordinal: Ordinal(c.int()?),
                subscription: Some(name.clone()),
            })
        })?;
        self.park(db, name, &keys.into_iter().collect()).await?;
        if rows.len() == STEP {
            return Ok(None);
        }
        sqlx::query("DELETE FROM subscriptions WHERE namespace = ? AND name = ?")
            .bind(names.0)
            .bind(names.1)
            .execute(&mut *db)
            .await
            .context(context)?;
        Ok(Some(true))
    }

    /// Parks those of `keys` that are still pending, in the locking order of every batch: transactions first.
    async fn park(
        &self,
        db: &mut MySqlConnection,
        name: &Name,
        keys: &BTreeSet<DeliveryKey>,
    ) -> Result<(), Failure> {
        let ids: BTreeSet<TransactionId> = keys.iter().map(|key| key.transaction).collect();
        let mut set = WorkingSet::default();
        let mut tables = MySqlTables::new(db, &self.time, Line::default());
        let transactions = tables.transactions(&ids, true).await?;
        set.put_transactions(ids, transactions);
        let mut owed = tables.deliveries(keys).await?;
        owed.retain(|row| row.state == DeliveryState::Pending);
        set.put_deliveries([], owed.clone());
        engine::park_owed(&mut set, name, owed)?;
        write(db, &set.writes(), None, self.packet).await.map(drop)
    }
}
