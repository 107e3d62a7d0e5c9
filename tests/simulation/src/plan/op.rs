//! What services and operators do.

use serde::{Deserialize, Serialize};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePlan {
    /// Which topic.
    pub topic: u8,
    /// Which order key; 0: none.
    pub key: u8,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchPlan {
    /// At which participant.
    pub participant: u8,
    /// How much is reserved; more than there is will be refused.
    pub cents: u32,
    /// Its Try opens a transaction of its own.
    pub nested: bool,
}

/// How an initiator's flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Prepares, commits, confirms.
    Commit,
    /// Prepares, rolls back, cancels.
    RollBack,
    /// Its process dies with the local transaction open and nothing prepared.
    DieBeforePrepare,
    /// Its process dies when the transaction is prepared and the local one open.
    DieBeforeCommit,
    /// Its process dies when it has committed and told nobody.
    DieBeforeConfirm,
    /// Its database does not answer COMMIT; true: it committed.
    CommitUnknown(bool),
    /// It decides, and then asks for the opposite.
    Contradict,
    /// It prepares other content under the same id, and then commits.
    ReuseId,
}

/// What a person does to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Makes all that it waits for due.
    Retry,
    /// Sets it aside.
    Park,
    /// Parks it and decides as the initiator answers; true: confirm.
    Decide(bool),
    /// Parks it and decides over the initiator's head; true: confirm.
    Force(bool),
}

/// What a person does to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistryAct {
    /// Stops attempts.
    Pause,
    /// Restarts them.
    Resume,
    /// Takes it away: what it owes is parked.
    Delete,
    /// Creates or replaces it.
    Put,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// A local transaction with messages, checked back when nothing is heard of it.
    Send {
        /// Which service.
        initiator: u8,
        /// What it sends.
        messages: Vec<MessagePlan>,
        /// How long its local transaction does other things.
        think_ms: u32,
        /// When the coordinator begins to ask.
        check_after_ms: u32,
        /// How many *in progress* are taken.
        budget: u32,
        /// How it ends.
        end: End,
    },
    /// Prepare and confirm in one step.
    Submit {
        /// Which service.
        initiator: u8,
        /// What it sends.
        messages: Vec<MessagePlan>,
    },
    /// A transaction about which nobody can be asked.
    Alone {
        /// Which service.
        initiator: u8,
        /// What it sends.
        messages: Vec<MessagePlan>,
        /// When the deadline cancels.
        check_after_ms: u32,
        /// Decides so after that many milliseconds; `None`: never.
        decide: Option<(bool, u32)>,
    },
    /// A transaction whose initiator answers from somewhere else than a fenced local transaction; a spent budget cancels.
    Asked {
        /// Which service.
        initiator: u8,
        /// What it sends.
        messages: Vec<MessagePlan>,
        /// When the coordinator begins to ask.
        check_after_ms: u32,
        /// How many *in progress* are taken.
        budget: u32,
        /// It knows after that many milliseconds; `None`: never.
        knows: Option<(bool, u32)>,
        /// It decides by itself once it knows, or waits to be asked.
        tells: bool,
        /// It confirms, and when asked it says that it rolled back.
        #[serde(default)]
        lies: bool,
    },
    /// As [`Op::Send`], with branches that its initiator tries before it commits.
    Reserve {
        /// Which service.
        initiator: u8,
        /// What it reserves.
        branches: Vec<BranchPlan>,
        /// The last so many of them are registered later.
        joins: u8,
        /// What it sends.
        messages: Vec<MessagePlan>,
        /// How long its local transaction does other things.
        think_ms: u32,
        /// When the coordinator begins to ask.
        check_after_ms: u32,
        /// How many *in progress* are taken.
        budget: u32,
        /// How it ends.
        end: End,
    },
    /// Branches whose Trys the coordinator runs.
    Execute {
        /// Which service.
        initiator: u8,
        /// What is reserved.
        branches: Vec<BranchPlan>,
        /// What it sends.
        messages: Vec<MessagePlan>,
        /// When the deadline cancels.
        check_after_ms: u32,
        /// Its initiator decides so after that many milliseconds, whatever the Trys say; `None`: never.
        decide: Option<(bool, u32)>,
    },
    /// A Cancel that comes before its Prepare.
    CancelFirst {
        /// Which service.
        initiator: u8,
    },
    /// A person and a transaction.
    Operate {
        /// That of the operation with this number.
        of: u32,
        /// What is done.
        act: Act,
    },
    /// A person and a subscription.
    Registry {
        /// Which consumer's.
        consumer: u8,
        /// What is done.
        act: RegistryAct,
    },
}

impl Op {
    /// Whether it opens a transaction.
    pub fn is_transaction(&self) -> bool {
        !matches!(self, Self::Operate { .. } | Self::Registry { .. })
    }
}

/// An operation and when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its number: stays the same when others are taken out.
    pub no: u32,
    /// Milliseconds from the beginning.
    pub at_ms: u32,
    /// What it is.
    pub op: Op,
}
