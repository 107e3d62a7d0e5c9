//! What a history says of branches, as types. The words are the format's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One reservation of a transaction, at one participant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BranchKey {
    /// The transaction.
    pub transaction: String,
    /// The branch's position in it.
    pub ordinal: u32,
    /// At whom.
    pub participant: String,
}

impl fmt::Display for BranchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "branch {} of {} at {}",
            self.ordinal, self.transaction, self.participant
        )
    }
}

/// What a participant does for a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Action {
    Try,
    Confirm,
    Cancel,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Try => "Try",
            Self::Confirm => "Confirm",
            Self::Cancel => "Cancel",
        })
    }
}

/// What a participant says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchAnswer {
    /// Done, durably; or there was nothing to do.
    Ok,
    /// A business no to a Try.
    Refused,
    /// Cannot ever succeed.
    Failed,
    /// Again, later.
    Unknown,
}

/// One branch, as the coordinator shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchView {
    /// The branch's position in its transaction.
    pub ordinal: u32,
    /// At whom.
    #[serde(alias = "service")]
    pub participant: String,
    /// How far it is.
    pub state: BranchState,
}

impl BranchView {
    /// Which branch of `transaction` it is.
    pub fn key(&self, transaction: &str) -> BranchKey {
        BranchKey {
            transaction: transaction.to_owned(),
            ordinal: self.ordinal,
            participant: self.participant.clone(),
        }
    }
}

/// How far a branch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words say it")]
pub enum BranchState {
    Registered,
    Trying,
    Tried,
    Pending,
    Done,
    Parked,
}
