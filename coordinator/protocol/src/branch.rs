//! One TCC branch: what it says, which call it waits for, and what the answer leads to.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    CONTENT_HASH_VERSION, ContentHash, Decision, Jitter, Name, ParkReason, RetryPolicy, Settled,
    Timestamp, planted::planted,
};

/// A reservation at one participant, as the initiator registers it. The payload is opaque bytes, and every call of the
/// branch carries it: Try, Confirm and Cancel alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch<P = Vec<u8>> {
    /// The participant.
    pub service: Name,
    /// Which of its reservations: `debit`, `credit`, …
    pub action: Name,
    /// The participant's database; empty: not checked.
    pub resource_id: String,
    /// Opaque.
    pub payload: P,
    /// Media type; empty: application/octet-stream.
    pub content_type: String,
}

impl<P: AsRef<[u8]>> Branch<P> {
    /// Tells a repeated registration from another one in its place.
    pub fn content(&self) -> ContentHash {
        let mut hash = Sha256::new();
        let fields: [&[u8]; 6] = [
            &[CONTENT_HASH_VERSION],
            self.service.as_str().as_bytes(),
            self.action.as_str().as_bytes(),
            self.resource_id.as_bytes(),
            self.content_type.as_bytes(),
            self.payload.as_ref(),
        ];
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        ContentHash(hash.finalize().into())
    }
}

/// A call of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchCall {
    /// Reserve.
    Try,
    /// Use what is reserved.
    Confirm,
    /// Give back what is reserved.
    Cancel,
}

impl BranchCall {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }
}

impl From<Decision> for BranchCall {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Confirm => Self::Confirm,
            Decision::Cancel => Self::Cancel,
        }
    }
}

impl fmt::Display for BranchCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// Registered; its initiator calls Try, and nothing is owed until the decision.
    Registered,
    /// The coordinator is to call Try (Execute).
    Trying,
    /// The coordinator's Try was answered OK.
    Tried,
    /// Decided: Confirm or Cancel is owed.
    Pending,
    /// The participant acknowledged the decision; never called again.
    Done,
    /// Waits for a person; never retried by itself, never dropped.
    Parked,
}

/// What a participant answers to a call of a branch (DESIGN §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchAnswer {
    /// Done.
    Ok,
    /// A business no; means something to a Try only.
    Refused(String),
    /// Again later.
    InProgress,
    /// Cannot ever succeed.
    Failed(String),
    /// Anything else: again later.
    Unknown,
}

/// What one Try led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrySettled {
    /// Reserved.
    Ok,
    /// A business no: the transaction is to be cancelled for this reason.
    Refused(String),
    /// Try again after this long; the deadline bounds how often.
    RetryAfter(std::time::Duration),
}

/// What the answer to attempt number `attempt` (from 1) of a Try leads to. Silence is not a no (P6): the reservation may
/// stand, so it is tried again until the deadline cancels.
pub fn settle_try(
    answer: BranchAnswer,
    attempt: u32,
    policy: &RetryPolicy,
    jitter: Jitter,
) -> TrySettled {
    match answer {
        BranchAnswer::Ok => TrySettled::Ok,
        BranchAnswer::Unknown if planted!(SilenceReserves) => TrySettled::Ok,
        BranchAnswer::Refused(reason) | BranchAnswer::Failed(reason)
            if !planted!(RefusalIsSilence) =>
        {
            TrySettled::Refused(reason)
        }
        _ => TrySettled::RetryAfter(policy.delay(attempt, jitter)),
    }
}

/// What the answer to attempt number `attempt` (from 1) of a Confirm or Cancel leads to. Only *OK* ends it, only *failed*
/// sets it aside, and nothing flips the decision: a refusal means nothing here (DESIGN §3.2.3).
pub fn settle_branch(
    answer: BranchAnswer,
    attempt: u32,
    policy: &RetryPolicy,
    jitter: Jitter,
) -> Settled {
    match answer {
        BranchAnswer::Ok => Settled::Done,
        BranchAnswer::Unknown if planted!(SilenceSettles) => Settled::Done,
        BranchAnswer::Refused(reason) if planted!(RefusalParks) => {
            Settled::Park(ParkReason::new(reason))
        }
        BranchAnswer::Failed(reason) => Settled::Park(ParkReason::new(reason)),
        BranchAnswer::Refused(_) | BranchAnswer::InProgress | BranchAnswer::Unknown => {
            Settled::RetryAfter(policy.delay(attempt, jitter))
        }
    }
}

/// What would be tried again at `now` is set aside for a person once its decision is older than `park_after`; `None`: never.
/// What ended, or is set aside already, stays as it is, and so does the decision (DESIGN §3.2.3).
pub fn give_up(
    settled: Settled,
    decided_at: Timestamp,
    now: Timestamp,
    park_after: Option<Duration>,
) -> Settled {
    match (settled, park_after) {
        (Settled::RetryAfter(_), Some(limit)) if now >= decided_at.after(limit) => {
            Settled::Park(ParkReason::new(format!(
                "not done {} s after the decision (branches.park_after_ms)",
                limit.as_secs()
            )))
        }
        (settled, _) => settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> [BranchAnswer; 5] {
        [
            BranchAnswer::Ok,
            BranchAnswer::Refused("no".into()),
            BranchAnswer::InProgress,
            BranchAnswer::Failed("gone".into()),
            BranchAnswer::Unknown,
        ]
    }

    #[test]
    fn p6_only_a_no_cancels_and_only_ok_reserves() {
        let again = TrySettled::RetryAfter(Duration::from_millis(400));
        let led_to = answers().map(|a| settle_try(a, 2, &RetryPolicy::default(), Jitter(0)));
        assert_eq!(
            led_to,
            [
                TrySettled::Ok,
                TrySettled::Refused("no".into()),
                again.clone(),
                TrySettled::Refused("gone".into()),
                again
            ]
        );
    }

    #[test]
    fn p4_age_sets_aside_what_would_be_tried_again_and_nothing_else() {
        let again = || Settled::RetryAfter(Duration::from_secs(1));
        let (hour, decided) = (Duration::from_hours(1), Timestamp::from_micros(5));
        let after = |settled, age, limit| give_up(settled, decided, decided.after(age), limit);
        assert_eq!(after(again(), hour * 9_000, None), again());
        assert_eq!(
            after(again(), Duration::from_micros(3_599_999_999), Some(hour)),
            again()
        );
        assert!(matches!(
            after(again(), hour, Some(hour)),
            Settled::Park(reason) if reason.as_str().contains("3600 s")
        ));
        for kept in [Settled::Done, Settled::Park(ParkReason::new("gone"))] {
            assert_eq!(after(kept.clone(), hour * 2, Some(hour)), kept);
        }
    }

    #[test]
    fn p4_nothing_but_ok_ends_the_second_phase() {
        let again = Settled::RetryAfter(Duration::from_millis(400));
        let led_to = answers().map(|a| settle_branch(a, 2, &RetryPolicy::default(), Jitter(0)));
        assert_eq!(
            led_to,
            [
                Settled::Done,
                again.clone(),
                again.clone(),
                Settled::Park(ParkReason::new("gone")),
                again
            ]
        );
    }
}
