//! A clock that a test turns by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use earnest_protocol::Timestamp;

use crate::Clock;

/// Stands still until it is advanced. Clones show the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// The time that every new one shows: 2023-11-14T22:13:20Z.
    pub const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("a test's delay fits");
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(Self::START.as_micros())))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
