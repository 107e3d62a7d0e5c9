//! The one place that reads the machine's clock: ids carry its time, and the raw store is handed it.

use std::time::SystemTime;

use earnest_protocol::{Timestamp, TransactionId};
use earnest_store::Clock;
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others are handed"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Makes transaction ids as an SDK does.
#[derive(Clone, Debug)]
pub struct Ids {
    chance: SmallRng,
}

impl Ids {
    /// Different seeds make different ids.
    pub fn seeded(seed: u64) -> Self {
        Self {
            chance: SmallRng::seed_from_u64(seed),
        }
    }

    /// The next id.
    pub fn next_id(&mut self) -> TransactionId {
        TransactionId::from_parts(SystemClock.now(), self.chance.random())
    }
}
