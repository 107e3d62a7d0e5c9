//! What finds work without looking at everything: kept in step with the rows by [`Tables`](super::tables::Tables),
//! and read by claims, order, purge and counts.

use std::collections::{BTreeMap, BTreeSet};

use earnest_protocol::{DeliveryState, Name, NodeEpoch, Timestamp, TransactionId};

use crate::{BranchKey, BranchRow, DeliveryKey, DeliveryRow, Target, TransactionRow};

/// Names one piece of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WorkKey {
    CheckBack(TransactionId),
    Delivery(DeliveryKey),
    Branch(BranchKey),
}

impl WorkKey {
    /// None comes before it.
    pub(super) fn first() -> Self {
        Self::CheckBack(TransactionId::from_parts(Timestamp::default(), [0; 10]))
    }
}

/// The deliveries of one key of one subscription that asks for order, by position.
#[derive(Default, Clone)]
pub(super) struct Queue {
    pub(super) all: BTreeMap<i64, DeliveryKey>,
    /// Those not done.
    pub(super) open: BTreeMap<i64, DeliveryKey>,
}

/// Namespace, subscription, key.
type QueueKey = (Name, Name, String);

#[derive(Default, Clone)]
pub(super) struct Index {
    /// Work that is free and will be or is due, the longest due first.
    pub(super) free: BTreeMap<Target, BTreeSet<(Timestamp, WorkKey)>>,
    /// Work that somebody holds.
    pub(super) held: BTreeMap<NodeEpoch, BTreeSet<WorkKey>>,
    pub(super) unfinished: BTreeSet<TransactionId>,
    /// By when they finished.
    pub(super) finished: BTreeSet<(Timestamp, TransactionId)>,
    pub(super) queues: BTreeMap<QueueKey, Queue>,
}

/// Where one piece of work stands.
#[derive(PartialEq, Eq)]
enum Place {
    Free(Target, Timestamp),
    Held(NodeEpoch),
    Nowhere,
}

impl Index {
    /// Follows the change of a transaction from `old` to `new`.
    pub(super) fn transaction(
        &mut self,
        old: Option<&TransactionRow>,
        new: Option<&TransactionRow>,
    ) {
        let (was, is) = (
            old.map_or(Place::Nowhere, check_back),
            new.map_or(Place::Nowhere, check_back),
        );
        let Some(id) = old.or(new).map(|row| row.id) else {
            return;
        };
        self.moved(&WorkKey::CheckBack(id), was, is);
        match old.map(|row| row.finished_at) {
            Some(Some(at)) => self.finished.remove(&(at, id)),
            Some(None) => self.unfinished.remove(&id),
            None => false,
        };
        match new.map(|row| row.finished_at) {
            Some(Some(at)) => self.finished.insert((at, id)),
            Some(None) => self.unfinished.insert(id),
            None => false,
        };
    }

    /// Follows the change of a delivery from `old` to `new`.
    pub(super) fn delivery(&mut self, old: Option<&DeliveryRow>, new: Option<&DeliveryRow>) {
        let (was, is) = (
            old.map_or(Place::Nowhere, delivery),
            new.map_or(Place::Nowhere, delivery),
        );
        let Some(key) = old.or(new).map(|row| row.key.clone()) else {
            return;
        };
        self.moved(&WorkKey::Delivery(key), was, is);
        if let Some((queue_key, position)) = old.and_then(queue_of) {
            let queue = self.queues.entry(queue_key.clone()).or_default();
            queue.all.remove(&position);
            queue.open.remove(&position);
            if queue.all.is_empty() {
                self.queues.remove(&queue_key);
            }
        }
        if let Some((row, (queue_key, position))) = new.and_then(|row| Some((row, queue_of(row)?)))
        {
            let queue = self.queues.entry(queue_key).or_default();
            queue.all.insert(position, row.key.clone());
            if row.state != DeliveryState::Done {
                queue.open.insert(position, row.key.clone());
            }
        }
    }

    /// Follows the change of a branch from `old` to `new`.
    pub(super) fn branch(&mut self, old: Option<&BranchRow>, new: Option<&BranchRow>) {
        let (was, is) = (
            old.map_or(Place::Nowhere, branch),
            new.map_or(Place::Nowhere, branch),
        );
        if let Some(key) = old.or(new).map(|row| row.key) {
            self.moved(&WorkKey::Branch(key), was, is);
        }
    }

    fn moved(&mut self, key: &WorkKey, was: Place, is: Place) {
        if was == is {
            return;
        }
        match was {
            Place::Free(target, due) => {
                if let Some(set) = self.free.get_mut(&target) {
                    set.remove(&(due, key.clone()));
                    if set.is_empty() {
                        self.free.remove(&target);
                    }
                }
            }
            Place::Held(epoch) => {
                if let Some(set) = self.held.get_mut(&epoch) {
                    set.remove(key);
                    if set.is_empty() {
                        self.held.remove(&epoch);
                    }
                }
            }
            Place::Nowhere => {}
        }
        match is {
            Place::Free(target, due) => {
                self.free
                    .entry(target)
                    .or_default()
                    .insert((due, key.clone()));
            }
            Place::Held(epoch) => {
                self.held.entry(epoch).or_default().insert(key.clone());
            }
            Place::Nowhere => {}
        }
    }
}

fn check_back(row: &TransactionRow) -> Place {
    match (row.holder, row.check_due, &row.initiator) {
        (Some(epoch), _, _) => Place::Held(epoch),
        (None, Some(due), Some(initiator)) => Place::Free(
            Target::Initiator(row.namespace.clone(), initiator.clone()),
            due,
        ),
        _ => Place::Nowhere,
    }
}

fn delivery(row: &DeliveryRow) -> Place {
    match (row.holder, row.due, &row.key.subscription) {
        (Some(epoch), _, _) => Place::Held(epoch),
        (None, Some(due), Some(name)) => Place::Free(
            Target::Subscription(row.namespace.clone(), name.clone()),
            due,
        ),
        _ => Place::Nowhere,
    }
}

fn branch(row: &BranchRow) -> Place {
    match (row.holder, row.due) {
        (Some(epoch), _) => Place::Held(epoch),
        (None, Some(due)) => Place::Free(
            Target::Participant(row.namespace.clone(), row.service.clone()),
            due,
        ),
        _ => Place::Nowhere,
    }
}

fn queue_of(row: &DeliveryRow) -> Option<(QueueKey, i64)> {
    let (key, position) = row.order.as_ref()?;
    let name = row.key.subscription.clone()?;
    Some(((row.namespace.clone(), name, key.clone()), *position))
}
