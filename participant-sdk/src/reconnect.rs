//! How long to wait before calling a coordinator again that was away: growing, capped, jittered.
//!
//! The only module that knows the `backoff` crate. Chance comes from the SDK's own source, so that a
//! simulation repeats itself.

use std::time::Duration;

use backoff::{ExponentialBackoff, backoff::Backoff};

use crate::clock::Chance;

/// The pauses between tries, one after the other; they never end by themselves.
pub(crate) struct Pauses(ExponentialBackoff);

impl Pauses {
    /// For a call that somebody waits for.
    pub(crate) fn within_a_call() -> Self {
        Self::new(Duration::from_millis(20), Duration::from_millis(320))
    }

    /// For work in the background.
    pub(crate) fn in_background() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }

    fn new(initial: Duration, cap: Duration) -> Self {
        Self(ExponentialBackoff {
            initial_interval: initial,
            current_interval: initial,
            max_interval: cap,
            multiplier: 2.0,
            // Jitter is ours.
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// The next pause, with up to half of it taken off by chance.
    pub(crate) fn next(&mut self, chance: &dyn Chance) -> Duration {
        let whole = self.0.next_backoff().unwrap_or(self.0.max_interval);
        // The crate adds up to a nanosecond by a chance of its own.
        let whole = Duration::from_micros(u64::try_from(whole.as_micros()).unwrap_or(u64::MAX));
        whole.mul_f64(1.0 - chance.unit() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::test::Seeded;

    #[test]
    fn pauses_grow_to_the_cap_and_are_never_less_than_half() {
        let chance = Seeded::new(3);
        let mut pauses = Pauses::within_a_call();
        for whole in [20, 40, 80, 160, 320, 320, 320] {
            let pause = pauses.next(&chance);
            let whole = Duration::from_millis(whole);
            assert!(pause <= whole, "{pause:?} of {whole:?}");
            assert!(pause >= whole.mul_f64(0.49), "{pause:?} of {whole:?}");
        }
    }
}
