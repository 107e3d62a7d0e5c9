//! Coordinator nodes: the real journal, driver and use cases, put together as the binary does it, started and killed.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use earnest_coordinator::{
    clock::Environment,
    driver::{
        Board, BoardDispatcher, BoardOptions, BranchPort, CallOutcome, DeliveryPort, Driver,
        DriverOptions, DriverParts,
    },
    journal::{Journal, JournalOptions},
    service::{CheckBackPort, Coordinator, ServiceOptions, ServiceParts},
    telemetry::Metrics,
    vigil::Vigil,
};
use earnest_protocol::{BranchAnswer, CheckBackAnswer, DeliveryAnswer, RetryPolicy};
use earnest_store::{BranchWork, CheckBackWork, DeliveryWork, StoreError};
use tokio_util::task::TaskTracker;

use super::{Gate, Lost, SimulatedClock, World, link::Link, link::StoreFaults, participant};
use crate::plan::Party;

/// A caller's own bounds are shorter; this one ends what nobody waits for.
const LONGEST_CALL: Duration = Duration::from_mins(1);
/// Between two tries to start.
const START_AGAIN: Duration = Duration::from_millis(300);

/// One run of a node.
pub(super) struct Running {
    pub(super) coordinator: Coordinator,
    pub(super) gate: Arc<Gate>,
    driver: Mutex<Option<Driver>>,
}

enum Slot {
    Down,
    Starting(Arc<Gate>),
    Up(Arc<Running>),
}

/// A node, of which one run at a time lives.
pub(super) struct NodeSlot {
    number: u8,
    slot: Mutex<Slot>,
    /// Faults that keep it down.
    held_down: AtomicU32,
    runs: AtomicU32,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) faults: StoreFaults,
}

impl NodeSlot {
    pub(super) fn new(number: u8, clock: Arc<SimulatedClock>) -> Self {
        Self {
            number,
            slot: Mutex::new(Slot::Down),
            held_down: AtomicU32::new(0),
            runs: AtomicU32::new(0),
            clock,
            faults: StoreFaults::default(),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("nothing panics in here")
    }

    /// The run that takes calls, if there is one.
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        match &*self.slot() {
            Slot::Up(running) => Some(Arc::clone(running)),
            Slot::Down | Slot::Starting(_) => None,
        }
    }

    fn gate(&self) -> Option<Arc<Gate>> {
        match &*self.slot() {
            Slot::Up(running) => Some(Arc::clone(&running.gate)),
            Slot::Starting(gate) => Some(Arc::clone(gate)),
            Slot::Down => None,
        }
    }

    pub(super) fn pause(&self) {
        if let Some(gate) = self.gate() {
            gate.pause();
        }
    }

    pub(super) fn resume(&self) {
        if let Some(gate) = self.gate() {
            gate.resume();
        }
    }

    /// It dies, as by SIGKILL or loss of power, until [`NodeSlot::start_again`].
    pub(super) fn kill(&self) {
        self.held_down.fetch_add(1, Ordering::Relaxed);
        if let Some(gate) = self.gate() {
            gate.kill();
        }
        *self.slot() = Slot::Down;
    }

    /// It stops as on SIGTERM, until [`NodeSlot::start_again`].
    pub(super) fn drain(&self) {
        self.held_down.fetch_add(1, Ordering::Relaxed);
        let Some(running) = self.running() else {
            if let Some(gate) = self.gate() {
                gate.kill();
            }
            *self.slot() = Slot::Down;
            return;
        };
        *self.slot() = Slot::Down;
        let driver = running.driver.lock().expect("taken once").take();
        tokio::spawn(async move {
            if let Some(driver) = driver {
                driver.drain().await;
            }
            running.gate.kill();
        });
    }

    /// The run is over: nothing may hold on to the world that holds on to it.
    pub(super) fn let_go(&self) {
        *self.slot() = Slot::Down;
    }

    /// One fault fewer keeps it down.
    pub(super) fn start_again(&self, world: &Arc<World>) {
        if self.held_down.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.start(world);
        }
    }

    /// Starts a run, again and again until the database takes it in.
    pub(super) fn start(&self, world: &Arc<World>) {
        let gate = Arc::new(Gate::new());
        *self.slot() = Slot::Starting(Arc::clone(&gate));
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let (world, number) = (Arc::clone(world), self.number);
        tokio::spawn(async move {
            loop {
                match start(&world, number, run, &gate).await {
                    Ok(running) => {
                        let mut slot = world.nodes[usize::from(number)].slot();
                        // Killed while it started: the gate holds it for ever.
                        if matches!(&*slot, Slot::Starting(own) if Arc::ptr_eq(own, &gate)) {
                            *slot = Slot::Up(Arc::new(running));
                        }
                        return;
                    }
                    Err(_) => tokio::time::sleep(START_AGAIN).await,
                }
            }
        });
    }
}

async fn start(
    world: &Arc<World>,
    number: u8,
    run: u32,
    gate: &Arc<Gate>,
) -> Result<Running, StoreError> {
    let slot = &world.nodes[usize::from(number)];
    let link = Arc::new(Link {
        node: number,
        gate: Arc::clone(gate),
        network: Arc::clone(&world.network),
        observer: Arc::clone(&world.observer),
        trace: Arc::clone(&world.trace),
        faults: Arc::clone(&slot.faults),
    });
    let own = u64::from(number) << 32 | u64::from(run);
    let clock = Arc::clone(&slot.clock);
    let environment = Environment::seeded(clock, world.seed.rotate_left(17) ^ own);
    let setup = &world.setup;
    let board = Arc::new(Board::new(BoardOptions {
        total: setup.board,
        per_target: setup.board.div_ceil(2),
    }));
    let options = DriverOptions {
        node: format!("node-{number}"),
        lease: Duration::from_millis(setup.lease_ms.into()),
        check_back_timeout: Duration::from_secs(3),
        branch_timeout: Duration::from_secs(3),
        branch_retry: RetryPolicy {
            initial: Duration::from_millis(100),
            multiplier_milli: 2_000,
            cap: Duration::from_secs(5),
        },
        ..DriverOptions::default()
    };
    Driver::enrol(&*link, &board, &options).await?;
    world
        .trace
        .note(format_args!("node {number} is up, run {run}"));
    let metrics = Arc::new(Metrics::default());
    let vigil = Arc::new(Vigil::new(environment.line(), options.node.as_str()));
    let journal = Journal::start(
        Arc::clone(&link) as _,
        Arc::new(BoardDispatcher(Arc::clone(&board))),
        JournalOptions {
            batch_commands: setup.batch,
            queue_commands: setup.queue,
            ..JournalOptions::default()
        },
        Arc::clone(&metrics),
        Arc::clone(&vigil),
        &TaskTracker::new(),
    );
    let port = Arc::new(Port {
        world: Arc::clone(world),
        node: number,
        gate: Arc::clone(gate),
    });
    let driver = Driver::start(
        DriverParts {
            store: Arc::clone(&link) as _,
            journal: journal.clone(),
            board: Arc::clone(&board),
            check_back: Arc::clone(&port) as _,
            delivery: Arc::clone(&port) as _,
            branches: Arc::clone(&port) as _,
            environment: environment.clone(),
            metrics,
            vigil: Arc::clone(&vigil),
        },
        options,
    );
    let parts = ServiceParts {
        journal,
        store: link,
        board,
        check_back: port,
        environment,
        vigil,
    };
    Ok(Running {
        coordinator: Coordinator::new(parts, ServiceOptions::default()),
        gate: Arc::clone(gate),
        driver: Mutex::new(Some(driver)),
    })
}

/// What a node calls services through.
struct Port {
    world: Arc<World>,
    node: u8,
    gate: Arc<Gate>,
}

impl Port {
    async fn call<T, F>(&self, to: Party, act: impl Fn() -> F + Send + 'static) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: Future<Output = Option<T>> + Send + 'static,
    {
        self.gate.pass().await;
        let from = Party::Node(self.node);
        let answer = self.world.network.call(from, to, LONGEST_CALL, act).await;
        self.gate.pass().await;
        answer
    }
}

impl Port {
    /// A transaction that a participant's Try has opened.
    async fn asks_participant(
        &self,
        number: u8,
        work: &CheckBackWork,
    ) -> CallOutcome<CheckBackAnswer> {
        let (world, id) = (Arc::clone(&self.world), work.id);
        let answered = self
            .call(Party::Participant(number), move || {
                let world = Arc::clone(&world);
                async move { world.participants[usize::from(number)].answers(id) }
            })
            .await;
        let target = format!("participant {number}");
        match answered {
            Ok(answer) => CallOutcome::answered(answer, target, "answered", ""),
            Err(lost) => {
                let (code, error) = code(lost);
                CallOutcome::down(CheckBackAnswer::Unknown, target, code, error)
            }
        }
    }
}

#[async_trait]
impl BranchPort for Port {
    async fn call(&self, batch: &[BranchWork]) -> Vec<CallOutcome<BranchAnswer>> {
        let number = participant::number(&batch[0].branch.service).expect("a participant's branch");
        let (world, works) = (Arc::clone(&self.world), Arc::new(batch.to_vec()));
        let target = format!("participant {number}");
        let answered = self
            .call(Party::Participant(number), move || {
                let (world, works) = (Arc::clone(&world), Arc::clone(&works));
                async move {
                    world.participants[usize::from(number)]
                        .takes_batch(&world, &works)
                        .await
                }
            })
            .await;
        match answered {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| CallOutcome::answered(answer, &target, "answered", ""))
                .collect(),
            Err(lost) => {
                let (code, error) = code(lost);
                let down = || CallOutcome::down(BranchAnswer::Unknown, &target, code, error);
                batch.iter().map(|_| down()).collect()
            }
        }
    }
}

fn code(lost: Lost) -> (&'static str, &'static str) {
    match lost {
        Lost::Silence => ("timeout", "no answer"),
        Lost::Refused => ("unreachable", "connection refused"),
    }
}

#[async_trait]
impl CheckBackPort for Port {
    async fn check_back(&self, work: &CheckBackWork) -> CallOutcome<CheckBackAnswer> {
        if let Some(number) = participant::number(&work.initiator) {
            return self.asks_participant(number, work).await;
        }
        let number = work.initiator.as_str().trim_start_matches("initiator-");
        let Ok(number) = number.parse::<u8>() else {
            return CallOutcome::down(CheckBackAnswer::Unknown, "nobody", "no-endpoint", "");
        };
        let (world, work) = (Arc::clone(&self.world), work.clone());
        let target = format!("initiator {number}");
        let answered = self
            .call(Party::Initiator(number), move || {
                let (world, work) = (Arc::clone(&world), work.clone());
                async move {
                    world.initiators[usize::from(number)]
                        .answers(&world, &work)
                        .await
                }
            })
            .await;
        match answered {
            Ok(answer) => CallOutcome::answered(answer, target, "answered", ""),
            Err(lost) => {
                let (code, error) = code(lost);
                CallOutcome::down(CheckBackAnswer::Unknown, target, code, error)
            }
        }
    }
}

#[async_trait]
impl DeliveryPort for Port {
    async fn deliver(&self, batch: &[DeliveryWork]) -> Vec<CallOutcome<DeliveryAnswer>> {
        let name = batch[0].subscription.name.as_str();
        let number = name.trim_start_matches("consumer-").parse::<u8>();
        let number = number.expect("a consumer's subscription");
        let (world, works) = (Arc::clone(&self.world), Arc::new(batch.to_vec()));
        let target = format!("consumer {number}");
        let answered = self
            .call(Party::Consumer(number), move || {
                let (world, works) = (Arc::clone(&world), Arc::clone(&works));
                async move {
                    world.consumers[usize::from(number)]
                        .takes(&world, &works)
                        .await
                }
            })
            .await;
        match answered {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| CallOutcome::answered(answer, &target, "answered", ""))
                .collect(),
            Err(lost) => {
                let (code, error) = code(lost);
                let down = || CallOutcome::down(DeliveryAnswer::Unknown, &target, code, error);
                batch.iter().map(|_| down()).collect()
            }
        }
    }
}
