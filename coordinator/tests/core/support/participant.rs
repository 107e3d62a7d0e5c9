//! Participants that do as they are told, and note what they were called for.

use std::{
    collections::HashSet,
    future,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use earnest_coordinator::driver::{BranchPort, CallOutcome};
use earnest_protocol::{BranchAnswer, BranchCall, Decision, TransactionId};
use earnest_store::{BranchKey, BranchWork, Store};
use tokio::sync::watch;

use super::{FaultyStore, violations::Violations};

/// What they answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answers {
    Ok,
    /// OK, after a while.
    Slow(Duration),
    Refused,
    Failed,
    InProgress,
    /// Can't be reached.
    Down,
    /// The connection breaks once [`FakeParticipants::break_off`] was called.
    LateDown,
    /// Never answers.
    Hang,
    /// The port itself has a bug.
    Panic,
    /// The reply leaves this branch and those after it out.
    Omit,
}

type Script = Box<dyn FnMut(&BranchWork) -> Answers + Send>;

/// One call that was made.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) key: BranchKey,
    pub(crate) call: BranchCall,
    pub(crate) service: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) node: &'static str,
}

/// Every participant.
pub(crate) struct FakeParticipants {
    store: Arc<dyn Store>,
    violations: Violations,
    script: Mutex<Script>,
    called: Mutex<Vec<Called>>,
    acknowledged: Mutex<HashSet<(BranchKey, BranchCall)>>,
    broken_off: watch::Sender<bool>,
}

impl FakeParticipants {
    pub(crate) fn new(store: Arc<dyn Store>, violations: Violations) -> Self {
        Self {
            store,
            violations,
            script: Mutex::new(Box::new(|_| Answers::Ok)),
            called: Mutex::default(),
            acknowledged: Mutex::default(),
            broken_off: watch::Sender::new(false),
        }
    }

    /// From now on they answer what `script` says.
    pub(crate) fn answer(&self, script: impl FnMut(&BranchWork) -> Answers + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Breaks the connections that wait for it.
    pub(crate) fn break_off(&self) {
        self.broken_off.send_replace(true);
    }

    /// All calls, in order.
    pub(crate) fn called(&self) -> Vec<Called> {
        self.called.lock().unwrap().clone()
    }

    /// The calls of one transaction: which, of which branch; in order.
    pub(crate) fn calls_of(&self, id: TransactionId) -> Vec<(BranchCall, u32)> {
        let called = self.called.lock().unwrap();
        let of = called.iter().filter(|c| c.key.transaction == id);
        of.map(|c| (c.call, c.key.ordinal.0)).collect()
    }

    /// Whether *OK* was answered to this call.
    pub(crate) fn acknowledged(&self, key: BranchKey, call: BranchCall) -> bool {
        self.acknowledged.lock().unwrap().contains(&(key, call))
    }

    /// P3, T4: whoever is told to confirm or cancel belongs to a transaction whose decision is durable, and whose branch is
    /// registered; a Try is never called before its branch is.
    async fn check(&self, work: &BranchWork) {
        let detail = self.store.detail(work.key.transaction).await;
        let detail = detail.expect("the store answers");
        let decision = detail
            .as_ref()
            .and_then(|d| d.transaction.state.phase.decision());
        let may = match work.call {
            BranchCall::Try => true,
            BranchCall::Confirm => decision == Some(Decision::Confirm),
            BranchCall::Cancel => decision == Some(Decision::Cancel),
        };
        self.violations.unless(may, || {
            format!("P3, T4: {} of {} at {decision:?}", work.call, work.key)
        });
        let registered =
            detail.is_some_and(|d| d.branches.iter().any(|(row, _)| row.key == work.key));
        self.violations.unless(registered, || {
            format!("T4: {} was called unregistered", work.key)
        });
    }
}

/// The participants as one node calls them.
pub(crate) struct ParticipantPort {
    pub(super) participants: Arc<FakeParticipants>,
    pub(super) node: &'static str,
    pub(super) store: Arc<FaultyStore>,
}

#[async_trait]
impl BranchPort for ParticipantPort {
    async fn call(&self, batch: &[BranchWork]) -> Vec<CallOutcome<BranchAnswer>> {
        self.store.alive().await;
        let all = &self.participants;
        let (mut outcomes, mut slowest) = (Vec::new(), Duration::ZERO);
        for work in batch {
            all.check(work).await;
            all.called.lock().unwrap().push(Called {
                key: work.key,
                call: work.call,
                service: work.branch.service.to_string(),
                payload: work.branch.payload.to_vec(),
                node: self.node,
            });
            let answers = (all.script.lock().unwrap())(work);
            let target = format!("fake {}", work.branch.service);
            let said = |answer, code| CallOutcome::answered(answer, target.clone(), code, code);
            let down = || {
                let refused = "connection refused";
                CallOutcome::down(
                    BranchAnswer::Unknown,
                    target.clone(),
                    "unreachable",
                    refused,
                )
            };
            outcomes.push(match answers {
                Answers::Ok => said(BranchAnswer::Ok, "ok"),
                Answers::Slow(takes) => {
                    slowest = slowest.max(takes);
                    said(BranchAnswer::Ok, "ok")
                }
                Answers::Refused => said(BranchAnswer::Refused("too little".into()), "refused"),
                Answers::Failed => said(BranchAnswer::Failed("no such account".into()), "failed"),
                Answers::InProgress => said(BranchAnswer::InProgress, "in-progress"),
                Answers::Down => down(),
                Answers::LateDown => {
                    let mut broken = all.broken_off.subscribe();
                    broken.wait_for(|broken| *broken).await.expect("they live");
                    down()
                }
                Answers::Hang => future::pending().await,
                Answers::Panic => panic!("the port has a bug, as this test wants it to"),
                Answers::Omit => break,
            });
        }
        if slowest > Duration::ZERO {
            tokio::time::sleep(slowest).await;
        }
        // Noted before the coordinator hears of it, and only now: an answer that never came is none.
        self.store.alive().await;
        let mut acknowledged = all.acknowledged.lock().unwrap();
        for (work, outcome) in batch.iter().zip(&outcomes) {
            if outcome.answer == BranchAnswer::Ok {
                acknowledged.insert((work.key, work.call));
            }
        }
        outcomes
    }
}
