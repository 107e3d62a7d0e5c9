//! What was seen in the databases on the way, whenever everything stood still. What was durable then must hold to the end.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{
    books::{Books, BranchId, Decision, DeliveryState, Fence, Reserved},
    member::Member,
};

/// All that was ever seen to be durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Transactions that the coordinator knew.
    pub known: BTreeSet<Uuid>,
    /// What it had decided; the first time it was seen.
    pub decisions: BTreeMap<Uuid, Decision>,
    /// What the cashier's fence said; the first time it was seen.
    pub fence: BTreeMap<Uuid, Fence>,
    /// How a branch ended at its participant; the first time it was seen.
    pub ended: BTreeMap<BranchId, Reserved>,
    /// Deliveries that the coordinator held to be done.
    pub done: BTreeSet<(Uuid, Member)>,
}

impl Seen {
    /// Adds what `books` show.
    pub(crate) fn add(&mut self, books: &Books) {
        for (id, transaction) in &books.coordinator.transactions {
            self.known.insert(*id);
            if let Some(decision) = transaction.phase.decision() {
                self.decisions.entry(*id).or_insert(decision);
            }
        }
        for (id, fence) in &books.cashier.fence {
            self.fence.entry(*id).or_insert(*fence);
        }
        for (id, reserved) in books.reserved() {
            if reserved != Reserved::Tried {
                self.ended.entry(id).or_insert(reserved);
            }
        }
        for delivery in &books.coordinator.deliveries {
            if delivery.state == DeliveryState::Done {
                self.done.insert((delivery.transaction, delivery.consumer));
            }
        }
    }
}
