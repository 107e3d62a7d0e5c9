//! One line of a history, as types. The words are the format's: renaming one breaks histories that were kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::branch::{Action, BranchAnswer, BranchKey, BranchView};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds of the one clock of the run.
    pub at_us: u64,
    /// Who wrote it.
    pub process: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened; the table in the crate's documentation says what each means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields are in the table of the crate's documentation"
)]
pub enum Event {
    Run {
        seed: u64,
        rest_within_ms: u64,
        subscriptions: Vec<Subscription>,
    },
    Invoke {
        op: u64,
        #[serde(flatten)]
        call: Call,
    },
    Ok {
        op: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transaction: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Phase>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deliveries: Vec<DeliveryView>,
    },
    Fail {
        op: u64,
        reason: Reason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transaction: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<Decision>,
    },
    Unknown {
        op: u64,
        why: String,
    },
    CheckBack {
        transaction: String,
        answer: CheckBackAnswer,
    },
    Delivery {
        #[serde(flatten)]
        key: DeliveryKey,
        answer: DeliveryAnswer,
    },
    Branch {
        #[serde(flatten)]
        key: BranchKey,
        action: Action,
        answer: BranchAnswer,
    },
    Fault {
        fault: String,
        target: String,
        act: Act,
    },
    Quiet,
    Committed {
        transaction: String,
        key: String,
        topics: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        branches: Vec<String>,
    },
    Step {
        #[serde(flatten)]
        key: BranchKey,
        action: Action,
        amount: i64,
    },
    Account {
        participant: String,
        began: i64,
        free: i64,
        held: i64,
        used: i64,
    },
    Effect {
        #[serde(flatten)]
        key: DeliveryKey,
        content: String,
    },
    View {
        transaction: String,
        phase: Phase,
        parked: bool,
        #[serde(default)]
        decided_by: String,
        deliveries: Vec<DeliveryView>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        branches: Vec<BranchView>,
    },
    Rest,
}

/// Messages of a topic are owed to everyone who subscribed to it, for the whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// Which messages it gets.
    pub topic: String,
    /// Whether those of one key come in the order of their decisions.
    #[serde(default)]
    pub ordered: bool,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are in the crate's documentation")]
pub enum Call {
    Place {
        key: String,
    },
    Prepare {
        transaction: String,
        content: String,
        topics: Vec<String>,
    },
    Submit {
        transaction: String,
        content: String,
        topics: Vec<String>,
    },
    Execute {
        transaction: String,
        content: String,
        topics: Vec<String>,
        branches: Vec<String>,
    },
    Confirm {
        transaction: String,
    },
    Cancel {
        transaction: String,
    },
    Look {
        transaction: String,
    },
}

impl Call {
    /// The transaction that the call names; `place` learns it from the answer.
    pub fn transaction(&self) -> Option<&str> {
        match self {
            Self::Place { .. } => None,
            Self::Prepare { transaction, .. }
            | Self::Submit { transaction, .. }
            | Self::Execute { transaction, .. }
            | Self::Confirm { transaction }
            | Self::Cancel { transaction }
            | Self::Look { transaction } => Some(transaction),
        }
    }

    /// What it records, and the topics of its messages, if it records anything.
    pub fn recorded(&self) -> Option<(&str, &[String])> {
        match self {
            Self::Prepare {
                content, topics, ..
            }
            | Self::Submit {
                content, topics, ..
            }
            | Self::Execute {
                content, topics, ..
            } => Some((content, topics)),
            Self::Place { .. } | Self::Confirm { .. } | Self::Cancel { .. } | Self::Look { .. } => {
                None
            }
        }
    }

    /// Whether whoever asks has committed to it.
    pub fn commits(&self) -> bool {
        matches!(
            self,
            Self::Confirm { .. } | Self::Submit { .. } | Self::Execute { .. }
        )
    }

    /// The word of the format.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Place { .. } => "place",
            Self::Prepare { .. } => "prepare",
            Self::Submit { .. } => "submit",
            Self::Execute { .. } => "execute",
            Self::Confirm { .. } => "confirm",
            Self::Cancel { .. } => "cancel",
            Self::Look { .. } => "look",
        }
    }
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The transaction was decided; `decision` says how.
    Decided,
    /// The id belongs to other content.
    OtherContent,
    /// The id is not known.
    NotFound,
    /// The business said no, or the local transaction did not commit.
    NotCommitted,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Phase {
    Prepared,
    Confirming,
    Confirmed,
    Cancelling,
    Cancelled,
}

impl Phase {
    /// What was decided, if anything was.
    pub fn decision(self) -> Option<Decision> {
        match self {
            Self::Prepared => None,
            Self::Confirming | Self::Confirmed => Some(Decision::Confirm),
            Self::Cancelling | Self::Cancelled => Some(Decision::Cancel),
        }
    }

    /// Whether nothing is owed any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Cancelled)
    }
}

/// The two ways to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Decision {
    Confirm,
    Cancel,
}

/// What an initiator says of its local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum CheckBackAnswer {
    Committed,
    RolledBack,
    InProgress,
    Unknown,
}

/// What a consumer says of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryAnswer {
    /// Taken, durably.
    Ok,
    /// Cannot ever succeed.
    Failed,
    /// Again, later.
    Unknown,
}

/// One message to one subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryKey {
    /// The transaction.
    pub transaction: String,
    /// The message's position in it.
    pub ordinal: u32,
    /// To whom.
    pub subscription: String,
}

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} to {}",
            self.transaction, self.ordinal, self.subscription
        )
    }
}

/// One delivery, as the coordinator shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// The message's position in its transaction.
    pub ordinal: u32,
    /// To whom.
    pub subscription: String,
    /// Whether it is owed.
    pub state: DeliveryState,
}

impl DeliveryView {
    /// Which delivery of `transaction` it is.
    pub fn key(&self, transaction: &str) -> DeliveryKey {
        DeliveryKey {
            transaction: transaction.to_owned(),
            ordinal: self.ordinal,
            subscription: self.subscription.clone(),
        }
    }
}

/// Whether a delivery is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words say it")]
pub enum DeliveryState {
    Pending,
    Done,
    Parked,
}

/// Whether a fault begins or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Act {
    Begin,
    End,
}
