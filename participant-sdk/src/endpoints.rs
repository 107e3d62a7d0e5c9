//! Which endpoint of the coordinator a call goes to: each transaction's calls to one of them, evenly spread, and on to the next
//! one at once where a node does not take calls.
//!
//! It only orders endpoints. A wrong guess costs one call's time, never an answer: every node answers for every transaction.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long an endpoint that did not take a call is passed over at first, and at most.
const PASSED_OVER: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The endpoints of one coordinator, by number.
pub(crate) struct Endpoints(Vec<Mutex<Option<Away>>>);

/// An endpoint that did not take a call.
struct Away {
    until: Instant,
    pause: Duration,
}

/// What a call met at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// A node that takes calls, whatever it said.
    Node,
    /// Nobody, or a node that is leaving or lost its database.
    Nobody,
}

impl Endpoints {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    /// The order in which one call tries them all. One that was passed over for long enough comes first, for this call only: one caller
    /// finds out whether it is back, and the others don't wait for it.
    pub(crate) fn order(&self, id: &str, now: Instant) -> Vec<usize> {
        let count = self.0.len();
        let first = spread(id) % count.max(1);
        let (mut due, mut up, mut away) = (Vec::new(), Vec::new(), Vec::new());
        for index in (first..count).chain(0..first) {
            match &mut *self.state(index) {
                None => up.push(index),
                Some(state) if now >= state.until && due.is_empty() => {
                    state.until = now + state.pause;
                    due.push(index);
                }
                Some(_) => away.push(index),
            }
        }
        due.append(&mut up);
        due.append(&mut away);
        due
    }

    /// Remembers what a call, started at `asked`, met at an endpoint.
    pub(crate) fn met(&self, index: usize, met: Met, asked: Instant, now: Instant) {
        let mut state = self.state(index);
        match (met, &mut *state) {
            (Met::Node, None) => {}
            (Met::Node, Some(_)) => {
                tracing::info!(endpoint = index, "a coordinator endpoint takes calls again");
                *state = None;
            }
            (Met::Nobody, None) => {
                tracing::warn!(
                    endpoint = index,
                    "a coordinator endpoint does not take calls and is passed over for a while"
                );
                let (pause, _) = PASSED_OVER;
                let until = now + pause;
                *state = Some(Away { until, pause });
            }
            (Met::Nobody, Some(away)) => {
                // Calls that were on their way together say it once.
                if asked + away.pause >= away.until {
                    away.pause = (away.pause * 2).min(PASSED_OVER.1);
                    away.until = now + away.pause;
                }
            }
        }
    }

    fn state(&self, index: usize) -> std::sync::MutexGuard<'_, Option<Away>> {
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number as evenly spread as the random end of the id.
fn spread(id: &str) -> usize {
    let digits = id.len().checked_sub(8).and_then(|start| id.get(start..));
    digits
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: &str = "01890000-0000-7000-8000-000000000002";
    const ODD: &str = "01890000-0000-7000-8000-000000000003";

    #[tokio::test]
    async fn transactions_are_spread_and_one_keeps_its_endpoint() {
        let (endpoints, now) = (Endpoints::new(2), Instant::now());
        for _ in 0..3 {
            assert_eq!(endpoints.order(EVEN, now), [0, 1]);
            assert_eq!(endpoints.order(ODD, now), [1, 0]);
        }
        assert_eq!(endpoints.order("", now), [0, 1]);
        assert_eq!(Endpoints::new(1).order(ODD, now), [0]);
    }

    #[tokio::test]
    async fn one_that_takes_no_calls_is_tried_last_and_by_one_caller_after_a_while() {
        let (endpoints, start) = (Endpoints::new(2), Instant::now());
        let (first, cap) = PASSED_OVER;
        endpoints.met(0, Met::Nobody, start, start);
        assert_eq!(endpoints.order(EVEN, start), [1, 0]);
        // Found out by calls that were on their way: not twice as bad.
        endpoints.met(0, Met::Nobody, start - first, start);
        let due = start + first;
        assert_eq!(endpoints.order(EVEN, due), [0, 1]);
        assert_eq!(endpoints.order(EVEN, due), [1, 0]);
        endpoints.met(0, Met::Nobody, due, due);
        assert_eq!(endpoints.order(EVEN, due + first), [1, 0]);
        assert_eq!(endpoints.order(EVEN, due + 2 * first), [0, 1]);

        endpoints.met(0, Met::Node, due, due + 2 * first);
        assert_eq!(endpoints.order(EVEN, due + 2 * first), [0, 1]);
        assert_eq!(endpoints.order(EVEN, due + 2 * first), [0, 1]);
        // However often it fails, it is tried again within the cap.
        let mut now = start + 2 * cap;
        for _ in 0..20 {
            endpoints.met(0, Met::Nobody, now, now);
            now += cap;
            assert_eq!(endpoints.order(EVEN, now), [0, 1]);
        }
    }

    #[tokio::test]
    async fn where_nobody_takes_calls_all_are_tried() {
        let (endpoints, now) = (Endpoints::new(3), Instant::now());
        for index in 0..3 {
            endpoints.met(index, Met::Nobody, now, now);
        }
        let mut order = endpoints.order(EVEN, now);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }
}
