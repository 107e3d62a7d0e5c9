//! The state machine of one delivery.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{DeliveryAnswer, Jitter, ParkReason, RetryPolicy, planted::planted};

/// Whether a delivery is still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Owed.
    Pending,
    /// The destination acknowledged it; never again (K1).
    Done,
    /// Waits for a person; never retried by itself, never dropped.
    Parked,
}

/// What one attempt led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Acknowledged.
    Done,
    /// Try again after this long.
    RetryAfter(Duration),
    /// Set aside.
    Park(ParkReason),
}

/// What the answer to attempt number `attempt` (from 1) leads to. Nothing but *OK* ends a delivery and
/// nothing but *failed* sets it aside: silence is never an answer (P4, P6).
pub fn settle(
    answer: DeliveryAnswer,
    attempt: u32,
    policy: &RetryPolicy,
    jitter: Jitter,
) -> Settled {
    let silence_delivers = planted!(SilenceDelivers) && answer == DeliveryAnswer::Unknown;
    let failure_delivers = planted!(FailureDelivers) && matches!(answer, DeliveryAnswer::Failed(_));
    if silence_delivers || failure_delivers {
        return Settled::Done;
    }
    match answer {
        DeliveryAnswer::Ok => Settled::Done,
        DeliveryAnswer::Failed(reason) => Settled::Park(ParkReason::new(reason)),
        DeliveryAnswer::Refused | DeliveryAnswer::InProgress | DeliveryAnswer::Unknown => {
            Settled::RetryAfter(policy.delay(attempt, jitter))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_only_ok_ends_a_delivery() {
        let policy = RetryPolicy::default();
        let after = |answer| settle(answer, 3, &policy, Jitter(0));
        assert_eq!(after(DeliveryAnswer::Ok), Settled::Done);
        assert_eq!(
            after(DeliveryAnswer::Failed("no".into())),
            Settled::Park(ParkReason::new("no"))
        );
        for again in [
            DeliveryAnswer::Refused,
            DeliveryAnswer::InProgress,
            DeliveryAnswer::Unknown,
        ] {
            assert_eq!(
                after(again),
                Settled::RetryAfter(Duration::from_millis(800))
            );
        }
    }
}
