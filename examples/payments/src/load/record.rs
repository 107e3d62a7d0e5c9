//! What the customers were told, and how long it took.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

/// What a customer was told in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The payment or refund was made.
    Made,
    /// It was not, and won't be, and why.
    Refused(String),
    /// Nothing: the customer hung up.
    Nothing,
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct Record {
    next: AtomicU32,
    stop: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    told: BTreeMap<String, Told>,
    counts: Counts,
    took: Vec<Duration>,
}

/// How many requests came to which end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Payments and refunds.
    pub made: u64,
    /// By reason.
    pub refused: BTreeMap<String, u64>,
    /// Customers who did not wait.
    pub hung_up: u64,
    /// Answers that it had been made before.
    pub repeats: u64,
}

impl Counts {
    /// All refusals.
    pub fn all_refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// How many came to their end, one way or another.
    pub fn answered(&self) -> u64 {
        self.made + self.all_refused() + self.hung_up
    }
}

impl Record {
    /// No more new payments.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The next errand's number; none: there are no more.
    pub(super) fn next(&self, most: u32) -> Option<u32> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < most && !self.stop.load(Ordering::Relaxed)).then_some(number)
    }

    /// What each customer was told, by the id of the payment or refund.
    pub fn told(&self) -> BTreeMap<String, Told> {
        self.kept().told.clone()
    }

    /// In numbers.
    pub fn counts(&self) -> Counts {
        self.kept().counts.clone()
    }

    /// How long those took that were made, the shortest first.
    pub fn latencies(&self) -> Vec<Duration> {
        let mut took = self.kept().took.clone();
        took.sort_unstable();
        took
    }

    pub(super) fn tell(&self, id: String, told: Told) {
        let mut kept = self.kept();
        let counts = &mut kept.counts;
        match &told {
            Told::Made => counts.made += 1,
            Told::Refused(reason) => *counts.refused.entry(reason.clone()).or_default() += 1,
            Told::Nothing => counts.hung_up += 1,
        }
        kept.told.insert(id, told);
    }

    pub(super) fn took(&self, long: Duration) {
        self.kept().took.push(long);
    }

    pub(super) fn repeated(&self) {
        self.kept().counts.repeats += 1;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
