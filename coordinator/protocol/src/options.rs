//! What a transaction declares about itself in Prepare; never inferred (DESIGN §3.1.6).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What can be learnt of the initiator's own outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitiatorOutcome {
    /// A local database transaction with a fence row: checked back; neither time nor budget ever cancels.
    #[default]
    Local,
    /// It can be asked, but answers from somewhere else than a fenced local transaction.
    Asked,
    /// Nobody can be asked: the deadline cancels.
    None,
    /// The coordinator runs every Try itself and decides by their answers (Execute); the deadline cancels.
    Executed,
}

impl InitiatorOutcome {
    /// Whether time alone cancels, since nobody knows of an outcome that could contradict it.
    pub fn ends_with_the_deadline(self) -> bool {
        matches!(self, Self::None | Self::Executed)
    }
}

/// What happens when *in progress* was answered as often as the budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBudgetSpent {
    /// Wait for a person.
    #[default]
    Park,
    /// Cancel; only without a local outcome.
    Cancel,
}

/// A transaction's options, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Options {
    /// From Prepare to the first check-back; without anybody to ask, to the cancel.
    pub check_after: Duration,
    /// Whom to believe.
    pub outcome: InitiatorOutcome,
    /// What a spent budget does.
    pub on_budget_spent: OnBudgetSpent,
    /// How many *in progress* answers are taken.
    pub check_back_budget: u32,
    /// Accept a message whose topic has no subscription.
    pub allow_no_subscription: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            check_after: Duration::from_secs(10),
            outcome: InitiatorOutcome::default(),
            on_budget_spent: OnBudgetSpent::default(),
            check_back_budget: 15,
            allow_no_subscription: false,
        }
    }
}

/// Why options are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Budget may not decide over a local transaction that may have committed.
    #[error(
        "on_budget_spent = cancel is refused for a transaction with a local outcome: it may have committed. \
         Leave it at `park`, or declare outcome `asked`"
    )]
    CancelWithLocalOutcome,
    /// Out of bounds.
    #[error("check_after is {given:?}; give 1 ms to 30 days")]
    CheckAfter {
        /// As given.
        given: Duration,
    },
}

impl Options {
    /// The longest `check_after`.
    pub const MAX_CHECK_AFTER: Duration = Duration::from_hours(30 * 24);

    /// Checks what must hold between them.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if self.outcome == InitiatorOutcome::Local && self.on_budget_spent == OnBudgetSpent::Cancel
        {
            return Err(OptionsError::CancelWithLocalOutcome);
        }
        if self.check_after < Duration::from_millis(1) || self.check_after > Self::MAX_CHECK_AFTER {
            return Err(OptionsError::CheckAfter {
                given: self.check_after,
            });
        }
        Ok(())
    }
}
