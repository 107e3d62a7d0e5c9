//! The promises that a run can find broken, by the names that the project gives them.

use std::fmt;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Promise {
    OneDecision,
    Durable,
    NoGhost,
    NoLoss,
    LocalOutcomeRules,
    NoGuess,
    Fence,
    ExactlyOnce,
    Order,
    Final,
    DeliveredMeansTaken,
    NothingElse,
    Registered,
    AllOrNothing,
    Money,
    /// Not a promise of Earnest's, but of the demo's: what it says was tried was tried.
    Proof,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneDecision => "P1 one decision (M3)",
            Self::Durable => "P2 durable before told (M5)",
            Self::NoGhost => "P3 no ghost (M1)",
            Self::NoLoss => "P4 no loss (M2)",
            Self::LocalOutcomeRules => "P5 local outcome rules (M1, M2, M4)",
            Self::NoGuess => "P6 no guess",
            Self::Fence => "P7 fence (T1, T3)",
            Self::ExactlyOnce => "P8 exactly-once effect (K2)",
            Self::Order => "P9 order",
            Self::Final => "P11 everything becomes final (V1)",
            Self::DeliveredMeansTaken => "K1 delivered only after the acknowledgement",
            Self::NothingElse => "K3 owed = delivered + parked",
            Self::Registered => "T4 registered before its Try, decided before its end",
            Self::AllOrNothing => "T5 all parts or none",
            Self::Money => "money is conserved",
            Self::Proof => "the run must prove something",
        })
    }
}

/// One thing that is not as promised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub promise: Promise,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}
