//! What the databases say, as plain data: the only thing that the checker and the table are made from.

use std::collections::{BTreeMap, BTreeSet};

use payments::Payment;
use uuid::Uuid;

use crate::member::Member;

/// All of them at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub coordinator: Coordinator,
    pub cashier: Cashier,
    pub accounts: BTreeMap<String, Account>,
    pub credit: BTreeMap<String, Credit>,
    pub coupons: BTreeMap<String, Coupon>,
    /// What the fence of each participant says of its branches.
    pub branches: BTreeMap<Member, BTreeMap<BranchId, Reserved>>,
    pub ledger: Ledger,
    pub rewards: Rewards,
}

impl Books {
    /// What the participants' fences say, all together.
    pub(crate) fn reserved(&self) -> impl Iterator<Item = (BranchId, Reserved)> {
        let all = self.branches.values().flatten();
        all.map(|(id, reserved)| (*id, *reserved))
    }

    /// What the fence of its participant says of a branch.
    pub(crate) fn of_branch(&self, id: BranchId, branch: &Branch) -> Option<Reserved> {
        self.branches.get(&branch.participant)?.get(&id).copied()
    }

    /// The transactions whose message is in a consumer's inbox.
    pub(crate) fn inbox(&self, consumer: Member) -> &BTreeSet<Uuid> {
        static NOTHING: BTreeSet<Uuid> = BTreeSet::new();
        match consumer {
            Member::Ledger => &self.ledger.inbox,
            Member::Rewards => &self.rewards.inbox,
            _ => &NOTHING,
        }
    }

    /// Whether a consumer has taken the message of a transaction.
    pub(crate) fn took(&self, consumer: Member, transaction: Uuid) -> bool {
        self.inbox(consumer).contains(&transaction)
    }
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Prepared,
    Confirming,
    Confirmed,
    Cancelling,
    Cancelled,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Confirm,
    Cancel,
}

impl Phase {
    pub(crate) fn decision(self) -> Option<Decision> {
        match self {
            Self::Prepared => None,
            Self::Confirming | Self::Confirmed => Some(Decision::Confirm),
            Self::Cancelling | Self::Cancelled => Some(Decision::Cancel),
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Cancelled)
    }
}

/// A transaction, at the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub phase: Phase,
    /// The id of the payment or refund.
    pub business_key: String,
    pub decided_by: Option<String>,
    pub parked: bool,
    pub messages: u32,
    /// Of its check-back.
    pub lease: Lease,
}

/// Who may drive a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The coordinator that holds it and counts as alive.
    pub holder: Option<Member>,
    /// Rises by one with each claim, and by one more with its end.
    pub token: i64,
}

/// Whether a delivery is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Pending,
    Done,
    Parked,
}

/// One message to one consumer, at the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub transaction: Uuid,
    pub consumer: Member,
    pub state: DeliveryState,
    /// Its place among the messages of its key, where the consumer asked for order.
    pub order: Option<(String, i64)>,
    pub lease: Lease,
}

/// A branch: of which transaction, and which one.
pub(crate) type BranchId = (Uuid, i64);

/// Where a branch stands, at the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BranchState {
    /// Its Try is the initiator's affair.
    Registered,
    /// Decided, and its participant is not known to have heard of it.
    Pending,
    Done,
    Parked,
}

impl BranchState {
    /// Whether somebody may be at it.
    pub(crate) fn is_under_way(self) -> bool {
        matches!(self, Self::Registered | Self::Pending)
    }
}

/// One reservation, at the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub part: Part,
    pub participant: Member,
    pub state: BranchState,
}

/// What a branch reserves: by which action, whose, and how much.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub action: String,
    /// The account, the customer, or the coupon's code.
    pub of: String,
    pub cents: i64,
}

/// What the fence of its participant says of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    Tried,
    Confirmed,
    Cancelled,
}

/// The coordinator's database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coordinator {
    pub transactions: BTreeMap<Uuid, Transaction>,
    pub branches: BTreeMap<BranchId, Branch>,
    pub deliveries: Vec<Delivery>,
    /// Check-backs answered *in progress*.
    pub in_progress_answers: u64,
}

/// What the cashier's fence says of a local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Committed,
    RolledBack,
}

/// A payment or a refund, at the cashier.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub payment: Payment,
    /// Which payment it gives back; none: it is one.
    pub refunds: Option<String>,
    pub transaction: Uuid,
}

/// The cashier's database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cashier {
    /// By the id of the payment or refund.
    pub done: BTreeMap<String, Done>,
    /// Those that were refused, and why.
    pub refused: BTreeMap<String, String>,
    pub fence: BTreeMap<Uuid, Fence>,
}

/// An account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub opened_with: i64,
    pub free: i64,
    pub frozen: i64,
}

/// What a customer may pay later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credit {
    pub most: i64,
    pub used: i64,
    pub reserved: i64,
    pub repaying: i64,
}

/// A red packet.
#[derive(Clone, Debug)]
pub(crate) struct Coupon {
    pub cents: i64,
    /// As its service calls it.
    pub state: String,
}

/// One line of the books, in the order in which they were written.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub day: String,
    /// The id of the payment or refund.
    pub document: String,
    pub account: String,
    pub cents: i64,
}

/// How many lines, and what they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub lines: i64,
    pub cents: i64,
}

/// The ledger's database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub lines: Vec<Line>,
    /// By day and account.
    pub roll_up: BTreeMap<(String, String), Sum>,
    pub inbox: BTreeSet<Uuid>,
}

/// What was given, or taken back.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub payment: String,
    pub payer: String,
    /// As the service calls it.
    pub why: String,
    pub cents: i64,
}

/// The rewards' database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewards {
    pub budget: i64,
    pub remaining: i64,
    pub journal: Vec<Entry>,
    pub inbox: BTreeSet<Uuid>,
}
