//! The store's clock, which follows tokio's: paused when that is.

use earnest_protocol::Timestamp;
use earnest_store::Clock;
use tokio::time::Instant;

/// 2023-11-14T22:13:20Z, and on from there as tokio's time goes on.
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).after(self.0.elapsed())
    }
}
