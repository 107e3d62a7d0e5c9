//! Phases and decisions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a transaction stands (DESIGN §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Recorded, undecided.
    Prepared,
    /// Decided *confirm*, effects owed.
    Confirming,
    /// Decided *confirm*, nothing owed. Final.
    Confirmed,
    /// Decided *cancel*, effects owed.
    Cancelling,
    /// Decided *cancel*, nothing owed. Final.
    Cancelled,
}

/// What was decided; made exactly once (P1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The messages leave, the branches are confirmed.
    Confirm,
    /// No message leaves, the branches are cancelled.
    Cancel,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 5] = [
        Self::Prepared,
        Self::Confirming,
        Self::Confirmed,
        Self::Cancelling,
        Self::Cancelled,
    ];

    /// The decision that led here; none while PREPARED.
    pub fn decision(self) -> Option<Decision> {
        match self {
            Self::Prepared => None,
            Self::Confirming | Self::Confirmed => Some(Decision::Confirm),
            Self::Cancelling | Self::Cancelled => Some(Decision::Cancel),
        }
    }

    /// Whether nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Cancelled)
    }

    /// The word for it, as in DESIGN §1.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "PREPARED",
            Self::Confirming => "CONFIRMING",
            Self::Confirmed => "CONFIRMED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl Decision {
    /// The phase a decision enters while effects are owed.
    pub fn entering(self) -> Phase {
        match self {
            Self::Confirm => Phase::Confirming,
            Self::Cancel => Phase::Cancelling,
        }
    }

    /// The phase it ends in.
    pub fn ending(self) -> Phase {
        match self {
            Self::Confirm => Phase::Confirmed,
            Self::Cancel => Phase::Cancelled,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        })
    }
}
