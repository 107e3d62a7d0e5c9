//! Reading.

use std::collections::BTreeMap;

use async_trait::async_trait;
use earnest_protocol::{DeliveryState, Name, Phase, Timestamp, Topic, TransactionId};

use super::{MemoryStore, tables::Tables};
use crate::{
    AuditRow, Backlog, BranchBacklog, Cursor, Detail, Page, QueryStore, StoreError,
    TransactionFilter, TransactionRow,
};

/// The attempts of a [`Detail`], at most.
const ATTEMPTS: usize = 100;

#[async_trait]
impl QueryStore for MemoryStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        Ok(self.tables().transactions().get(&id).cloned())
    }

    async fn detail(&self, id: TransactionId) -> Result<Option<Detail>, StoreError> {
        let tables = self.tables();
        let Some(row) = tables.transactions().get(&id) else {
            return Ok(None);
        };
        let attempts = tables.attempts.get(&id).into_iter().flatten();
        Ok(Some(Detail {
            transaction: row.clone(),
            messages: tables.messages.get(&id).cloned().unwrap_or_default(),
            deliveries: tables.deliveries_of(id).cloned().collect(),
            branches: tables
                .branches_of(id)
                .map(|(row, branch)| (row.clone(), branch.clone()))
                .collect(),
            attempts: attempts.rev().take(ATTEMPTS).cloned().collect(),
        }))
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<TransactionRow>, StoreError> {
        let tables = self.tables();
        let now = self.clock.now();
        let newest_first = tables.transactions().values().rev();
        let mut rows = newest_first
            .skip_while(|row| after.is_some_and(|Cursor(id)| row.id >= id))
            .filter(|row| matches(filter, row, &tables, now))
            .cloned();
        let page: Vec<_> = rows.by_ref().take(limit).collect();
        let more = rows.next().is_some();
        let next = page.last().filter(|_| more).map(|row| Cursor(row.id));
        Ok(Page { rows: page, next })
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let tables = self.tables();
        let mut by_subscription: BTreeMap<(Name, Option<Name>), Backlog> = BTreeMap::new();
        let unfinished = tables.index().unfinished.iter();
        for row in unfinished.flat_map(|id| tables.deliveries_of(*id)) {
            if row.state == DeliveryState::Done {
                continue;
            }
            let (namespace, subscription) = (row.namespace.clone(), row.key.subscription.clone());
            let place = by_subscription.entry((namespace.clone(), subscription.clone()));
            let backlog = place.or_insert(Backlog {
                namespace,
                subscription,
                pending: 0,
                parked: 0,
                oldest_pending: None,
            });
            if row.state == DeliveryState::Parked {
                backlog.parked += 1;
            } else {
                backlog.pending += 1;
                backlog.oldest_pending = backlog
                    .oldest_pending
                    .into_iter()
                    .chain([row.created_at])
                    .min();
            }
        }
        Ok(by_subscription.into_values().collect())
    }

    async fn branch_backlog(&self) -> Result<Vec<BranchBacklog>, StoreError> {
        let tables = self.tables();
        let mut by_service: BTreeMap<(Name, Name), BranchBacklog> = BTreeMap::new();
        let unfinished = tables.index().unfinished.iter();
        for (row, _) in unfinished.flat_map(|id| tables.branches_of(*id)) {
            if row.due.is_none() {
                continue;
            }
            let (namespace, service) = (row.namespace.clone(), row.service.clone());
            let place = by_service.entry((namespace.clone(), service.clone()));
            let backlog = place.or_insert(BranchBacklog {
                namespace,
                service,
                pending: 0,
                oldest_pending: None,
            });
            backlog.pending += 1;
            let oldest = backlog.oldest_pending.into_iter();
            backlog.oldest_pending = oldest.chain([row.created_at]).min();
        }
        Ok(by_service.into_values().collect())
    }

    async fn unfinished(&self) -> Result<Vec<(Option<Phase>, u64)>, StoreError> {
        let tables = self.tables();
        let mut counts: BTreeMap<Option<Phase>, u64> = BTreeMap::new();
        for row in tables
            .index()
            .unfinished
            .iter()
            .filter_map(|id| tables.transactions().get(id))
        {
            *counts.entry(Some(row.state.phase)).or_default() += 1;
            if row.state.parked.is_some() {
                *counts.entry(None).or_default() += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(self
            .tables()
            .audit
            .iter()
            .rev()
            .take(limit)
            .cloned()
            .collect())
    }
}

fn matches(
    filter: &TransactionFilter,
    row: &TransactionRow,
    tables: &Tables,
    now: Timestamp,
) -> bool {
    let of_topic = |topic: &Topic| {
        let mut messages = tables.messages.get(&row.id).into_iter().flatten();
        messages.any(|message| message.topic == *topic)
    };
    filter
        .namespace
        .as_ref()
        .is_none_or(|namespace| row.namespace == *namespace)
        && (filter.phases.is_empty() || filter.phases.contains(&row.state.phase))
        && filter
            .initiator
            .as_ref()
            .is_none_or(|initiator| row.initiator.as_ref() == Some(initiator))
        && filter
            .business_key
            .as_ref()
            .is_none_or(|key| row.business_key == *key)
        && filter.topic.as_ref().is_none_or(of_topic)
        && filter
            .older_than
            .is_none_or(|age| row.created_at <= now.before(age))
        && (!filter.parked || row.state.parked.is_some() || row.state.parked_effects > 0)
}
