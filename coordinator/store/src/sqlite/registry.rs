//! Services and subscriptions, written.

use async_trait::async_trait;
use earnest_protocol::Name;
use rusqlite::Connection;

use super::{
    SqliteStore, branch, column::limit, delivery, rows::SqlRows, service, subscription, transaction,
};
use crate::{DeliveryRow, RegistryStore, ServiceRow, StoreError, SubscriptionRow, engine};

/// The endpoints that are kept of one service, at most.
const ENDPOINTS: usize = 64;
/// Deliveries that are parked in one step, so that no other write waits long.
const STEP: usize = 256;

/// What a subscription still owes.
pub(super) const OWED: &str = concat!(
    "SELECT ",
    delivery::columns!(),
    " FROM deliveries INDEXED BY deliveries_owed \
     WHERE done_at IS NULL AND namespace = ?1 AND subscription = ?2 AND state = 1 LIMIT ?3"
);

/// Check-backs of a service that are free and not due yet, the soonest first.
pub(super) const WAITING: &str = concat!(
    "SELECT ",
    transaction::columns!(),
    " FROM transactions INDEXED BY transactions_due WHERE check_due IS NOT NULL AND namespace = ?1 \
     AND initiator = ?2 AND holder IS NULL AND check_due > ?3 ORDER BY check_due LIMIT ?4"
);

#[async_trait]
impl RegistryStore for SqliteStore {
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError> {
        self.writer
            .run("put subscription", move |db, now| {
                let row = SubscriptionRow {
                    updated_at: now,
                    ..row
                };
                subscription::put(db, &row)?;
                Ok(row)
            })
            .await
    }

    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        // It goes together with the last of what it owes: a crash half-way leaves it to be deleted again.
        loop {
            let (namespace, name) = (namespace.clone(), name.clone());
            let step = self.writer.run("delete subscription", move |db, _| {
                delete_step(db, &namespace, &name)
            });
            if let Some(existed) = step.await? {
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
        let (namespace, name) = (namespace.clone(), name.clone());
        self.writer
            .run("pause subscription", move |db, now| {
                let Some(row) = subscription::select(db, &namespace, &name)? else {
                    return Ok(None);
                };
                let row = SubscriptionRow {
                    paused,
                    updated_at: now,
                    ..row
                };
                subscription::put(db, &row)?;
                Ok(Some(row))
            })
            .await
    }

    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        let namespace = namespace.cloned();
        self.readers
            .run("subscriptions", move |db| {
                subscription::list(db, namespace.as_ref())
            })
            .await
    }

    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError> {
        self.writer
            .run("put service", move |db, now| {
                let mut row = ServiceRow {
                    updated_at: now,
                    ..row
                };
                let known = if replace {
                    None
                } else {
                    service::select(db, &row.namespace, &row.name)?
                };
                for endpoint in known.into_iter().flat_map(|known| known.endpoints) {
                    if !row.endpoints.contains(&endpoint) {
                        row.endpoints.push(endpoint);
                    }
                }
                row.endpoints.truncate(ENDPOINTS);
                service::put(db, &row)?;
                if !row.endpoints.is_empty() {
                    let waiting = transaction::all(
                        db,
                        WAITING,
                        rusqlite::params![
                            row.namespace.as_str(),
                            row.name.as_str(),
                            now.as_micros(),
                            limit(engine::LOOKED_AT)
                        ],
                    )?;
                    let at_once = limit(engine::LOOKED_AT);
                    let branches = branch::waiting(db, (&row.namespace, &row.name), now, at_once)?;
                    let mut rows = SqlRows::new(db);
                    engine::ask_again(&mut rows, waiting, now)?;
                    engine::call_again(&mut rows, branches, now)?;
                }
                Ok(row)
            })
            .await
    }

    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError> {
        let (namespace, name) = (namespace.clone(), name.clone());
        self.readers
            .run("service", move |db| service::select(db, &namespace, &name))
            .await
    }

    async fn services(&self, namespace: Option<&Name>) -> Result<Vec<ServiceRow>, StoreError> {
        let namespace = namespace.cloned();
        self.readers
            .run("services", move |db| service::list(db, namespace.as_ref()))
            .await
    }

    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        let (namespace, name) = (namespace.clone(), name.clone());
        self.writer
            .run("delete service", move |db, _| {
                service::delete(db, &namespace, &name)
            })
            .await
    }
}

/// Parks some of what the subscription owes. `None`: more is left; else whether it existed, and it doesn't now.
fn delete_step(db: &Connection, namespace: &Name, name: &Name) -> Result<Option<bool>, StoreError> {
    if subscription::select(db, namespace, name)?.is_none() {
        return Ok(Some(false));
    }
    let owed: Vec<DeliveryRow> = delivery::all(
        db,
        OWED,
        rusqlite::params![namespace.as_str(), name.as_str(), limit(STEP)],
    )?;
    let is_last = owed.len() < STEP;
    engine::park_owed(&mut SqlRows::new(db), name, owed)?;
    if is_last {
        subscription::delete(db, namespace, name).map(Some)
    } else {
        Ok(None)
    }
}
