//! The SDK's only door to time and chance. Everything else takes them from here, so that a simulation can
//! put its own in their place ([`Builder::clock`](crate::Builder::clock), [`Builder::chance`](crate::Builder::chance)).
//!
//! No safety rule depends on either: a wrong clock costs latency, never a wrong outcome.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use rand::{RngCore, SeedableRng, rngs::SmallRng};

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01 UTC.
    fn unix_micros(&self) -> i64;
}

/// Where random bytes come from.
pub trait Chance: Send + Sync + 'static {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Chance {
    /// Evenly spread over 0.0 (inclusive) to 1.0 (exclusive).
    pub(crate) fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the SDK reads the machine's clock"
    )]
    fn unix_micros(&self) -> i64 {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
    }
}

/// A generator seeded by the operating system.
#[derive(Debug)]
pub struct SystemChance(Mutex<SmallRng>);

impl Default for SystemChance {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the SDK takes a seed from the system"
    )]
    fn default() -> Self {
        Self(Mutex::new(SmallRng::from_os_rng()))
    }
}

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(bytes);
    }
}

#[cfg(test)]
pub(crate) mod test {
    use super::*;

    pub(crate) struct FixedClock(pub(crate) i64);

    impl Clock for FixedClock {
        fn unix_micros(&self) -> i64 {
            self.0
        }
    }

    pub(crate) struct Seeded(Mutex<SmallRng>);

    impl Seeded {
        pub(crate) fn new(seed: u64) -> Self {
            Self(Mutex::new(SmallRng::seed_from_u64(seed)))
        }
    }

    impl Chance for Seeded {
        fn fill(&self, bytes: &mut [u8]) {
            self.0.lock().unwrap().fill_bytes(bytes);
        }
    }

    #[test]
    fn unit_stays_in_range() {
        struct Highest;
        impl Chance for Highest {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(0xff);
            }
        }
        let highest: &dyn Chance = &Highest;
        assert!(highest.unit() < 1.0);
    }
}
