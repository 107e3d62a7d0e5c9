//! A destination that does as it is told, and notes what it was handed.

use std::{
    collections::HashSet,
    future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use earnest_coordinator::driver::{CallOutcome, DeliveryPort};
use earnest_protocol::{Decision, DeliveryAnswer, TransactionId};
use earnest_store::{DeliveryKey, DeliveryWork, Store};

use super::{FaultyStore, violations::Violations};

/// What it does with one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// Takes it.
    Ok,
    /// Takes it, and is slow about it.
    Slow(Duration),
    /// Says *not now*.
    InProgress,
    /// Says that it never will.
    Failed,
    /// Can't be reached.
    Down,
    /// Never answers.
    Hang,
    /// The port itself has a bug.
    Panic,
    /// The answer leaves this message and those after it out.
    Omit,
}

type Script = Box<dyn FnMut(&DeliveryWork) -> Does + Send>;

/// One message that was handed over.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    pub(crate) key: DeliveryKey,
    pub(crate) order_key: String,
    pub(crate) body: String,
    pub(crate) node: &'static str,
}

/// The destination of every subscription.
pub(crate) struct FakeSink {
    store: Arc<dyn Store>,
    violations: Violations,
    script: Mutex<Script>,
    handed: Mutex<Vec<Handed>>,
    acknowledged: Mutex<HashSet<DeliveryKey>>,
    calls: AtomicUsize,
}

impl FakeSink {
    pub(crate) fn new(store: Arc<dyn Store>, violations: Violations) -> Self {
        Self {
            store,
            violations,
            script: Mutex::new(Box::new(|_| Does::Ok)),
            handed: Mutex::default(),
            acknowledged: Mutex::default(),
            calls: AtomicUsize::new(0),
        }
    }

    /// From now on it does what `script` says.
    pub(crate) fn does(&self, script: impl FnMut(&DeliveryWork) -> Does + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// All that it was handed, in order.
    pub(crate) fn handed(&self) -> Vec<Handed> {
        self.handed.lock().unwrap().clone()
    }

    /// How often one transaction's messages were handed over.
    pub(crate) fn times(&self, id: TransactionId) -> usize {
        self.handed
            .lock()
            .unwrap()
            .iter()
            .filter(|h| h.key.transaction == id)
            .count()
    }

    /// How many messages a subscription was handed.
    pub(crate) fn to(&self, subscription: &str) -> usize {
        let to = |h: &&Handed| {
            h.key
                .subscription
                .as_ref()
                .is_some_and(|name| name.as_str() == subscription)
        };
        self.handed.lock().unwrap().iter().filter(to).count()
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether it has answered *OK* for this one.
    pub(crate) fn acknowledged(&self, key: &DeliveryKey) -> bool {
        self.acknowledged.lock().unwrap().contains(key)
    }

    /// P3: whatever is handed over belongs to a transaction that is confirmed by now.
    async fn check_p3(&self, work: &DeliveryWork) {
        let row = self
            .store
            .transaction(work.key.transaction)
            .await
            .expect("the store answers");
        let decision = row.and_then(|row| row.state.phase.decision());
        let confirmed = decision == Some(Decision::Confirm);
        self.violations
            .unless(confirmed, || format!("P3: {} was handed over", work.key));
    }

    fn note(&self, work: &DeliveryWork, node: &'static str) {
        self.handed.lock().unwrap().push(Handed {
            key: work.key.clone(),
            order_key: work.message.key.clone(),
            body: String::from_utf8_lossy(&work.message.payload).into_owned(),
            node,
        });
    }
}

/// The sink as one node calls it.
pub(crate) struct SinkPort {
    pub(super) sink: Arc<FakeSink>,
    pub(super) node: &'static str,
    pub(super) store: Arc<FaultyStore>,
}

#[async_trait]
impl DeliveryPort for SinkPort {
    async fn deliver(&self, batch: &[DeliveryWork]) -> Vec<CallOutcome<DeliveryAnswer>> {
        self.store.alive().await;
        self.sink.calls.fetch_add(1, Ordering::SeqCst);
        let (mut outcomes, mut slowest) = (Vec::new(), Duration::ZERO);
        for work in batch {
            self.sink.check_p3(work).await;
            self.sink.note(work, self.node);
            let does = (self.sink.script.lock().unwrap())(work);
            let target = format!("fake {}", work.subscription.destination);
            let ok = |target| CallOutcome::answered(DeliveryAnswer::Ok, target, "ok", "");
            outcomes.push(match does {
                Does::Ok => ok(target),
                Does::Slow(takes) => {
                    slowest = slowest.max(takes);
                    ok(target)
                }
                Does::InProgress => CallOutcome::answered(
                    DeliveryAnswer::InProgress,
                    target,
                    "in-progress",
                    "busy with it",
                ),
                Does::Failed => {
                    let answer = DeliveryAnswer::Failed("no such account".into());
                    CallOutcome::answered(answer, target, "failed", "no such account")
                }
                Does::Down => CallOutcome::down(
                    DeliveryAnswer::Unknown,
                    target,
                    "unreachable",
                    "connection refused",
                ),
                Does::Hang => future::pending().await,
                Does::Panic => panic!("the port has a bug, as this test wants it to"),
                Does::Omit => break,
            });
        }
        if slowest > Duration::ZERO {
            tokio::time::sleep(slowest).await;
        }
        // Noted before the coordinator hears of it, and only now: an answer that never came is none.
        self.store.alive().await;
        let mut acknowledged = self.sink.acknowledged.lock().unwrap();
        for (work, outcome) in batch.iter().zip(&outcomes) {
            if outcome.answer == DeliveryAnswer::Ok {
                acknowledged.insert(work.key.clone());
            }
        }
        outcomes
    }
}
