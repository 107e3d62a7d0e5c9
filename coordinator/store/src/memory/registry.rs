//! Services and subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use earnest_protocol::{DeliveryState, Name};

use super::{MemoryStore, batch::Batch, index::WorkKey, tables::Tables};
use crate::{
    BranchRow, RegistryStore, ServiceRow, StoreError, SubscriptionRow, Target, TransactionRow,
    engine,
};

/// The endpoints that are kept of one service, at most.
const ENDPOINTS: usize = 64;

#[async_trait]
impl RegistryStore for MemoryStore {
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError> {
        let row = SubscriptionRow {
            updated_at: self.clock.now(),
            ..row
        };
        let mut tables = self.tables();
        let names = tables
            .subscriptions
            .entry(row.namespace.clone())
            .or_default();
        names.insert(row.name.clone(), Arc::new(row.clone()));
        Ok(row)
    }

    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if tables.subscription(namespace, name).is_none() {
            return Ok(false);
        }
        let unfinished = tables
            .index()
            .unfinished
            .iter()
            .flat_map(|id| tables.deliveries_of(*id));
        let owed = unfinished.filter(|row| {
            row.state == DeliveryState::Pending
                && row.namespace == *namespace
                && row.key.subscription.as_ref() == Some(name)
        });
        let owed = owed.cloned().collect();
        let mut batch = Batch::new(&mut tables);
        engine::park_owed(&mut batch, name, owed)?;
        batch.keep();
        if let Some(names) = tables.subscriptions.get_mut(namespace) {
            names.remove(name);
        }
        Ok(true)
    }

    async fn pause_subscription(
        &self,
        namespace: &Name,
        name: &Name,
        paused: bool,
    ) -> Result<Option<SubscriptionRow>, StoreError> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let row = tables
            .subscriptions
            .get_mut(namespace)
            .and_then(|names| names.get_mut(name));
        Ok(row.map(|row| {
            let changed = SubscriptionRow {
                paused,
                updated_at: now,
                ..row.as_ref().clone()
            };
            *row = Arc::new(changed.clone());
            changed
        }))
    }

    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        let tables = self.tables();
        let namespaces = tables
            .subscriptions
            .iter()
            .filter(|(name, _)| namespace.is_none_or(|n| n == *name));
        Ok(namespaces
            .flat_map(|(_, rows)| rows.values())
            .map(|row| row.as_ref().clone())
            .collect())
    }

    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError> {
        let mut row = ServiceRow {
            updated_at: self.clock.now(),
            ..row
        };
        let mut tables = self.tables();
        let names = tables.services.entry(row.namespace.clone()).or_default();
        if let (false, Some(known)) = (replace, names.get(&row.name)) {
            for endpoint in &known.endpoints {
                if !row.endpoints.contains(endpoint) {
                    row.endpoints.push(endpoint.clone());
                }
            }
        }
        row.endpoints.truncate(ENDPOINTS);
        names.insert(row.name.clone(), row.clone());
        if !row.endpoints.is_empty() {
            let (waiting, branches) = (waiting(&tables, &row), uncalled(&tables, &row));
            let mut batch = Batch::new(&mut tables);
            engine::ask_again(&mut batch, waiting, row.updated_at)?;
            engine::call_again(&mut batch, branches, row.updated_at)?;
            batch.keep();
        }
        Ok(row)
    }

    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError> {
        Ok(self
            .tables()
            .services
            .get(namespace)
            .and_then(|names| names.get(name))
            .cloned())
    }

    async fn services(&self, namespace: Option<&Name>) -> Result<Vec<ServiceRow>, StoreError> {
        let tables = self.tables();
        let namespaces = tables
            .services
            .iter()
            .filter(|(name, _)| namespace.is_none_or(|n| n == *name));
        Ok(namespaces
            .flat_map(|(_, rows)| rows.values())
            .cloned()
            .collect())
    }

    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        Ok(tables
            .services
            .get_mut(namespace)
            .and_then(|names| names.remove(name))
            .is_some())
    }
}

/// Check-backs of the service that are free and not due yet, the soonest first.
fn waiting(tables: &Tables, service: &ServiceRow) -> Vec<TransactionRow> {
    let target = Target::Initiator(service.namespace.clone(), service.name.clone());
    let free = tables.index().free.get(&target).into_iter().flatten();
    let later = free.filter(|(due, _)| *due > service.updated_at);
    let row = |(_, key): &(_, WorkKey)| match key {
        WorkKey::CheckBack(id) => tables.transactions().get(id).cloned(),
        WorkKey::Delivery(_) | WorkKey::Branch(_) => None,
    };
    later.take(engine::LOOKED_AT).filter_map(row).collect()
}

/// Branches of the service that are free and not due yet, the soonest first.
fn uncalled(tables: &Tables, service: &ServiceRow) -> Vec<BranchRow> {
    let target = Target::Participant(service.namespace.clone(), service.name.clone());
    let free = tables.index().free.get(&target).into_iter().flatten();
    let later = free.filter(|(due, _)| *due > service.updated_at);
    let row = |(_, key): &(_, WorkKey)| match key {
        WorkKey::Branch(key) => tables.branch(key).cloned(),
        WorkKey::CheckBack(_) | WorkKey::Delivery(_) => None,
    };
    later.take(engine::LOOKED_AT).filter_map(row).collect()
}
