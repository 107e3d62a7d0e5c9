//! The mutable part of a transaction.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{InitiatorOutcome, Name, Options, Phase};

/// Why something waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParkReason(String);

impl ParkReason {
    /// The longest reason, in bytes; the rest is cut.
    pub const MAX_BYTES: usize = 2_048;

    /// A reason for people. An empty one is replaced, since *parked without a reason* helps nobody.
    pub fn new(reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > Self::MAX_BYTES {
            let end = (0..=Self::MAX_BYTES)
                .rev()
                .find(|n| reason.is_char_boundary(*n))
                .unwrap_or(0);
            reason.truncate(end);
        }
        if reason.is_empty() {
            reason.push_str("no reason was given");
        }
        Self(reason)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Who made a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decider {
    /// The initiator's Confirm or Cancel.
    Initiator,
    /// Its answer to a check-back.
    CheckBack,
    /// The deadline of a transaction that nobody can be asked about.
    Deadline,
    /// A spent check-back budget.
    Budget,
    /// Every Try that the coordinator ran was answered OK (Execute).
    Tries,
    /// A Try that the coordinator ran was refused (Execute).
    Refusal {
        /// The participant that said no.
        service: Name,
        /// Why, for the initiator and for people.
        reason: String,
    },
    /// A person.
    Operator(String),
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initiator => f.write_str("initiator"),
            Self::CheckBack => f.write_str("check-back"),
            Self::Deadline => f.write_str("deadline"),
            Self::Budget => f.write_str("budget"),
            Self::Tries => f.write_str("tries"),
            Self::Refusal { service, reason } => write!(f, "refusal:{service}:{reason}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
        }
    }
}

/// Everything about a transaction that [`transition`](crate::transition) reads or changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// As declared in Prepare.
    pub options: Options,
    /// Set aside before any decision. (Effects are parked one by one.)
    pub parked: Option<ParkReason>,
    /// Check-backs answered *in progress*.
    pub in_progress_answers: u32,
    /// Check-backs in a row that brought no answer; for the back-off only, never for the budget (P6).
    pub unanswered: u32,
    /// Branches registered.
    pub branches: u32,
    /// Those of them whose Try the coordinator still has to run (Execute).
    pub untried: u32,
    /// Effects neither done nor parked.
    pub open_effects: u32,
    /// Effects set aside.
    pub parked_effects: u32,
}

impl State {
    /// A transaction as Prepare records it.
    pub fn prepared(options: Options) -> Self {
        Self {
            phase: Phase::Prepared,
            options,
            parked: None,
            in_progress_answers: 0,
            unanswered: 0,
            branches: 0,
            untried: 0,
            open_effects: 0,
            parked_effects: 0,
        }
    }

    /// The tombstone that a Cancel of an unknown id leaves, so that a late Prepare is refused.
    pub fn tombstone() -> Self {
        Self {
            phase: Phase::Cancelled,
            ..Self::prepared(Options::default())
        }
    }

    /// What must hold of every state, live or loaded; says what does not.
    pub fn validate(&self) -> Result<(), &'static str> {
        let owed = self.open_effects + self.parked_effects;
        match self.phase {
            Phase::Prepared if owed > 0 => Err("an undecided transaction owes effects"),
            Phase::Confirmed | Phase::Cancelled if owed > 0 => {
                Err("a finished transaction owes effects")
            }
            Phase::Confirming | Phase::Cancelling if owed == 0 => {
                Err("an unfinished transaction owes nothing")
            }
            _ if self.untried > 0 && self.options.outcome != InitiatorOutcome::Executed => {
                Err("it waits for Trys that its initiator runs")
            }
            _ if self.untried > self.branches => Err("it waits for more Trys than it has branches"),
            phase if phase != Phase::Prepared && self.untried > 0 => {
                Err("a decided transaction waits for Trys")
            }
            phase if phase != Phase::Prepared && self.parked.is_some() => {
                Err("a decided transaction is parked as a whole")
            }
            _ => Ok(()),
        }
    }
}
