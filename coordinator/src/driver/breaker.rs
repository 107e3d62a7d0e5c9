//! A circuit breaker per target, so that a dead one costs little.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
/// The first pause; it doubles with each failed probe.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: a destination that is back waits no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing, until the pause is over.
    Open,
    /// One probe.
    HalfOpen,
}

/// Counts failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Breaker {
    failures: u32,
    /// Since it opened, and for how long.
    open: Option<(Instant, Duration)>,
}

impl Breaker {
    /// Where it stands at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.open {
            None => BreakerState::Closed,
            Some((since, pause)) if now < since + pause => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// A call got an answer of any kind.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call got none. True: it opened, or stays open.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.open {
            // Calls that were under way when it opened change nothing.
            Some((since, pause)) if now < since + pause => {}
            Some((_, pause)) => {
                let pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                self.open = Some((now, pause));
            }
            None if self.failures >= THRESHOLD => self.open = Some((now, FIRST_PAUSE)),
            None => return false,
        }
        true
    }

    /// The target says that it is back: a probe goes through at once. If that fails, the pauses begin anew.
    pub fn probe(&mut self, now: Instant) {
        if self.open.is_some() {
            self.open = Some((now, Duration::ZERO));
        }
    }

    /// When the pause is over; `None` while closed.
    pub fn retry_at(&self) -> Option<Instant> {
        self.open.map(|(since, pause)| since + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_probes_and_closes() {
        let mut breaker = Breaker::default();
        let start = Instant::now();
        for _ in 1..THRESHOLD {
            assert!(!breaker.failed(start));
        }
        assert!(breaker.failed(start));
        assert_eq!(breaker.state(start), BreakerState::Open);
        let later = start + FIRST_PAUSE;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        breaker.failed(later);
        assert_eq!(
            breaker.state(later + FIRST_PAUSE),
            BreakerState::Open,
            "the pause doubles"
        );
        assert_eq!(
            breaker.state(later + FIRST_PAUSE * 2),
            BreakerState::HalfOpen
        );
        breaker.succeeded();
        assert_eq!(breaker.state(later), BreakerState::Closed);
        breaker.probe(later);
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_back_is_probed_at_once() {
        let mut breaker = Breaker::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            breaker.failed(now);
            now = breaker.retry_at().unwrap_or(now);
        }
        breaker.failed(now);
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker.probe(now);
        assert_eq!(breaker.state(now), BreakerState::HalfOpen);
        breaker.failed(now);
        assert_eq!(breaker.retry_at(), Some(now + FIRST_PAUSE));
    }
}
