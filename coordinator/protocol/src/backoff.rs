//! When to try again: a pure function of the attempt, the policy and a sample of chance (DESIGN §3.5).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A sample of chance, uniform over all its values, drawn by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Jitter(pub u32);

/// How the wait grows: initial × multiplier^(attempt − 1), at most `cap`, less up to half by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The wait after the first attempt.
    pub initial: Duration,
    /// In thousandths: 2,000 doubles.
    pub multiplier_milli: u32,
    /// The longest wait.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(200),
            multiplier_milli: 2_000,
            cap: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// The wait before the attempt after number `attempt` (from 1).
    ///
    /// Lies between half of the full wait and the full wait, so that callers spread out and none waits for
    /// nothing.
    pub fn delay(&self, attempt: u32, jitter: Jitter) -> Duration {
        let cap = self.cap.as_micros();
        let mut wait = self.initial.as_micros().min(cap);
        for _ in 1..attempt {
            let grown = wait * u128::from(self.multiplier_milli.max(1_000)) / 1_000;
            // Standing still or at the cap: more rounds change nothing.
            if grown == wait || grown >= cap {
                wait = grown.min(cap);
                break;
            }
            wait = grown;
        }
        let off = ((wait / 2) * u128::from(jitter.0)) >> 32;
        Duration::from_micros(u64::try_from(wait - off).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let policy = RetryPolicy {
            initial: Duration::from_millis(100),
            multiplier_milli: 2_000,
            cap: Duration::from_millis(700),
        };
        let waits: Vec<_> = (1..=5)
            .map(|n| policy.delay(n, Jitter(0)).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 700, 700]);
    }

    proptest! {
        #[test]
        fn stays_within_half_and_full(attempt in 1_u32..u32::MAX, sample: u32) {
            let policy = RetryPolicy::default();
            let full = policy.delay(attempt, Jitter(0));
            let wait = policy.delay(attempt, Jitter(sample));
            prop_assert!(wait <= full && wait >= full / 2 && full <= policy.cap);
        }
    }
}
