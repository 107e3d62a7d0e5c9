//! A service that opens transactions: what it keeps, its answers to check-backs, and its deaths.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use earnest_coordinator::callback::answer_of;
use earnest_protocol::{CheckBackAnswer, Decision, InitiatorOutcome, TransactionId};
use earnest_store::CheckBackWork;

use super::{
    Gate, SimulatedClock, World,
    local::{Fence, LocalDatabase},
};
use crate::{check::Book, plan::FaultKind};

pub(super) struct State {
    pub(super) gate: Arc<Gate>,
    pub(super) run: u32,
    pub(super) held_down: u32,
    /// Faults that have another database in the place of its own.
    pub(super) foreign: u32,
    /// What it knows of transactions without a local outcome.
    known: BTreeMap<TransactionId, Option<Decision>>,
    /// What it says of these is not what it does.
    lies: BTreeSet<TransactionId>,
}

pub(super) struct Initiator {
    pub(super) number: u8,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) database: LocalDatabase,
    state: Mutex<State>,
}

impl Initiator {
    pub(super) fn new(number: u8, clock: Arc<SimulatedClock>, book: Arc<Book>) -> Self {
        Self {
            number,
            clock,
            database: LocalDatabase::new(book),
            state: Mutex::new(State {
                gate: Arc::new(Gate::new()),
                run: 0,
                held_down: 0,
                foreign: 0,
                known: BTreeMap::new(),
                lies: BTreeSet::new(),
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    /// Every flow of the present run ends where it stands, and what it has open is rolled back.
    pub(super) fn kill(&self) {
        let mut state = self.state();
        state.held_down += 1;
        state.gate.kill();
        state.gate = Arc::new(Gate::new());
        self.database.roll_back_run(state.run);
        state.run += 1;
    }

    pub(super) fn start_again(&self) {
        self.state().held_down -= 1;
    }

    /// Another database is in the place of its own, or no longer.
    pub(super) fn is_foreign(&self, foreign: bool) {
        let count = &mut self.state().foreign;
        *count = if foreign { *count + 1 } else { *count - 1 };
    }

    /// What it says about its local transaction; `None`: nobody listens.
    pub(super) async fn answers(
        &self,
        world: &World,
        work: &CheckBackWork,
    ) -> Option<CheckBackAnswer> {
        let gate = {
            let state = self.state();
            if state.held_down > 0 {
                return None;
            }
            Arc::clone(&state.gate)
        };
        if world.network.draw((self.number, "answer takes time"), 4) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.pass().await;
        let answer = self.answer(world, work);
        // Some answers are old when they arrive.
        let is_old = world
            .network
            .draw((work.id.as_bytes(), "answer is old"), 16)
            == 0;
        if is_old || self.state().lies.contains(&work.id) {
            tokio::time::sleep(millis(
                world.network.draw((work.id.as_bytes(), "age"), 2_500),
            ))
            .await;
            gate.pass().await;
        }
        world
            .trace
            .note(format_args!("{} answers {answer:?}", work.id));
        Some(answer)
    }

    fn answer(&self, world: &World, work: &CheckBackWork) -> CheckBackAnswer {
        {
            let state = self.state();
            if state.foreign > 0 {
                world.meets(FaultKind::ForeignDatabase(self.number).name());
                // Whoever is at the address now may be no participant at all, but says that all is well.
                let page = http::Response::new("<h1>It works!</h1>".to_owned());
                return answer_of(page, work.id);
            }
            if state.lies.contains(&work.id) {
                return CheckBackAnswer::RolledBack;
            }
        }
        if work.options.outcome == InitiatorOutcome::Asked {
            return match self.state().known.get(&work.id) {
                Some(Some(Decision::Confirm)) => CheckBackAnswer::Committed,
                Some(Some(Decision::Cancel)) => CheckBackAnswer::RolledBack,
                Some(None) => CheckBackAnswer::InProgress,
                None => CheckBackAnswer::Unknown,
            };
        }
        match self.database.fencing_read(work.id) {
            Fence::Committed => CheckBackAnswer::Committed,
            Fence::RolledBack => CheckBackAnswer::RolledBack,
            Fence::Held => CheckBackAnswer::InProgress,
            Fence::Away => {
                world.meets(FaultKind::InitiatorDatabase(self.number).name());
                CheckBackAnswer::Unknown
            }
        }
    }

    /// Whatever it has not decided is off.
    pub(super) fn makes_up_its_mind(&self) {
        for known in self.state().known.values_mut() {
            known.get_or_insert(Decision::Cancel);
        }
    }

    pub(super) fn lies_about(&self, id: TransactionId) {
        self.state().lies.insert(id);
    }

    pub(super) fn knows(&self, id: TransactionId, known: Option<Decision>) {
        self.state().known.insert(id, known);
    }
}

pub(super) fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}
