//! The shipped store as a value: one state of it, and what each command makes of that state.
//!
//! The memory store runs the engine that every database runs, so nothing about what a command means is written
//! here a second time. Time is taken out: all that is stored is stored at one instant, and a claim sees every due
//! time as passed. So "not yet" and "long ago" are the checker's choice of when to claim, and no safety rule
//! can lean on a clock (R3).

use std::{fmt, sync::Arc, time::Duration};

use earnest_protocol::{
    BranchState, Decider, Decision, DeliveryState, LeaseToken, Name, NodeEpoch, Phase, Timestamp,
};
use earnest_store::{
    Admission, Applied, BranchRow, ClaimRequest, Clock, Command, DeliveryRow, JournalStore,
    LeaseGrant, LeaseStore, MemoryStore, QueryStore, RegistryStore, StoreError, SubscriptionRow,
    Target, TransactionRow, Work,
    conformance::{TestClock, id},
};
use futures_util::FutureExt;

use crate::key::{Branch, Delivery};

/// Later than anything that is ever due, and earlier than the end of a lease that is renewed.
const AFTER_ALL: Timestamp = Timestamp::from_micros(i64::MAX / 2);

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

struct Admit(bool);

impl Admission for Admit {
    fn admits(&self, _: &Target) -> bool {
        self.0
    }
}

/// What of a transaction's row makes a difference to what may happen next. Left out: times, the counters that only
/// set a delay, and the revision, which matters inside of one batch only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transaction {
    /// Its phase.
    pub(crate) phase: Phase,
    /// Set aside as a whole.
    pub(crate) parked: bool,
    /// Who decided.
    pub(crate) decider: Option<Decider>,
    /// Nothing but a Cancel is known of it.
    pub(crate) tombstone: bool,
    /// Counted against the budget.
    pub(crate) in_progress_answers: u32,
    /// Branches, and those of them that the coordinator has to try.
    pub(crate) branches: (u32, u32),
    /// Effects neither done nor parked.
    pub(crate) open_effects: u32,
    /// Effects set aside.
    pub(crate) parked_effects: u32,
    /// A check-back will be due.
    pub(crate) check_due: bool,
    /// Who holds it.
    pub(crate) holder: Option<NodeEpoch>,
    /// Under which lease.
    pub(crate) token: LeaseToken,
    /// What the protocol itself says of the state.
    pub(crate) validity: Result<(), &'static str>,
}

/// The same of a delivery's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DeliveryView {
    /// Of which transaction.
    pub(crate) tx: u8,
    /// To which subscription; `None`: its topic had none.
    pub(crate) to: Option<u8>,
    /// Where it stands.
    pub(crate) state: DeliveryState,
    /// It will be due.
    pub(crate) due: bool,
    /// Who holds it.
    pub(crate) holder: Option<NodeEpoch>,
    /// Under which lease.
    pub(crate) token: LeaseToken,
}

/// The same of a branch's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BranchView {
    /// Which.
    pub(crate) branch: Branch,
    /// Where it stands.
    pub(crate) state: BranchState,
    /// It will be due.
    pub(crate) due: bool,
    /// Who holds it.
    pub(crate) holder: Option<NodeEpoch>,
    /// Under which lease.
    pub(crate) token: LeaseToken,
}

/// The rows, as far as they matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Rows {
    /// By number; `None`: not known.
    pub(crate) transactions: Vec<Option<Transaction>>,
    /// Of all of them.
    pub(crate) deliveries: Vec<DeliveryView>,
    /// Of all of them.
    pub(crate) branches: Vec<BranchView>,
    /// By number: there is such a subscription.
    pub(crate) subscriptions: Vec<bool>,
}

impl Rows {
    /// The decision over `tx`.
    pub(crate) fn decision(&self, tx: u8) -> Option<Decision> {
        self.transaction(tx)?.phase.decision()
    }

    /// The row of `tx`.
    pub(crate) fn transaction(&self, tx: u8) -> Option<&Transaction> {
        self.transactions.get(usize::from(tx))?.as_ref()
    }

    /// The row of a delivery.
    pub(crate) fn delivery(&self, key: Delivery) -> Option<&DeliveryView> {
        self.deliveries_of(key.tx)
            .find(|row| row.to == Some(key.to))
    }

    /// The row of a branch.
    pub(crate) fn branch(&self, branch: Branch) -> Option<&BranchView> {
        self.branches.iter().find(|row| row.branch == branch)
    }

    /// Those of one transaction.
    pub(crate) fn branches_of(&self, tx: u8) -> impl Iterator<Item = &BranchView> {
        self.branches.iter().filter(move |row| row.branch.tx == tx)
    }

    /// Those of one transaction, owed to a subscription or to nobody.
    pub(crate) fn deliveries_of(&self, tx: u8) -> impl Iterator<Item = &DeliveryView> {
        self.deliveries.iter().filter(move |row| row.tx == tx)
    }
}

/// One state of the store.
#[derive(Clone)]
pub(crate) struct Store {
    memory: Arc<MemoryStore>,
    /// Its rows.
    pub(crate) rows: Arc<Rows>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Eq for Store {}

impl std::hash::Hash for Store {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.rows.hash(state);
    }
}

/// The memory store never waits for anything.
fn at_once<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never()
        .expect("the memory store answers at once")
}

/// A call that no state of the store refuses.
fn granted<T>(call: impl Future<Output = Result<T, StoreError>>) -> T {
    at_once(call).expect("the memory store runs what it is given")
}

impl Store {
    /// An empty one with `subscriptions`, for so many transactions.
    pub(crate) fn new(transactions: u8, subscriptions: &[SubscriptionRow]) -> Self {
        let memory = MemoryStore::new(Arc::new(Still(TestClock::START)));
        for row in subscriptions {
            granted(memory.put_subscription(row.clone()));
        }
        Self {
            memory: Arc::new(memory),
            rows: Arc::new(Rows {
                transactions: vec![None; usize::from(transactions)],
                deliveries: vec![],
                branches: vec![],
                subscriptions: vec![true; subscriptions.len()],
            }),
        }
    }

    /// Runs one command of the node `epoch`. An error says that the engine met rows that it holds impossible.
    pub(crate) fn apply(
        &self,
        command: Command,
        epoch: NodeEpoch,
        admit: bool,
    ) -> Result<(Self, Applied), StoreError> {
        let grant = LeaseGrant {
            epoch,
            admission: Arc::new(Admit(admit)),
            line: earnest_store::Line::default(),
        };
        let mut applied = Ok(Applied::default());
        let next = self.on_a_fork(TestClock::START, |memory| {
            applied = at_once(memory.apply(&[command], grant));
        });
        Ok((next, applied?))
    }

    /// Claims all that is due for `epoch`.
    pub(crate) fn claim(&self, epoch: NodeEpoch) -> (Self, Vec<Work>) {
        let request = ClaimRequest {
            epoch,
            total: 64,
            per_target: 64,
            room: std::collections::HashMap::new(),
        };
        let mut work = Vec::new();
        let next = self.on_a_fork(AFTER_ALL, |memory| {
            work = granted(memory.claim(request)).work;
        });
        (next, work)
    }

    /// Enrols a new run of a node.
    pub(crate) fn enrol(&self) -> (Self, NodeEpoch) {
        let mut epoch = NodeEpoch(0);
        let next = self.on_a_fork(TestClock::START, |memory| {
            epoch = granted(memory.enrol("node", Duration::MAX));
        });
        (next, epoch)
    }

    /// A heartbeat; false: the node was taken for dead.
    pub(crate) fn beat(&self, epoch: NodeEpoch) -> (Self, bool) {
        self.lease(epoch, Duration::MAX)
    }

    /// The node's last heartbeat was too long ago.
    pub(crate) fn run_out(&self, epoch: NodeEpoch) -> Self {
        self.lease(epoch, Duration::ZERO).0
    }

    /// Deletes a subscription.
    pub(crate) fn unsubscribe(&self, name: &Name) -> Self {
        self.on_a_fork(TestClock::START, |memory| {
            granted(memory.delete_subscription(&Name::default_namespace(), name));
        })
    }

    /// Creates a subscription again.
    pub(crate) fn subscribe(&self, row: SubscriptionRow) -> Self {
        self.on_a_fork(TestClock::START, |memory| {
            granted(memory.put_subscription(row));
        })
    }

    fn lease(&self, epoch: NodeEpoch, lease: Duration) -> (Self, bool) {
        let mut lives = false;
        let next = self.on_a_fork(TestClock::START, |memory| {
            lives = granted(memory.heartbeat(epoch, lease));
        });
        (next, lives)
    }

    fn on_a_fork(&self, now: Timestamp, step: impl FnOnce(&MemoryStore)) -> Self {
        let memory = self.memory.fork(Arc::new(Still(now)));
        step(&memory);
        let rows = Arc::new(self.read(&memory));
        Self {
            memory: Arc::new(memory),
            rows,
        }
    }

    fn read(&self, memory: &MemoryStore) -> Rows {
        let mut rows = Rows::default();
        for tx in 0..self.rows.transactions.len() {
            let tx = u8::try_from(tx).expect("few transactions");
            let detail = granted(memory.detail(id(tx)));
            let Some(detail) = detail else {
                rows.transactions.push(None);
                continue;
            };
            rows.transactions.push(Some(view(detail.transaction)));
            let deliveries = detail.deliveries.iter();
            rows.deliveries
                .extend(deliveries.map(|row| delivery(tx, row)));
            let branches = detail.branches.iter();
            rows.branches.extend(branches.map(|(row, _)| branch(row)));
        }
        let kept = granted(memory.subscriptions(None));
        for number in 0..self.rows.subscriptions.len() {
            let name = crate::key::subscription_name(u8::try_from(number).expect("few"));
            rows.subscriptions
                .push(kept.iter().any(|row| row.name == name));
        }
        rows
    }
}

fn view(row: TransactionRow) -> Transaction {
    Transaction {
        phase: row.state.phase,
        parked: row.state.parked.is_some(),
        tombstone: row.is_tombstone(),
        validity: row.state.validate(),
        decider: row.decided.map(|(_, decider)| decider),
        in_progress_answers: row.state.in_progress_answers,
        branches: (row.state.branches, row.state.untried),
        open_effects: row.state.open_effects,
        parked_effects: row.state.parked_effects,
        check_due: row.check_due.is_some(),
        holder: row.holder,
        token: row.token,
    }
}

fn delivery(tx: u8, row: &DeliveryRow) -> DeliveryView {
    DeliveryView {
        tx,
        to: Delivery::of(&row.key).map(|key| key.to),
        state: row.state,
        due: row.due.is_some(),
        holder: row.holder,
        token: row.token,
    }
}

fn branch(row: &BranchRow) -> BranchView {
    BranchView {
        branch: Branch::of(row.key),
        state: row.state,
        due: row.due.is_some(),
        holder: row.holder,
        token: row.token,
    }
}
