//! What a history can break, by name.

use std::{collections::BTreeSet, fmt};

/// The promises that are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// An effect of a transaction implies that it committed.
    M1,
    /// A transaction that committed has its effects, or they are visibly parked.
    M2,
    /// The decision is made once: repeats are told the same, opposites are refused with what was decided.
    M3,
    /// *Rolled back*, answered to a check-back, is a fence: the transaction does not commit afterwards.
    M4,
    /// Nothing that was acknowledged is lost.
    M5,
    /// The same id with other content is refused, and never replaces what was recorded.
    M6,
    /// *Delivered* is not shown before the consumer acknowledged.
    K1,
    /// One effect per message and subscription, and one for each that was acknowledged.
    K2,
    /// At rest what is owed is delivered or parked, and nothing else exists.
    K3,
    /// Messages of one key arrive, where order was asked for, in the order of their decisions.
    P9,
    /// Of a branch each step runs at most once, and never both Confirm and Cancel.
    T1,
    /// A Cancel before its Try runs nothing, and the Try that comes late has no effect.
    T2,
    /// Nothing is confirmed that was not tried, all of it.
    T3,
    /// A branch is registered before its Try is called, and before the decision.
    T4,
    /// Every branch takes the decision, and what was reserved is used or given back.
    T5,
    /// Within a bound after the faults are over, everything is final or parked.
    V1,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::M1,
        Self::M2,
        Self::M3,
        Self::M4,
        Self::M5,
        Self::M6,
        Self::K1,
        Self::K2,
        Self::K3,
        Self::P9,
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
        Self::T5,
        Self::V1,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::M1 => "M1",
            Self::M2 => "M2",
            Self::M3 => "M3",
            Self::M4 => "M4",
            Self::M5 => "M5",
            Self::M6 => "M6",
            Self::K1 => "K1",
            Self::K2 => "K2",
            Self::K3 => "K3",
            Self::P9 => "P9",
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
            Self::T4 => "T4",
            Self::T5 => "T5",
            Self::V1 => "V1",
        })
    }
}

/// One way in which a history breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What is wrong, for people.
    pub what: String,
    /// The lines that show it.
    pub lines: BTreeSet<usize>,
}

impl Violation {
    pub(crate) fn new(
        invariant: Invariant,
        what: impl Into<String>,
        lines: impl IntoIterator<Item = usize>,
    ) -> Self {
        Self {
            invariant,
            what: what.into(),
            lines: lines.into_iter().collect(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)?;
        for (n, line) in self.lines.iter().enumerate() {
            write!(f, "{}{line}", if n == 0 { "; lines " } else { ", " })?;
        }
        Ok(())
    }
}
