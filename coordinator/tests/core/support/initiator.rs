//! A service that opened transactions and answers check-backs as it is told.

use std::{
    collections::HashMap,
    future,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use earnest_coordinator::{driver::CallOutcome, service::CheckBackPort};
use earnest_protocol::{CheckBackAnswer, TransactionId};
use earnest_store::CheckBackWork;
use tokio::sync::watch;

use super::FaultyStore;

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Committed,
    RolledBack,
    InProgress,
    /// Can't be reached.
    Nothing,
    /// Never answers.
    Hang,
    /// Answers *rolled back*, but only once [`FakeInitiator::speak`] was called.
    LateRolledBack,
    /// The connection breaks once [`FakeInitiator::speak`] was called.
    LateNothing,
    /// The port itself has a bug.
    Panic,
}

type Script = Box<dyn Fn(&CheckBackWork) -> Says + Send>;

/// Every initiator.
pub(crate) struct FakeInitiator {
    script: Mutex<Script>,
    asked: Mutex<HashMap<TransactionId, usize>>,
    spoken: watch::Sender<bool>,
}

impl FakeInitiator {
    pub(crate) fn new() -> Self {
        Self {
            script: Mutex::new(Box::new(|_| Says::Committed)),
            asked: Mutex::default(),
            spoken: watch::Sender::new(false),
        }
    }

    /// From now on it says this.
    pub(crate) fn says(&self, says: Says) {
        self.answers(move |_| says);
    }

    /// From now on it says what `script` says.
    pub(crate) fn answers(&self, script: impl Fn(&CheckBackWork) -> Says + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// How often it was asked about one transaction.
    pub(crate) fn asked(&self, id: TransactionId) -> usize {
        self.asked.lock().unwrap().get(&id).copied().unwrap_or(0)
    }

    /// How often it was asked.
    pub(crate) fn asked_at_all(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }

    /// Lets late answers out.
    pub(crate) fn speak(&self) {
        self.spoken.send_replace(true);
    }
}

/// The initiator as one node calls it.
pub(crate) struct InitiatorPort {
    pub(super) initiator: Arc<FakeInitiator>,
    pub(super) store: Arc<FaultyStore>,
}

#[async_trait]
impl CheckBackPort for InitiatorPort {
    async fn check_back(&self, work: &CheckBackWork) -> CallOutcome<CheckBackAnswer> {
        self.store.alive().await;
        *self
            .initiator
            .asked
            .lock()
            .unwrap()
            .entry(work.id)
            .or_default() += 1;
        let says = (self.initiator.script.lock().unwrap())(work);
        let target = format!("fake {}", work.initiator);
        let answer = |answer, code: &str| CallOutcome::answered(answer, target.clone(), code, "");
        if matches!(says, Says::LateRolledBack | Says::LateNothing) {
            let spoken = self
                .initiator
                .spoken
                .subscribe()
                .wait_for(|spoken| *spoken)
                .await
                .is_ok();
            assert!(spoken, "the initiator lives");
        }
        let outcome = match says {
            Says::Committed => answer(CheckBackAnswer::Committed, "ok"),
            Says::RolledBack | Says::LateRolledBack => answer(CheckBackAnswer::RolledBack, "ok"),
            Says::InProgress => answer(CheckBackAnswer::InProgress, "in-progress"),
            Says::Nothing | Says::LateNothing => {
                let unknown = CheckBackAnswer::Unknown;
                CallOutcome::down(unknown, target, "unreachable", "connection refused")
            }
            Says::Hang => future::pending().await,
            Says::Panic => panic!("the port has a bug, as this test wants it to"),
        };
        self.store.alive().await;
        outcome
    }
}
