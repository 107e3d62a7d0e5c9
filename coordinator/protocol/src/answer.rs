//! What participants answer: a typed word, never a guess from a body (DESIGN §3.3).

use serde::{Deserialize, Serialize};

/// The initiator's answer to a check-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckBackAnswer {
    /// The local transaction is durably committed.
    Committed,
    /// It did not commit and never can.
    RolledBack,
    /// It is still open; counts towards the budget.
    InProgress,
    /// No answer, an error, a time-out, anything else: decides nothing, counts for nothing (P6).
    Unknown,
}

/// The destination's answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryAnswer {
    /// Taken.
    Ok,
    /// Means nothing for a delivery: again later.
    Refused,
    /// Again later.
    InProgress,
    /// Cannot ever succeed: park, with the reason given.
    Failed(String),
    /// Anything else: again later.
    Unknown,
}
