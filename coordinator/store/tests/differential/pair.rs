//! Both stores, run in lockstep.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use earnest_protocol::{BranchCall, LeaseToken, Name, NodeEpoch, ParkReason, Settled, TrySettled};
use earnest_store::{
    Admission, BranchWork, CheckBackWork, ClaimRequest, Command, Endpoint, EndpointProtocol,
    LeaseGrant, MemoryStore, NewTransaction, OperatorAction, Rejection, Reply, ServiceRow,
    SubscriptionRow, Target, Work,
    conformance::{
        self as with, INITIATOR, LEASE, Subject, TestClock, answered, branch_settled, branched,
        done, failed, keyed, later, name, no_grant, park, prepare, register, release, reserve,
        retry, submit, subscription, transaction, tried,
    },
};

use super::op::{End, New, Op, Subscription, Write};

struct Admit(AtomicUsize);

impl Admission for Admit {
    fn admits(&self, _: &Target) -> bool {
        let take = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    }
}

/// The reference, the store under test, and what both have leased.
pub(crate) struct Pair {
    stores: [Subject; 2],
    leased: Vec<Work>,
    node: NodeEpoch,
    /// Which kinds of answers came.
    pub(crate) seen: BTreeSet<&'static str>,
}

/// What both answered, which must be one and the same.
fn same<T: PartialEq + Debug>([memory, other]: [T; 2]) -> T {
    assert_eq!(
        memory, other,
        "memory (left) and the store under test (right) differ"
    );
    other
}

/// Work has no equality of its own; its text shows every field.
fn same_work([memory, other]: [Vec<Work>; 2]) -> Vec<Work> {
    let shown = |work: &[Work]| {
        work.iter()
            .map(|work| format!("{work:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&memory),
        shown(&other),
        "memory (left) and the store under test (right) leased differently"
    );
    other
}

impl Pair {
    /// The reference, and `other`, which must be empty.
    pub(crate) fn new(other: Subject) -> Self {
        let clock = TestClock::default();
        let memory = MemoryStore::new(Arc::new(clock.clone()));
        Self {
            stores: [Subject::new(Arc::new(memory), clock, ()), other],
            leased: Vec::new(),
            node: NodeEpoch(0),
            seen: BTreeSet::new(),
        }
    }

    /// Does `op` to both.
    pub(crate) async fn run(&mut self, op: &Op) {
        let default = Name::default_namespace();
        let [memory, other] = &self.stores;
        match op {
            Op::Batch(writes, room) => self.batch(writes, *room).await,
            Op::Claim(without) => self.claim(*without).await,
            Op::Heartbeat => {
                let beat =
                    async |s: &Subject| s.store.heartbeat(self.node, LEASE).await.expect("it runs");
                let lives = same([beat(memory).await, beat(other).await]);
                self.seen
                    .insert(if lives { "alive" } else { "taken for dead" });
            }
            Op::Resign => {
                for s in &self.stores {
                    s.store.resign(self.node).await.expect("it runs");
                }
                self.node = same([memory.node().await, other.node().await]);
            }
            Op::Enrol => self.node = same([memory.node().await, other.node().await]),
            Op::Advance(by) => {
                memory.advance(*by);
                other.advance(*by);
            }
            Op::Subscribe((called, topic), ordered) => {
                let row = SubscriptionRow {
                    ordered: *ordered,
                    ..subscription(called, topic)
                };
                same([memory.put(row.clone()).await, other.put(row).await]);
            }
            Op::Unsubscribe((called, _)) => {
                let delete =
                    async |s: &Subject| s.store.delete_subscription(&default, &name(called)).await;
                same([
                    delete(memory).await.expect("it runs"),
                    delete(other).await.expect("it runs"),
                ]);
            }
            Op::Pause((called, _), paused) => {
                same([
                    memory.pause(called, *paused).await,
                    other.pause(called, *paused).await,
                ]);
            }
            Op::Register(has_endpoint) => {
                let endpoint = Endpoint {
                    url: "http://127.0.0.1:1".into(),
                    protocol: EndpointProtocol::Grpc,
                    resource_id: String::new(),
                };
                let row = ServiceRow {
                    namespace: default,
                    name: name(INITIATOR),
                    endpoints: has_endpoint.then_some(endpoint).into_iter().collect(),
                    updated_at: TestClock::START,
                };
                let put = async |s: &Subject| s.store.put_service(row.clone(), true).await;
                same([
                    put(memory).await.expect("it runs"),
                    put(other).await.expect("it runs"),
                ]);
            }
            Op::Purge(older_than) => {
                let purge =
                    async |s: &Subject| s.store.purge(*older_than, 1_000).await.expect("it runs");
                let report = same([purge(memory).await, purge(other).await]);
                self.seen.extend((report.removed > 0).then_some("purged"));
            }
        }
    }

    async fn batch(&mut self, writes: &[Write], room: usize) {
        let mut commands: Vec<Command> = Vec::new();
        for command in writes.iter().filter_map(|write| self.command(write)) {
            // One command per transaction in a batch (DESIGN §5).
            if commands
                .iter()
                .all(|other| other.transaction() != command.transaction())
            {
                commands.push(command);
            }
        }
        let grant = || LeaseGrant {
            epoch: self.node,
            admission: Arc::new(Admit(AtomicUsize::new(room))),
            ..no_grant()
        };
        let [memory, other] = &self.stores;
        // One by one here and together there: commands must not notice that they share a batch.
        let (alone, mut results, mut leased) = (grant(), Vec::new(), Vec::new());
        for command in &commands {
            let applied = memory.batch(vec![command.clone()], alone.clone()).await;
            results.extend(applied.results);
            leased.extend(applied.leased);
        }
        let other = other.batch(commands, grant()).await;
        let results = same([results, other.results]);
        self.seen.extend(results.iter().map(kind));
        let leased = same_work([leased, other.leased]);
        self.seen.extend(leased.first().map(|_| "leased at once"));
        self.leased.extend(leased);
    }

    async fn claim(&mut self, without: Option<Subscription>) {
        let target = |(called, _): Subscription| {
            Target::Subscription(Name::default_namespace(), name(called))
        };
        let room: HashMap<_, _> = without.map(|of| (target(of), 0)).into_iter().collect();
        let request = ClaimRequest {
            epoch: self.node,
            total: 1_000,
            per_target: 1_000,
            room,
        };
        let [memory, other] = &self.stores;
        let mut memory = memory.claim_within(request.clone()).await;
        let mut other = other.claim_within(request).await;
        same([memory.next_due, other.next_due]);
        // Which of two that are due since the same moment comes first is the store's own affair.
        for work in [&mut memory.work, &mut other.work] {
            work.sort_by_cached_key(|work| format!("{work:?}"));
        }
        let work = same_work([memory.work, other.work]);
        for work in &work {
            self.seen.insert(match work {
                Work::CheckBack(_) => "claimed check-back",
                Work::Delivery(_) => "claimed delivery",
                Work::Branch(work) if work.call == BranchCall::Try => "claimed try",
                Work::Branch(_) => "claimed branch",
            });
        }
        self.leased.extend(work);
    }

    /// The command that `write` stands for; `None`: nothing was leased so far.
    fn command(&self, write: &Write) -> Option<Command> {
        Some(match write {
            Write::Prepare(new) => prepare(full(new)),
            Write::Submit(new) => submit(full(new)),
            Write::Decide(n, decision) => with::decide(*n, *decision),
            Write::Register(n, ordinal) => register(*n, &[(*ordinal, reserve(*ordinal % 2))]),
            Write::Retry(n) => retry(*n),
            Write::Park(n) => park(*n),
            Write::OperatorDecides(n, decision) => {
                with::operator(*n, OperatorAction::Decide(*decision))
            }
            Write::End(back, end) => {
                let last = self.leased.len().checked_sub(1)?;
                match &self.leased[last.checked_sub(*back)?] {
                    Work::CheckBack(work) => end_check_back(work, end),
                    Work::Branch(work) => end_branch(work, end),
                    Work::Delivery(work) => match end {
                        End::Done => done(work),
                        End::Later(delay) => later(work, *delay),
                        End::Failed => failed(work),
                        End::Unknown => later(work, std::time::Duration::ZERO),
                        End::Released | End::Deadline => release(work),
                    },
                }
            }
        })
    }

    /// Reads everything of both.
    pub(crate) async fn compare(&self) {
        let [memory, other] = &self.stores;
        same([memory.dump().await, other.dump().await]).check();
    }
}

fn end_check_back(work: &CheckBackWork, end: &End) -> Command {
    let (id, token): (_, LeaseToken) = (work.id, work.token);
    match (end.answer(), end) {
        (Some(answer), _) => answered(work, answer),
        (None, End::Deadline) => Command::DeadlinePassed { id, token },
        (None, _) => Command::ReleaseCheckBack { id, token },
    }
}

fn end_branch(work: &BranchWork, end: &End) -> Command {
    let is_try = work.call == BranchCall::Try;
    let later = |delay| {
        if is_try {
            tried(work, TrySettled::RetryAfter(delay))
        } else {
            branch_settled(work, Settled::RetryAfter(delay))
        }
    };
    match end {
        End::Done if is_try => tried(work, TrySettled::Ok),
        End::Done => branch_settled(work, Settled::Done),
        End::Failed if is_try => tried(work, TrySettled::Refused("no".into())),
        End::Failed => branch_settled(work, Settled::Park(ParkReason::new("gone"))),
        End::Later(delay) => later(*delay),
        End::Unknown => later(std::time::Duration::ZERO),
        End::Released | End::Deadline => Command::ReleaseBranch {
            key: work.key,
            token: work.token,
        },
    }
}

fn full(new: &New) -> NewTransaction {
    let messages = new
        .messages
        .iter()
        .map(|(topic, key)| keyed(topic, key))
        .collect();
    NewTransaction {
        options: new.options,
        branches: branched(new.n, new.branches).branches,
        ..transaction(new.n, messages)
    }
}

/// Every kind of answer; runs that don't meet them all compare too little.
pub(crate) const KINDS: [&str; 24] = [
    "AlreadyDecided",
    "BranchReused",
    "IdReused",
    "NoSubscription",
    "NotFound",
    "NotParked",
    "NothingToPark",
    "TooOld",
    "Untried",
    "alive",
    "claimed branch",
    "claimed check-back",
    "claimed delivery",
    "claimed try",
    "contradicted",
    "created",
    "decided",
    "leased at once",
    "lost lease",
    "made due",
    "purged",
    "settled",
    "taken for dead",
    "unchanged",
];

fn kind(result: &Result<Reply, Rejection>) -> &'static str {
    match result {
        Ok(Reply::Transaction { created: true, .. }) => "created",
        Ok(Reply::Transaction { decided: true, .. }) => "decided",
        Ok(Reply::Transaction { made_due: 1.., .. }) => "made due",
        Ok(Reply::Transaction { .. }) => "unchanged",
        Ok(Reply::Settled(_)) => "settled",
        Ok(Reply::Contradicted(_)) => "contradicted",
        Ok(Reply::LostLease) => "lost lease",
        Err(Rejection::IdReused { .. }) => "IdReused",
        Err(Rejection::AlreadyDecided(_)) => "AlreadyDecided",
        Err(Rejection::NotFound { .. }) => "NotFound",
        Err(Rejection::NotInitiator { .. }) => "NotInitiator",
        Err(Rejection::NoSubscription { .. }) => "NoSubscription",
        Err(Rejection::BranchReused { .. }) => "BranchReused",
        Err(Rejection::MessageMisplaced { .. }) => "MessageMisplaced",
        Err(Rejection::TooManyMessages { .. }) => "TooManyMessages",
        Err(Rejection::TooManyBranches { .. }) => "TooManyBranches",
        Err(Rejection::OlderNode { .. }) => "OlderNode",
        Err(Rejection::Untried(_)) => "Untried",
        Err(Rejection::TooOld { .. }) => "TooOld",
        Err(Rejection::NotParked(_)) => "NotParked",
        Err(Rejection::NothingToPark(_)) => "NothingToPark",
    }
}
