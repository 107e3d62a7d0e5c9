//! What the journal writes: commands, each with its own answer.

use std::{sync::Arc, time::Duration};

use earnest_protocol::{
    CheckBackAnswer, ContentHash, Decision, Jitter, LeaseToken, Name, NodeEpoch, Options, Ordinal,
    ParkReason, Settled, Topic, TransactionId, TrySettled,
};

use crate::{Branch, BranchKey, DeliveryKey, Line, Mark, Message, Target, TransactionRow, Work};

/// A transaction as Prepare or Submit declares it, checked against the limits.
#[derive(Debug, Clone)]
pub struct NewTransaction {
    /// Its id.
    pub id: TransactionId,
    /// Scopes its names.
    pub namespace: Name,
    /// Who opens it.
    pub initiator: Name,
    /// Which database of theirs; empty: not checked.
    pub resource_id: String,
    /// The caller's reference.
    pub business_key: String,
    /// Defaults filled in.
    pub options: Options,
    /// Of everything above and the messages.
    pub content: ContentHash,
    /// In order.
    pub messages: Vec<Message>,
    /// In order; further ones may be registered while it is undecided.
    pub branches: Vec<Branch>,
    /// W3C trace context; empty: none.
    pub traceparent: String,
}

/// The initiator's decision.
#[derive(Debug, Clone)]
pub struct Decide {
    /// Which transaction.
    pub id: TransactionId,
    /// What is decided.
    pub decision: Decision,
    /// Who says so; `None`: they did not say.
    pub initiator: Option<Name>,
    /// For the tombstone of an unknown id.
    pub namespace: Name,
}

/// How an attempt went, as it is recorded when it did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptNote {
    /// The node that called.
    pub node: String,
    /// What was called.
    pub target: String,
    /// Short and stable.
    pub code: String,
    /// For people.
    pub error: String,
    /// How long it took.
    pub duration: Duration,
}

/// The end of one delivery attempt.
#[derive(Debug, Clone)]
pub struct DeliverySettled {
    /// Of what.
    pub key: DeliveryKey,
    /// Under which lease.
    pub token: LeaseToken,
    /// What it led to.
    pub settled: Settled,
    /// How it went; `None`: it succeeded.
    pub note: Option<AttemptNote>,
}

/// Further branches, and messages, of a transaction.
#[derive(Debug, Clone)]
pub struct RegisterBranches {
    /// Which transaction.
    pub id: TransactionId,
    /// Who says so; `None`: they did not say.
    pub initiator: Option<Name>,
    /// Each in its place. A place that is taken by the same content is passed over, so that the call may be repeated.
    pub branches: Vec<(Ordinal, Branch)>,
    /// How many the transaction may have.
    pub limit: u32,
    /// Messages that leave with the others, numbered on from them; likewise.
    pub messages: Vec<(Ordinal, Message)>,
    /// How many of those the transaction may have.
    pub message_limit: u32,
}

/// The end of one attempt of a Confirm or Cancel.
#[derive(Debug, Clone)]
pub struct BranchSettled {
    /// Of what.
    pub key: BranchKey,
    /// Under which lease.
    pub token: LeaseToken,
    /// What it led to.
    pub settled: Settled,
    /// How old its decision may be, by the database's clock, for it to be tried again; `None`: as old as it may.
    pub park_after: Option<Duration>,
    /// How it went; `None`: it succeeded.
    pub note: Option<AttemptNote>,
}

/// The end of one attempt of a Try that the coordinator ran.
#[derive(Debug, Clone)]
pub struct BranchTried {
    /// Of what.
    pub key: BranchKey,
    /// Under which lease.
    pub token: LeaseToken,
    /// What it led to.
    pub settled: TrySettled,
    /// How it went; `None`: it succeeded.
    pub note: Option<AttemptNote>,
}

/// What a person does to a transaction.
#[derive(Debug, Clone)]
pub enum OperatorAction {
    /// Makes all that it waits for due now, and unparks it.
    Retry,
    /// Sets it, or what it still owes, aside.
    Park(ParkReason),
    /// Decides it; it must be parked.
    Decide(Decision),
}

/// One write.
#[derive(Debug, Clone)]
pub enum Command {
    /// Record it.
    Prepare(Box<NewTransaction>),
    /// Record and confirm it.
    Submit(Box<NewTransaction>),
    /// The initiator decides.
    Decide(Decide),
    /// Register further branches.
    RegisterBranches(Box<RegisterBranches>),
    /// A Try came to an end.
    BranchTried(Box<BranchTried>),
    /// A Confirm or Cancel of a branch came to an end.
    BranchSettled(Box<BranchSettled>),
    /// Gives back a call of a branch that was not attempted; due again at once.
    ReleaseBranch {
        /// Which.
        key: BranchKey,
        /// Under which lease.
        token: LeaseToken,
    },
    /// A check-back came to an end.
    CheckedBack {
        /// Which transaction.
        id: TransactionId,
        /// Under which lease.
        token: LeaseToken,
        /// What was answered.
        answer: CheckBackAnswer,
        /// Chance for the back-off.
        jitter: Jitter,
        /// How it went.
        note: AttemptNote,
    },
    /// The deadline of a transaction that nobody can be asked about has passed.
    DeadlinePassed {
        /// Which transaction.
        id: TransactionId,
        /// Under which lease.
        token: LeaseToken,
    },
    /// A delivery attempt came to an end.
    DeliverySettled(Box<DeliverySettled>),
    /// Gives back work that was not attempted; due again at once.
    ReleaseDelivery {
        /// Which.
        key: DeliveryKey,
        /// Under which lease.
        token: LeaseToken,
    },
    /// Gives back a check-back that was not attempted; due again at once.
    ReleaseCheckBack {
        /// Which transaction.
        id: TransactionId,
        /// Under which lease.
        token: LeaseToken,
    },
    /// A person acts.
    Operator {
        /// On which transaction.
        id: TransactionId,
        /// What they do.
        action: OperatorAction,
        /// Who, for the audit.
        actor: String,
        /// Why, for the audit.
        detail: String,
    },
}

impl Command {
    /// The transaction it writes to; at most one command per id goes into one batch (DESIGN §5), but for [ends](Self::is_end).
    pub fn transaction(&self) -> TransactionId {
        match self {
            Self::Prepare(new) | Self::Submit(new) => new.id,
            Self::Decide(decide) => decide.id,
            Self::CheckedBack { id, .. }
            | Self::DeadlinePassed { id, .. }
            | Self::ReleaseCheckBack { id, .. }
            | Self::Operator { id, .. } => *id,
            Self::DeliverySettled(settled) => settled.key.transaction,
            Self::RegisterBranches(register) => register.id,
            Self::BranchTried(tried) => tried.key.transaction,
            Self::BranchSettled(settled) => settled.key.transaction,
            Self::ReleaseBranch { key, .. } => key.transaction,
            Self::ReleaseDelivery { key, .. } => key.transaction,
        }
    }

    /// Whether it is the end of something that a decided transaction owes. Several of one transaction may go into one batch: none of them
    /// decides anything.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::DeliverySettled(_) | Self::BranchSettled(_))
    }

    /// About how much memory it holds, in bytes.
    pub fn weight(&self) -> usize {
        const ROW: usize = 512;
        let of = |m: &Message| {
            let headers: usize = m.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
            m.payload.len() + headers + m.key.len() + ROW
        };
        match self {
            Self::Prepare(new) | Self::Submit(new) => {
                let branches = new.branches.iter().map(|b| b.payload.len() + ROW);
                ROW + new.messages.iter().map(of).sum::<usize>() + branches.sum::<usize>()
            }
            Self::RegisterBranches(register) => {
                let branches = register.branches.iter().map(|(_, b)| b.payload.len() + ROW);
                let messages = register.messages.iter().map(|(_, message)| of(message));
                ROW + branches.sum::<usize>() + messages.sum::<usize>()
            }
            _ => ROW,
        }
    }

    /// Its name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare(_) => "prepare",
            Self::Submit(_) => "submit",
            Self::Decide(decide) if decide.decision == Decision::Confirm => "confirm",
            Self::Decide(_) => "cancel",
            Self::RegisterBranches(_) => "register_branches",
            Self::BranchTried(_) => "branch_tried",
            Self::BranchSettled(_) => "branch_settled",
            Self::ReleaseBranch { .. } => "release_branch",
            Self::CheckedBack { .. } => "checked_back",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::DeliverySettled(_) => "delivery_settled",
            Self::ReleaseDelivery { .. } => "release_delivery",
            Self::ReleaseCheckBack { .. } => "release_check_back",
            Self::Operator { .. } => "operator",
        }
    }
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The transaction as it stands now.
    Transaction {
        /// Its row.
        row: Box<TransactionRow>,
        /// This command recorded it.
        created: bool,
        /// This command decided it.
        decided: bool,
        /// Effects made due by an operator's retry.
        made_due: u32,
    },
    /// The attempt is recorded; the transaction as it stands after it.
    Settled(Box<TransactionRow>),
    /// The same, and the initiator answered the opposite of what was decided.
    Contradicted(Box<TransactionRow>),
    /// Somebody else holds the work by now, or it is over; nothing was written (P10).
    LostLease,
}

/// Why a command was refused; nothing was written for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Same id, other content.
    #[error("transaction {id} exists with other content")]
    IdReused {
        /// The id.
        id: TransactionId,
    },
    /// The opposite decision stands, or a Prepare came after a Cancel.
    #[error("transaction {} was already decided", .0.id)]
    AlreadyDecided(Box<TransactionRow>),
    /// No such transaction.
    #[error("transaction {id} is not known")]
    NotFound {
        /// The id.
        id: TransactionId,
    },
    /// Only the initiator may decide.
    #[error("transaction {id} was opened by {initiator}, and only it may decide")]
    NotInitiator {
        /// The id.
        id: TransactionId,
        /// Who opened it.
        initiator: Name,
    },
    /// A message that would go nowhere.
    #[error("topic {topic} has no subscription")]
    NoSubscription {
        /// The topic.
        topic: Topic,
    },
    /// Another branch has that place already.
    #[error("{key} exists with other content")]
    BranchReused {
        /// Which.
        key: BranchKey,
    },
    /// Another message has that place already, or the one before it is empty.
    #[error(
        "message {ordinal} of transaction {id} can't be added: it is another one, or not the next"
    )]
    MessageMisplaced {
        /// The id.
        id: TransactionId,
        /// Its place.
        ordinal: Ordinal,
    },
    /// More messages than a transaction may have.
    #[error("transaction {id} would have {found} messages; at most {limit} are allowed")]
    TooManyMessages {
        /// The id.
        id: TransactionId,
        /// How many it would have.
        found: u32,
        /// How many it may have.
        limit: u32,
    },
    /// A node that doesn't know branches still runs beside this one, and could not go on with it.
    #[error(
        "transaction {id} has branches, and a node of an older version, which doesn't know them, is still running"
    )]
    OlderNode {
        /// The id.
        id: TransactionId,
    },
    /// More branches than a transaction may have.
    #[error("transaction {id} would have {found} branches; at most {limit} are allowed")]
    TooManyBranches {
        /// The id.
        id: TransactionId,
        /// How many it would have.
        found: u32,
        /// How many it may have.
        limit: u32,
    },
    /// Made before the purge horizon: whether it was known once can't be told any more.
    #[error("transaction id {id} is older than what is kept")]
    TooOld {
        /// The id.
        id: TransactionId,
    },
    /// Its Trys decide, and they have not all been answered (T3).
    #[error("transaction {} waits for its Trys, which decide", .0.id)]
    Untried(Box<TransactionRow>),
    /// An operator may decide only what is parked.
    #[error("transaction {} is not parked", .0.id)]
    NotParked(Box<TransactionRow>),
    /// Nothing of it can be parked.
    #[error("transaction {} owes nothing that could be parked", .0.id)]
    NothingToPark(Box<TransactionRow>),
}

/// Says which of the work that a batch makes due the node takes at once.
pub trait Admission: Send + Sync {
    /// Whether there is room in memory for one more piece of work of `target`, and sense in trying it now.
    fn admits(&self, target: &Target) -> bool;
}

/// Takes nothing: all work is left for claims.
#[derive(Debug, Clone, Copy)]
pub struct AdmitNone;

impl Admission for AdmitNone {
    fn admits(&self, _: &Target) -> bool {
        false
    }
}

/// The right to run at once what a batch makes due (the fast path, DESIGN §5). What is not admitted is left
/// for claims.
#[derive(Clone)]
pub struct LeaseGrant {
    /// The node.
    pub epoch: NodeEpoch,
    /// What it takes.
    pub admission: Arc<dyn Admission>,
    /// The line that the batch advances.
    pub line: Line,
}

/// What a batch led to.
#[derive(Debug, Default)]
pub struct Applied {
    /// One per command, in order.
    pub results: Vec<Result<Reply, Rejection>>,
    /// Deliveries leased to the node that wrote the batch.
    pub leased: Vec<Work>,
    /// Where its line stands now; `None`: nothing was written.
    pub mark: Option<Mark>,
}
