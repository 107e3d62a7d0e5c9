//! Clocks that follow the runtime's paused time, each with a jump of its own.

use std::sync::atomic::{AtomicI64, Ordering};

use earnest_protocol::Timestamp;
use earnest_store::Clock;
use tokio::time::Instant;

/// 2023-11-14T22:13:20Z.
const BEGINNING: i64 = 1_700_000_000_000_000;

/// One party's clock.
pub(crate) struct SimulatedClock {
    start: Instant,
    off_by: AtomicI64,
}

impl SimulatedClock {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            off_by: AtomicI64::new(0),
        }
    }

    /// Jumps, and stays there.
    pub(crate) fn jump(&self, millis: i32) {
        self.off_by
            .fetch_add(i64::from(millis) * 1_000, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let off_by = self.off_by.load(Ordering::Relaxed);
        Timestamp::from_micros(BEGINNING + off_by).after(self.start.elapsed())
    }
}
