//! Coordinator nodes as the binary starts them, with their port and their clients on simulated wires.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use earnest_coordinator::{
    callback::Clients,
    clock::Environment,
    driver::{BoardOptions, DriverOptions},
    journal::JournalOptions,
    node::{Ground, Node, NodeConfig, NodeError},
    threads::InnerThreads,
    transport::Server,
};

use super::{WireWorld, wires::SimulatedDialer};
use crate::{
    plan::Party,
    world::{
        clock::SimulatedClock,
        faults::Blow,
        gate::Gate,
        link::{Link, StoreFaults},
    },
};

/// Between two tries to start.
const START_AGAIN: Duration = Duration::from_millis(300);

struct Run {
    gate: Arc<Gate>,
    /// `None`: it starts.
    node: Option<Node>,
}

/// A node, of which one run at a time lives.
pub(super) struct NodeSlot {
    party: Party,
    run: Mutex<Option<Run>>,
    /// Blows that keep it down.
    held_down: AtomicU32,
    runs: AtomicU32,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) faults: StoreFaults,
}

impl NodeSlot {
    pub(super) fn new(number: u8, clock: Arc<SimulatedClock>) -> Self {
        Self {
            party: Party::Node(number),
            run: Mutex::new(None),
            held_down: AtomicU32::new(0),
            runs: AtomicU32::new(0),
            clock,
            faults: StoreFaults::default(),
        }
    }

    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().expect("nothing panics in here")
    }

    pub(super) fn suffers(&self, world: &Arc<WireWorld>, blow: Blow) {
        match blow {
            Blow::Kill => {
                self.held_down.fetch_add(1, Ordering::Relaxed);
                if let Some(run) = self.run().take() {
                    run.gate.kill();
                }
                world.wires.kill(self.party);
            }
            Blow::Drain => {
                self.held_down.fetch_add(1, Ordering::Relaxed);
                self.drains(world);
            }
            Blow::StartAgain => {
                if self.held_down.fetch_sub(1, Ordering::Relaxed) == 1 {
                    self.start(world);
                }
            }
            Blow::Pause => {
                if let Some(run) = &*self.run() {
                    run.gate.pause();
                    world.wires.freeze(self.party, true);
                }
            }
            Blow::Resume => {
                if let Some(run) = &*self.run() {
                    run.gate.resume();
                }
                world.wires.freeze(self.party, false);
            }
        }
    }

    /// The run is over.
    pub(super) fn let_go(&self) {
        self.run().take();
    }

    fn drains(&self, world: &Arc<WireWorld>) {
        let Some(run) = self.run().take() else {
            return;
        };
        let (world, party) = (Arc::clone(world), self.party);
        let Some(node) = run.node else {
            run.gate.kill();
            return world.wires.kill(party);
        };
        tokio::spawn(async move {
            node.shutdown().await;
            run.gate.kill();
        });
    }

    /// Starts a run, again and again until the database takes it in.
    pub(super) fn start(&self, world: &Arc<WireWorld>) {
        let gate = Arc::new(Gate::new());
        *self.run() = Some(Run {
            gate: Arc::clone(&gate),
            node: None,
        });
        let (world, party) = (Arc::clone(world), self.party);
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            loop {
                match start(&world, party, number, &gate).await {
                    Ok(node) => {
                        let mut run = world.node_of(party).run();
                        // Killed while it started: the gate holds it for ever.
                        if let Some(run) = run.as_mut().filter(|run| Arc::ptr_eq(&run.gate, &gate))
                        {
                            run.node = Some(node);
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
    world: &Arc<WireWorld>,
    party: Party,
    run: u32,
    gate: &Arc<Gate>,
) -> Result<Node, NodeError> {
    let Party::Node(number) = party else {
        unreachable!("only nodes are started here");
    };
    gate.pass().await;
    let slot = world.node_of(party);
    let link = Arc::new(Link {
        node: number,
        gate: Arc::clone(gate),
        network: Arc::clone(&world.wires.network),
        observer: Arc::clone(&world.observer),
        trace: Arc::clone(&world.trace),
        faults: Arc::clone(&slot.faults),
    });
    let dialer = Arc::new(SimulatedDialer {
        wires: Arc::clone(&world.wires),
        from: party,
        gate: Arc::clone(gate),
    });
    let setup = &world.setup;
    let config = NodeConfig {
        driver: DriverOptions {
            node: format!("node-{number}"),
            lease: Duration::from_millis(setup.lease_ms.into()),
            check_back_timeout: Duration::from_secs(3),
            ..DriverOptions::default()
        },
        journal: JournalOptions {
            batch_commands: setup.batch,
            queue_commands: setup.queue,
            ..JournalOptions::default()
        },
        board: BoardOptions {
            total: setup.board,
            per_target: setup.board.div_ceil(2),
        },
        ..NodeConfig::default()
    };
    let address = SocketAddr::from(([10, 0, 0, number], 7450));
    let ground = Ground {
        server: Server::over(world.wires.listen(party), address),
        store: link,
        clients: Clients::over(dialer)?,
        threads: InnerThreads::none(),
    };
    let own = u64::from(number) << 32 | u64::from(run);
    let environment = Environment::seeded(
        Arc::clone(&slot.clock) as _,
        world.seed.rotate_left(17) ^ own,
    );
    let node = Node::start_on(ground, config, environment).await?;
    world
        .trace
        .note(format_args!("node {number} is up, run {run}"));
    Ok(node)
}
