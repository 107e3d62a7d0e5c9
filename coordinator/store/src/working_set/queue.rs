//! The order of one key: what is stored of it, with what the batch has written over it.

use std::collections::BTreeMap;

use earnest_protocol::DeliveryState;

use super::{QueueKey, WorkingSet};
use crate::{DeliveryKey, DeliveryRow};

/// How many deliveries that are not done are fetched of a key at first.
pub(super) const WINDOW: usize = 4;

/// What is stored of an ordered key.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(super) last: Option<i64>,
    /// Those not done, from the first on.
    pub(super) open: BTreeMap<i64, DeliveryKey>,
    /// No others are not done.
    pub(super) complete: bool,
}

/// A key's ends as the batch sees them.
pub(super) struct Ends {
    pub(super) last: Option<i64>,
    /// The first that is not done.
    pub(super) head: Option<DeliveryKey>,
}

impl WorkingSet {
    /// `None`: not enough of it was fetched, which is noted.
    pub(super) fn ends(&mut self, key: &QueueKey) -> Option<Ends> {
        let Some(queue) = self.queues.get(key) else {
            self.missing.queues.insert(key.clone(), WINDOW);
            return None;
        };
        let nothing = BTreeMap::new();
        let written = self.queued.get(key).unwrap_or(&nothing);
        let stored = queue
            .open
            .iter()
            .find(|(position, _)| !written.contains_key(position));
        let own = written
            .iter()
            .find(|(_, (_, is_open))| *is_open)
            .map(|(position, (key, _))| (position, key));
        if stored.is_none() && !queue.complete {
            // All that was fetched has been passed by; what comes next lies behind it.
            let known_head = own.filter(|(position, _)| queue.open.contains_key(position));
            if known_head.is_none() {
                let wider = queue.open.len().max(WINDOW) * 4;
                self.missing.queues.insert(key.clone(), wider);
                return None;
            }
        }
        let head = [stored, own].into_iter().flatten().min();
        let last = written.last_key_value().map(|(position, _)| *position);
        Some(Ends {
            last: queue.last.max(last),
            head: head.map(|(_, key)| key.clone()),
        })
    }

    /// Follows a delivery that was written; `row` is what it is now, `old` what it was.
    pub(super) fn enqueue(&mut self, old: Option<&DeliveryRow>, row: Option<&DeliveryRow>) {
        let Some(known) = row.or(old) else { return };
        let (Some((order_key, position)), Some(name)) = (&known.order, &known.key.subscription)
        else {
            return;
        };
        let key = (known.namespace.clone(), name.clone(), order_key.clone());
        let is_open = row.is_some_and(|row| row.state != DeliveryState::Done);
        let queue = self.queued.entry(key).or_default();
        queue.insert(*position, (known.key.clone(), is_open));
    }
}
