//! What is true and what was told, kept apart from everything that is checked against it.
//!
//! L(x) comes from the participants' own data, S(x) from the rows as they change in the coordinator's database, and beside
//! them stands what callers were told. Nothing in here is ever read by the system under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
};

use earnest_protocol::{Decision, InitiatorOutcome, TransactionId};
use earnest_store::{BranchKey, DeliveryKey};

use super::{
    branches::{Branches, Counts},
    violation::Violations,
};

/// One delivery that is owed.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Attempts that reached the consumer.
    pub(crate) handed: u32,
    /// The consumer has answered *OK*.
    pub(crate) acknowledged: bool,
    /// The consumer's effect, in its own data.
    pub(crate) effects: u32,
}

/// What became of a local transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// Nothing yet.
    Open,
    /// It is durable.
    Committed,
    /// Its initiator has found out that it can't commit.
    Fenced,
}

/// What is known of one transaction.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) outcome: InitiatorOutcome,
    /// L(x): what became of its local transaction.
    pub(crate) local: Local,
    /// A caller was told that it is recorded.
    pub(crate) recorded: bool,
    /// What callers were told of its decision.
    pub(crate) told: Option<Decision>,
    /// S(x), as it was first seen in the database.
    pub(crate) decided: Option<Decision>,
    /// A person has decided over the initiator's head.
    pub(crate) overruled: bool,
    /// It was final, and its history is gone.
    pub(crate) purged: bool,
    pub(crate) owed: BTreeMap<DeliveryKey, Owed>,
    pub(crate) branches: Branches,
}

impl Page {
    fn new(outcome: InitiatorOutcome) -> Self {
        Self {
            outcome,
            local: Local::Open,
            recorded: false,
            told: None,
            decided: None,
            overruled: false,
            purged: false,
            owed: BTreeMap::new(),
            branches: Branches::new(),
        }
    }
}

/// Subscription and key.
type OrderKey = (String, String);

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) by_id: BTreeMap<TransactionId, Page>,
    /// The deliveries of each key of each subscription that asks for order, as they were decided.
    order: BTreeMap<OrderKey, Vec<DeliveryKey>>,
    /// In which order each of them stands.
    place: BTreeMap<DeliveryKey, OrderKey>,
    /// Effects that were seen and that nothing had owed.
    strangers: BTreeSet<DeliveryKey>,
}

/// Participants that keep their own data, and are asked for the truth when it is needed.
pub(crate) trait Oracle: Send + Sync {
    /// L(x).
    fn local(&self, id: TransactionId) -> Local;
    /// What a branch's participant has done.
    fn branch(&self, key: &BranchKey) -> Counts;
    /// Whether the consumer has the effect.
    fn taken(&self, key: &DeliveryKey) -> bool;
}

/// The book of one run.
#[derive(Default)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    pub(super) oracle: OnceLock<Box<dyn Oracle>>,
    pub(crate) violations: Violations,
}

impl Book {
    pub(crate) fn read<T>(&self, read: impl FnOnce(&mut Pages) -> T) -> T {
        read(&mut self.pages.lock().expect("no check panics"))
    }

    fn page<T>(&self, id: TransactionId, change: impl FnOnce(&mut Page) -> T) -> Option<T> {
        self.read(|book| book.by_id.get_mut(&id).map(change))
    }

    /// From now on the truth is asked of `oracle`.
    pub(crate) fn asks(&self, oracle: impl Oracle + 'static) {
        let first = self.oracle.set(Box::new(oracle)).is_ok();
        assert!(first, "there is one truth");
    }

    /// Notes what is true by now, if participants are to be asked for it.
    pub(crate) fn consult(&self, id: TransactionId) {
        match self.oracle.get().map(|oracle| oracle.local(id)) {
            Some(Local::Committed) => self.committed(id),
            Some(Local::Fenced) => self.fenced(id),
            Some(Local::Open) | None => {}
        }
    }

    /// A service begins a transaction.
    pub(crate) fn begins(&self, id: TransactionId, outcome: InitiatorOutcome) {
        self.read(|book| book.by_id.insert(id, Page::new(outcome)));
    }

    /// Its local transaction has become durable.
    pub(crate) fn committed(&self, id: TransactionId) {
        let was = self.page(id, |page| {
            std::mem::replace(&mut page.local, Local::Committed)
        });
        self.violations
            .unless(was != Some(Local::Fenced), "M4", || {
                format!("{id} committed after its initiator had answered that it rolled back")
            });
    }

    /// Its local transaction can't commit any more.
    pub(crate) fn fenced(&self, id: TransactionId) {
        let was = self.page(id, |page| match page.local {
            Local::Committed => Local::Committed,
            Local::Open | Local::Fenced => std::mem::replace(&mut page.local, Local::Fenced),
        });
        self.violations
            .unless(was != Some(Local::Committed), "M4", || {
                format!("{id} committed, and its initiator answers that it rolled back")
            });
    }

    /// A caller is told that it is recorded.
    pub(crate) fn told_recorded(&self, id: TransactionId, in_store: bool) {
        let purged = self.page(id, |page| {
            page.recorded = true;
            page.purged
        });
        let kept = in_store || purged == Some(true);
        self.violations.unless(kept, "M5", || {
            format!("a caller was told that {id} is recorded, and the database does not have it")
        });
    }

    /// A caller is told a decision.
    pub(crate) fn told_decided(&self, id: TransactionId, told: Decision, stands: Option<Decision>) {
        let purged = self.page(id, |page| page.decided.filter(|_| page.purged));
        let stands = stands.or(purged.flatten());
        self.violations.unless(stands == Some(told), "M5", || {
            format!("a caller was told {told} of {id}, and the database says {stands:?}")
        });
        let before = self.page(id, |page| *page.told.get_or_insert(told));
        self.violations
            .unless(before.is_none_or(|before| before == told), "M3", || {
                format!("callers were told both decisions of {id}")
            });
    }

    /// A decision appears in the database, and owes `owed`, in order where a place is given.
    pub(crate) fn decided(
        &self,
        id: TransactionId,
        decision: Decision,
        by_force: bool,
        owed: Vec<(DeliveryKey, Option<String>)>,
    ) {
        self.read(|book| {
            for (key, order) in &owed {
                if let (Some(order), Some(subscription)) = (order, &key.subscription) {
                    let order_key = (subscription.to_string(), order.clone());
                    book.place.insert(key.clone(), order_key.clone());
                    book.order.entry(order_key).or_default().push(key.clone());
                }
            }
            if let Some(page) = book.by_id.get_mut(&id) {
                page.decided = Some(decision);
                page.overruled |= by_force;
                let owed = owed.into_iter().map(|(key, _)| (key, Owed::default()));
                page.owed.extend(owed);
            }
        });
    }

    /// Something more is owed: a message whose topic had no subscription, given to those it has now.
    pub(crate) fn owes_also(&self, id: TransactionId, key: DeliveryKey, order: Option<String>) {
        self.read(|book| {
            if let (Some(order), Some(subscription)) = (order, &key.subscription) {
                let order_key = (subscription.to_string(), order);
                book.place.insert(key.clone(), order_key.clone());
                book.order.entry(order_key).or_default().push(key.clone());
            }
            if let Some(page) = book.by_id.get_mut(&id) {
                page.owed.entry(key).or_default();
            }
        });
    }

    /// Its history is purged.
    pub(crate) fn purged(&self, id: TransactionId) {
        self.page(id, |page| page.purged = true);
    }

    /// M5: what was purged never comes back under its id.
    pub(crate) fn is_new(&self, id: TransactionId) {
        let purged = self.page(id, |page| page.purged);
        self.violations.unless(purged != Some(true), "M5", || {
            format!("{id} was purged, and is taken for a new one")
        });
    }

    /// A message arrives at its consumer.
    pub(crate) fn handed(&self, key: &DeliveryKey) {
        let confirmed = self.page(key.transaction, |page| {
            page.owed.entry(key.clone()).or_default().handed += 1;
            page.decided == Some(Decision::Confirm)
        });
        self.violations.unless(confirmed == Some(true), "M1", || {
            format!("{key} was handed over although it is not confirmed")
        });
    }

    /// The consumer's effect becomes durable.
    pub(crate) fn effect(&self, key: &DeliveryKey) {
        let (seen, early) = self.read(|book| {
            let Some(page) = book.by_id.get_mut(&key.transaction) else {
                book.strangers.insert(key.clone());
                return (None, None);
            };
            let local = page.outcome == InitiatorOutcome::Local && !page.overruled;
            let owed = page.owed.entry(key.clone()).or_default();
            owed.effects += 1;
            let seen = (owed.effects, !local || page.local == Local::Committed);
            (Some(seen), book.first_missing_before(key))
        });
        self.violations
            .unless(seen.is_some_and(|(_, true_there)| true_there), "M1", || {
                format!("{key} had an effect although its local transaction did not commit")
            });
        self.violations
            .unless(seen.is_none_or(|(times, _)| times == 1), "K2", || {
                format!("{key} had its effect more than once")
            });
        self.violations.unless(early.is_none(), "P9", || {
            format!("{key} had its effect before {early:?}, which was decided before it")
        });
    }

    /// The consumer says *OK*.
    pub(crate) fn acknowledged(&self, key: &DeliveryKey) {
        self.page(key.transaction, |page| {
            page.owed.entry(key.clone()).or_default().acknowledged = true;
        });
    }

    /// Whether the consumer has said *OK*, or has the effect before which it never does.
    pub(crate) fn is_acknowledged(&self, key: &DeliveryKey) -> bool {
        if let Some(oracle) = self.oracle.get() {
            return oracle.taken(key);
        }
        let acknowledged = self.page(key.transaction, |page| {
            page.owed.get(key).is_some_and(|owed| owed.acknowledged)
        });
        acknowledged == Some(true)
    }
}

impl Book {
    /// A caller is told that its local transaction has committed.
    pub(crate) fn is_told_committed(&self, id: TransactionId) {
        let local = self.page(id, |page| page.local);
        self.violations
            .unless(local == Some(Local::Committed), "P5", || {
                format!("a caller was told that {id} has committed, and it has not")
            });
    }

    /// Callers were told of these that nothing was committed.
    pub(crate) fn are_told_not_committed(&self, told_not: &BTreeSet<TransactionId>) {
        for id in told_not {
            let local = self.page(*id, |page| page.local);
            self.violations
                .unless(local != Some(Local::Committed), "P5", || {
                    format!("a caller was told that {id} has not committed, and it has")
                });
        }
    }

    /// Takes the effects from the consumers' own rows, whose names `row` gives.
    pub(crate) fn effects(
        &self,
        rows: &BTreeMap<String, u32>,
        row: impl Fn(&DeliveryKey) -> String,
    ) {
        let mut left = rows.clone();
        self.read(|book| {
            for page in book.by_id.values_mut() {
                for (key, owed) in &mut page.owed {
                    owed.effects = left.remove(&row(key)).unwrap_or(0);
                }
            }
        });
        self.violations.unless(left.is_empty(), "M1", || {
            format!("effects that nothing owes: {left:?}")
        });
    }

    /// P9, from the consumers' own logs of each key of each subscription that asks for order.
    pub(crate) fn check_order(
        &self,
        log: impl Fn(&str, &str) -> Vec<String>,
        row: impl Fn(&DeliveryKey) -> String,
    ) {
        let orders = self.read(|book| book.order.clone());
        for ((subscription, key), decided) in orders {
            let log = log(&subscription, &key);
            let mut decided: Vec<_> = decided.iter().map(&row).collect();
            decided.retain(|row| log.contains(row));
            self.violations.unless(decided == log, "P9", || {
                format!("{subscription} took {log:?} of {key}, and {decided:?} was decided")
            });
        }
    }
}

impl Pages {
    /// A delivery of the same key of the same subscription that was decided before and has no effect yet.
    fn first_missing_before(&self, key: &DeliveryKey) -> Option<DeliveryKey> {
        let order = self.order.get(self.place.get(key)?)?;
        // Backwards: what is long done need not be looked at for long.
        let before = order.iter().rev().skip_while(|other| *other != key).skip(1);
        let mut before = before.take(8);
        before.find(|other| self.effects(other) == 0).cloned()
    }

    fn effects(&self, key: &DeliveryKey) -> u32 {
        let page = self.by_id.get(&key.transaction);
        page.and_then(|page| page.owed.get(key))
            .map_or(0, |owed| owed.effects)
    }
}
