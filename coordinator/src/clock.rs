//! The one place that reads the machine's clock and draws chance; all else is handed an [`Environment`].

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use earnest_protocol::{Jitter, Timestamp, TransactionId};
use earnest_store::Clock;
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
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

/// Time and chance, as `main` or a simulator gives them.
#[derive(Clone)]
pub struct Environment {
    clock: Arc<dyn Clock>,
    chance: Arc<Mutex<SmallRng>>,
}

impl Environment {
    /// The machine's clock and a generator seeded by the operating system.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the chance that all others are handed"
    )]
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock), SmallRng::from_os_rng())
    }

    /// A clock and a seed: the same seed draws the same chance.
    pub fn seeded(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self::new(clock, SmallRng::seed_from_u64(seed))
    }

    fn new(clock: Arc<dyn Clock>, chance: SmallRng) -> Self {
        Self {
            clock,
            chance: Arc::new(Mutex::new(chance)),
        }
    }

    /// The clock, for stores.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Now, UTC.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A sample for a back-off.
    pub fn jitter(&self) -> Jitter {
        Jitter(self.draw(Rng::random))
    }

    /// A new transaction id.
    pub fn transaction_id(&self) -> TransactionId {
        TransactionId::from_parts(self.now(), self.draw(Rng::random))
    }

    /// A number that no other run of a node has drawn.
    pub fn line(&self) -> i64 {
        self.draw(Rng::random)
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
