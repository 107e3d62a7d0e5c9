//! What is true at the participants, read from their databases.

use std::collections::BTreeMap;

use earnest::memory::Database;
use earnest_protocol::TransactionId;
use earnest_store::{BranchKey, DeliveryKey};

use super::{
    WireWorld,
    consumer::{effect_row, log_row},
    reserve::truth,
};
use crate::check::{Counts, Local, Oracle};

/// What a service itself writes in its local transaction. It is the truth even where the fence is wrong, and outlives it.
pub(super) fn order_row(id: TransactionId) -> String {
    format!("order {id}")
}

/// The databases, asked whenever the book needs to know.
pub(super) struct Databases {
    pub(super) initiators: Vec<Database>,
    pub(super) consumers: Vec<Database>,
    pub(super) participants: Vec<Database>,
}

impl Oracle for Databases {
    fn local(&self, id: TransactionId) -> Local {
        let row = order_row(id);
        // A Try may open a transaction of its own.
        let mut initiators = self.initiators.iter().chain(&self.participants);
        if initiators.any(|one| one.row(&row).is_some()) {
            return Local::Committed;
        }
        let Ok(id) = id.to_string().parse() else {
            return Local::Open;
        };
        let databases = self.initiators.iter().chain(&self.participants);
        let mut said = databases.filter_map(|one| one.committed(id));
        match said.next() {
            Some(false) => Local::Fenced,
            Some(true) | None => Local::Open,
        }
    }

    fn branch(&self, key: &BranchKey) -> Counts {
        truth(&self.participants, key)
    }

    fn taken(&self, key: &DeliveryKey) -> bool {
        let row = effect_row(key);
        self.consumers.iter().any(|one| one.row(&row).is_some())
    }
}

impl WireWorld {
    /// Brings what services have in their databases into the book, at the end.
    pub(super) fn note_effects(&self) {
        let mut effects = BTreeMap::new();
        for consumer in &self.consumers {
            for (row, count) in consumer.database.rows() {
                if row.starts_with("effect ") {
                    effects.insert(row, u32::from(count.first().copied().unwrap_or_default()));
                }
            }
        }
        self.book.effects(&effects, effect_row);
        let log = |subscription: &str, key: &str| {
            let row = log_row(subscription, key);
            let mut consumers = self.consumers.iter();
            let log = consumers.find_map(|consumer| consumer.database.row(&row));
            let log = String::from_utf8(log.unwrap_or_default()).unwrap_or_default();
            log.lines().map(str::to_owned).collect()
        };
        self.book.check_order(log, effect_row);
        // A local transaction that nobody asked about is in its database all the same.
        let ids = self
            .book
            .read(|book| book.by_id.keys().copied().collect::<Vec<_>>());
        for id in ids {
            self.book.consult(id);
        }
    }
}
