//! Nodes and their leases.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use earnest_protocol::{NodeEpoch, Timestamp, TransactionId};

use super::{MemoryStore, index::WorkKey, tables::Tables};
use crate::{
    BranchKey, CheckBackWork, ClaimRequest, Claimed, DeliveryKey, LeaseStore, StoreError, Target,
    Work,
    engine::{branch_work, delivery_work},
    planted::planted,
};

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn enrol(&self, _node: &str, lease: Duration) -> Result<NodeEpoch, StoreError> {
        let mut tables = self.tables();
        tables.last_epoch += 1;
        let epoch = NodeEpoch(tables.last_epoch);
        tables.nodes.insert(epoch, self.clock.now().after(lease));
        Ok(epoch)
    }

    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError> {
        let until = self.clock.now().after(lease);
        Ok(self
            .tables()
            .nodes
            .get_mut(&epoch)
            .map(|node| *node = until)
            .is_some()
            || planted!(BuriedNodeLivesOn))
    }

    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.nodes.remove(&epoch);
        free(&mut tables, epoch);
        Ok(())
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let mut tables = self.tables();
        let now = self.clock.now();
        bury(&mut tables, now);
        // Whoever was taken for dead leases nothing: nobody would ever free it.
        let lives = tables.nodes.contains_key(&request.epoch);
        let keys = if lives {
            choose(&tables, &request, now)
        } else {
            Vec::new()
        };
        let work = keys
            .into_iter()
            .filter_map(|key| take(&mut tables, key, request.epoch))
            .collect();
        Ok(Claimed {
            work,
            next_due: next_due(&tables, now),
            damaged: 0,
        })
    }
}

/// Takes nodes that went silent for dead, and frees what no living node holds. (A node that is dead without
/// knowing it may still lease what its own batches make due.)
fn bury(tables: &mut Tables, now: Timestamp) {
    tables.nodes.retain(|_, until| *until >= now);
    let held = tables.index().held.keys();
    let dead: Vec<_> = held
        .filter(|epoch| !tables.nodes.contains_key(epoch))
        .copied()
        .collect();
    for epoch in dead {
        if planted!(DeadKeepTheirWork) {
            continue;
        }
        free(tables, epoch);
    }
}

/// Lets go of all that `epoch` holds. The tokens stay: only another claim makes them stale.
fn free(tables: &mut Tables, epoch: NodeEpoch) {
    for key in tables.index().held.get(&epoch).cloned().unwrap_or_default() {
        match key {
            WorkKey::CheckBack(id) => {
                if let Some(mut row) = tables.transactions().get(&id).cloned() {
                    row.holder = None;
                    row.revision += 1;
                    tables.put_transaction(id, Some(row));
                }
            }
            WorkKey::Branch(key) => {
                if let Some(mut row) = tables.branch(&key).cloned() {
                    row.holder = None;
                    tables.put_branch(key, Some(row));
                }
            }
            WorkKey::Delivery(key) => {
                if let Some(mut row) = tables.delivery(&key).cloned() {
                    row.holder = None;
                    tables.put_delivery(&key, Some(row));
                }
            }
        }
    }
}

/// Whether attempts of `target` are made at all.
fn is_open(tables: &Tables, target: &Target) -> bool {
    match target {
        Target::Initiator(..) | Target::Participant(..) => true,
        Target::Subscription(namespace, name) => tables
            .subscription(namespace, name)
            .is_some_and(|subscription| !subscription.paused),
    }
}

/// Picks due work: the longest due of each target, one target after the other and round again, so that none
/// takes all of a short total (P12).
fn choose(tables: &Tables, request: &ClaimRequest, now: Timestamp) -> Vec<WorkKey> {
    let mut queues: Vec<_> = tables
        .index()
        .free
        .iter()
        .filter(|(target, _)| is_open(tables, target))
        .map(|(target, work)| {
            let room = request
                .room
                .get(target)
                .copied()
                .unwrap_or(request.per_target);
            work.iter()
                .take_while(|(due, _)| *due <= now)
                .map(|(_, key)| key)
                .take(room)
        })
        .collect();
    let mut chosen = Vec::new();
    while !queues.is_empty() && chosen.len() < request.total {
        queues.retain_mut(|queue| {
            let next = queue.next().filter(|_| chosen.len() < request.total);
            chosen.extend(next.cloned());
            next.is_some()
        });
    }
    chosen
}

fn take(tables: &mut Tables, key: WorkKey, epoch: NodeEpoch) -> Option<Work> {
    match key {
        WorkKey::CheckBack(id) => take_check_back(tables, id, epoch),
        WorkKey::Delivery(key) => take_delivery(tables, &key, epoch),
        WorkKey::Branch(key) => take_branch(tables, key, epoch),
    }
}

fn take_check_back(tables: &mut Tables, id: TransactionId, epoch: NodeEpoch) -> Option<Work> {
    let mut row = tables.transactions().get(&id)?.clone();
    row.holder = Some(epoch);
    row.token = row.token.next();
    row.revision += 1;
    let work = CheckBackWork {
        id,
        token: row.token,
        namespace: row.namespace.clone(),
        initiator: row.initiator.clone()?,
        resource_id: row.resource_id.clone(),
        created_at: row.created_at,
        attempt: row.check_attempts + 1,
        options: row.state.options,
        traceparent: row.traceparent.clone(),
    };
    tables.put_transaction(id, Some(row));
    Some(Work::CheckBack(Box::new(work)))
}

fn take_delivery(tables: &mut Tables, key: &DeliveryKey, epoch: NodeEpoch) -> Option<Work> {
    let mut delivery = tables.delivery(key)?.clone();
    let row = tables.transactions().get(&key.transaction)?;
    let message = tables
        .messages
        .get(&key.transaction)?
        .get(key.ordinal.0 as usize)?
        .clone();
    let subscription = Arc::clone(tables.subscription(&row.namespace, key.subscription.as_ref()?)?);
    delivery.holder = Some(epoch);
    if !planted!(ClaimKeepsTheToken) {
        delivery.token = delivery.token.next();
    }
    let work = delivery_work(row, &delivery, message, subscription)?;
    tables.put_delivery(key, Some(delivery));
    Some(work.into())
}

fn take_branch(tables: &mut Tables, key: BranchKey, epoch: NodeEpoch) -> Option<Work> {
    let mut branch = tables.branch(&key)?.clone();
    let row = tables.transactions().get(&key.transaction)?;
    let content = tables.branch_contents.get(&key)?.clone();
    branch.holder = Some(epoch);
    branch.token = branch.token.next();
    let work = branch_work(row, &branch, content)?;
    tables.put_branch(key, Some(branch));
    Some(work.into())
}

fn next_due(tables: &Tables, now: Timestamp) -> Option<Duration> {
    let mut first: Option<Timestamp> = None;
    for (_, work) in tables
        .index()
        .free
        .iter()
        .filter(|(target, _)| is_open(tables, target))
    {
        let later = (now.after(Duration::from_micros(1)), WorkKey::first());
        let next = work.range(later..).next().map(|(due, _)| *due);
        first = first.into_iter().chain(next).min();
    }
    first.map(|due| due.since(now))
}
