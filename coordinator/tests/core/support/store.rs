//! A store that fails on demand: one per node, over the store that all nodes share.

use std::{
    collections::HashMap,
    fmt, future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use earnest_protocol::{
    BranchCall, BranchState, DeliveryState, Settled, TransactionId, TrySettled,
};
use earnest_store::{
    Applied, BranchKey, Command, DeliveryKey, JournalStore, LeaseGrant, Store, StoreError,
};
use tokio::sync::watch;

use super::{FakeParticipants, FakeSink, Fault, When, violations::Violations};

/// The store as one node sees it.
pub(crate) struct FaultyStore {
    pub(super) inner: Arc<dyn Store>,
    sink: Arc<FakeSink>,
    participants: Arc<FakeParticipants>,
    violations: Violations,
    faults: Mutex<Vec<Fault>>,
    fired: AtomicUsize,
    blocked: watch::Sender<bool>,
    dead: watch::Sender<bool>,
    out: AtomicBool,
    /// Names of the commands of each batch as it was offered.
    batches: Mutex<Vec<Vec<(TransactionId, &'static str)>>>,
    pub(super) claimed: AtomicUsize,
    pub(super) looks: AtomicUsize,
}

impl FaultyStore {
    pub(crate) fn new(
        inner: Arc<dyn Store>,
        sink: Arc<FakeSink>,
        participants: Arc<FakeParticipants>,
        violations: Violations,
    ) -> Self {
        Self {
            inner,
            sink,
            participants,
            violations,
            faults: Mutex::default(),
            fired: AtomicUsize::new(0),
            blocked: watch::Sender::new(false),
            dead: watch::Sender::new(false),
            out: AtomicBool::new(false),
            batches: Mutex::default(),
            claimed: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
        }
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    /// The database is well again.
    pub(crate) fn mend(&self) {
        self.faults.lock().unwrap().clear();
        self.out.store(false, Ordering::SeqCst);
    }

    /// From now on every batch fails as `when` says, and claims and heartbeats fail.
    pub(crate) fn outage(&self, when: When) {
        self.fail(Fault::new(when, usize::MAX, |_| true));
        self.out.store(true, Ordering::SeqCst);
    }

    /// Refuses what can be refused without doubt, during an outage.
    pub(super) async fn answers(&self) -> Result<(), StoreError> {
        self.alive().await;
        let context = "an outage of the test".to_owned();
        if self.out.load(Ordering::SeqCst) {
            Err(StoreError::Unavailable {
                context,
                source: None,
            })
        } else {
            Ok(())
        }
    }

    /// How many faults happened.
    pub(crate) fn fired(&self) -> usize {
        self.fired.load(Ordering::SeqCst)
    }

    /// Batches wait until `unblock`.
    pub(crate) fn block(&self) {
        self.blocked.send_replace(true);
    }

    pub(crate) fn unblock(&self) {
        self.blocked.send_replace(false);
    }

    pub(crate) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    async fn unblocked(&self) {
        let mut blocked = self.blocked.subscribe();
        blocked
            .wait_for(|blocked| !blocked)
            .await
            .expect("the store lives");
    }

    /// The node has no say any more: none of its calls reaches the database or comes back, and it calls nobody.
    pub(crate) fn kill(&self) {
        self.dead.send_replace(true);
    }

    /// The node was only paused, and goes on.
    pub(crate) fn revive(&self) {
        self.dead.send_replace(false);
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// The batches so far, as they were offered.
    pub(crate) fn batches(&self) -> Vec<Vec<(TransactionId, &'static str)>> {
        self.batches.lock().unwrap().clone()
    }

    /// How much work claims brought.
    pub(crate) fn claimed(&self) -> usize {
        self.claimed.load(Ordering::SeqCst)
    }

    /// How often one transaction was looked at.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// Does not return while the node is dead.
    pub(super) async fn alive(&self) {
        self.dead
            .subscribe()
            .wait_for(|dead| !dead)
            .await
            .expect("the store lives");
    }

    fn fault(&self, commands: &[Command]) -> Option<When> {
        let faults = self.faults.lock().unwrap();
        let when = faults.iter().find_map(|fault| fault.happens(commands))?;
        self.fired.fetch_add(1, Ordering::SeqCst);
        Some(when)
    }

    /// K1: *done* is never written before its acknowledgement.
    fn check_k1(&self, commands: &[Command]) {
        for command in commands {
            if let Command::DeliverySettled(settled) = command
                && settled.settled == Settled::Done
            {
                let broken = || format!("K1: {} written before it was acknowledged", settled.key);
                self.violations
                    .unless(self.sink.acknowledged(&settled.key), broken);
            }
            self.check_branch(command);
        }
    }

    /// K1, T3: nor is a branch's end, or its reservation, before its participant's *OK*.
    fn check_branch(&self, command: &Command) {
        let (key, calls) = match command {
            Command::BranchSettled(settled) if settled.settled == Settled::Done => {
                (settled.key, &[BranchCall::Confirm, BranchCall::Cancel][..])
            }
            Command::BranchTried(tried) if tried.settled == TrySettled::Ok => {
                (tried.key, &[BranchCall::Try][..])
            }
            _ => return,
        };
        let told = calls
            .iter()
            .any(|call| self.participants.acknowledged(key, *call));
        let broken = || format!("K1: {key} written before it was acknowledged");
        self.violations.unless(told, broken);
    }

    /// M3: a decision that was seen never changes; K1: nor does a delivery or branch that was done.
    async fn apply_inner(
        &self,
        commands: &[Command],
        grant: LeaseGrant,
    ) -> Result<Applied, StoreError> {
        let before = self.facts(commands).await?;
        let applied = self.inner.apply(commands, grant).await;
        let after = self.facts(commands).await?;
        for (id, decided) in &before.decisions {
            let same = after.decisions.get(id) == Some(decided);
            self.violations
                .unless(same, || format!("M3: the decision of {id} changed"));
        }
        for key in &before.done {
            self.violations.unless(after.done.contains(key), || {
                format!("K1: {key} was done and is not any more")
            });
        }
        for key in &before.ended {
            self.violations.unless(after.ended.contains(key), || {
                format!("K1: {key} was done and is not any more")
            });
        }
        applied
    }

    async fn facts(&self, commands: &[Command]) -> Result<Facts, StoreError> {
        let mut facts = Facts::default();
        for id in commands.iter().map(Command::transaction) {
            let Some(detail) = self.inner.detail(id).await? else {
                continue;
            };
            if let Some(decision) = detail.transaction.state.phase.decision() {
                facts.decisions.insert(id, decision);
            }
            let valid = detail.transaction.state.validate();
            self.violations
                .unless(valid.is_ok(), || format!("K3: {id}: {valid:?}"));
            let done = detail
                .deliveries
                .into_iter()
                .filter(|d| d.state == DeliveryState::Done);
            facts.done.extend(done.map(|d| d.key));
            let done = detail
                .branches
                .iter()
                .filter(|(row, _)| row.state == BranchState::Done);
            facts.ended.extend(done.map(|(row, _)| row.key));
        }
        Ok(facts)
    }
}

#[derive(Default)]
struct Facts {
    decisions: HashMap<TransactionId, earnest_protocol::Decision>,
    done: Vec<DeliveryKey>,
    ended: Vec<BranchKey>,
}

#[async_trait]
impl JournalStore for FaultyStore {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        self.alive().await;
        let offered = commands
            .iter()
            .map(|c| (c.transaction(), c.name()))
            .collect();
        self.batches.lock().unwrap().push(offered);
        self.unblocked().await;
        self.alive().await;
        self.check_k1(commands);
        let context = || "a fault of the test".to_owned();
        match self.fault(commands) {
            None => {
                let applied = self.apply_inner(commands, grant).await;
                self.alive().await;
                applied
            }
            Some(When::Before) => Err(StoreError::Unavailable {
                context: context(),
                source: None,
            }),
            Some(When::Refused) => Err(StoreError::Rejected {
                context: context(),
                source: None,
            }),
            Some(When::Lost) => Err(StoreError::CommitUnknown {
                context: context(),
                source: None,
            }),
            Some(When::After) => {
                self.apply_inner(commands, grant).await?;
                Err(StoreError::CommitUnknown {
                    context: context(),
                    source: None,
                })
            }
            Some(When::Held) => {
                let applied = self.apply_inner(commands, grant).await;
                self.block();
                self.unblocked().await;
                applied
            }
            Some(When::CrashBefore) => {
                self.kill();
                future::pending().await
            }
            Some(When::CrashAfter) => {
                self.apply_inner(commands, grant).await?;
                self.kill();
                future::pending().await
            }
        }
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}
