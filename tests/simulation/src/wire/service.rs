//! A service with the SDK in it: its database in memory, its port, and one run of it at a time.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use earnest::memory::{Database, Earnest, Fault, Memory, Operation};
use earnest_coordinator::transport::Server;
use earnest_store::Clock as _;
use hyper_util::rt::TokioIo;
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::{
    WireWorld, consumer, reserve,
    wires::{SimulatedDialer, Wires, host},
};
use crate::{
    plan::{FaultKind, Mood, Party},
    world::{clock::SimulatedClock, faults::Blow, gate::Gate, network::Network},
};

/// Between two tries to start.
const START_AGAIN: Duration = Duration::from_millis(300);

/// What the next operations of a database meet.
type Mishaps = Arc<Mutex<VecDeque<(Operation, Fault)>>>;

/// The SDK's clock.
struct ServiceClock(Arc<SimulatedClock>);

impl earnest::Clock for ServiceClock {
    fn unix_micros(&self) -> i64 {
        self.0.now().as_micros()
    }
}

/// The SDK's chance.
struct ServiceChance(Mutex<SmallRng>);

impl earnest::Chance for ServiceChance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .lock()
            .expect("nothing panics in here")
            .fill_bytes(bytes);
    }
}

/// One run of a service.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) earnest: Earnest,
    pub(super) gate: Arc<Gate>,
    /// To each node, for calls without the SDK.
    pub(super) channels: Vec<Channel>,
    /// The database as this run reaches it.
    reach: Database,
    port: AbortHandle,
}

impl Run {
    /// The process is gone with all that it had open.
    fn dies(&self) {
        self.gate.kill();
        self.reach.set_reachable(false);
        self.port.abort();
    }
}

struct State {
    run: Option<Run>,
    held_down: u32,
    /// Faults that have another database in the place of its own.
    foreign: u32,
    runs: u32,
    moods: Vec<Mood>,
    away: u32,
}

pub(super) struct Service {
    pub(super) party: Party,
    pub(super) clock: Arc<SimulatedClock>,
    /// The database itself.
    pub(super) database: Database,
    /// One that is not its own.
    foreign: Database,
    mishaps: Mishaps,
    state: Mutex<State>,
}

impl Service {
    pub(super) fn new(party: Party, clock: Arc<SimulatedClock>) -> Self {
        let database = Database::new(format!("database of {}", host(party)));
        let mishaps = Mishaps::default();
        let next = Arc::clone(&mishaps);
        database.inject(move |operation| {
            let mut next = next.lock().expect("nothing panics in here");
            let at = next.iter().position(|(of, _)| *of == operation)?;
            next.remove(at).map(|(_, fault)| fault)
        });
        Self {
            party,
            clock,
            database,
            foreign: Database::new(format!("another database than that of {}", host(party))),
            mishaps,
            state: Mutex::new(State {
                run: None,
                held_down: 0,
                foreign: 0,
                runs: 0,
                moods: vec![],
                away: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    /// The run that does business: one over another database only listens.
    pub(super) fn run(&self) -> Option<Run> {
        let state = self.state();
        state.run.clone().filter(|_| state.foreign == 0)
    }

    /// The run is over.
    pub(super) fn let_go(&self) {
        self.state().run.take();
    }

    /// The next operation of this kind meets it, in whichever local transaction.
    pub(super) fn next(&self, operation: Operation, fault: Fault) {
        let mut mishaps = self.mishaps.lock().expect("nothing panics in here");
        mishaps.push_back((operation, fault));
    }

    pub(super) fn mood(&self) -> Option<Mood> {
        self.state().moods.first().copied()
    }

    pub(super) fn database_is_away(&self, away: bool) {
        let mut state = self.state();
        state.away = if away { state.away + 1 } else { state.away - 1 };
        self.database.set_available(state.away == 0);
    }

    /// It runs on another database, or on its own again.
    pub(super) fn is_foreign(&self, world: &Arc<WireWorld>, foreign: bool) {
        {
            let count = &mut self.state().foreign;
            *count = if foreign { *count + 1 } else { *count - 1 };
        }
        self.suffers(world, Blow::Kill);
        self.suffers(world, Blow::StartAgain);
    }

    /// Its fence forgets what is older.
    pub(super) async fn forgets(&self, network: &Network, older_than: Duration) {
        let Some(run) = self.run() else { return };
        let purged = tokio::select! {
            biased;
            () = run.gate.died() => return,
            purged = run.earnest.purge(older_than) => purged,
        };
        if purged.is_ok_and(|rows| rows > 0) {
            network.meets(FaultKind::ForgetEarly(0, 0).name());
        }
    }

    /// A mood begins, or ends. One that takes no calls is a process that stands still.
    pub(super) fn turns(&self, wires: &Wires, mood: Mood, begins: bool) {
        let still = {
            let moods = &mut self.state().moods;
            if begins {
                moods.push(mood);
            } else if let Some(at) = moods.iter().position(|other| *other == mood) {
                moods.remove(at);
            }
            moods
                .iter()
                .any(|mood| matches!(mood, Mood::Down | Mood::Hangs))
        };
        wires.freeze(self.party, still);
    }

    pub(super) fn suffers(&self, world: &Arc<WireWorld>, blow: Blow) {
        if blow == Blow::StartAgain {
            let up = {
                let mut state = self.state();
                state.held_down -= 1;
                state.held_down == 0
            };
            if up {
                self.start(world);
            }
            return;
        }
        let run = {
            let mut state = self.state();
            state.held_down += 1;
            state.run.take()
        };
        if let Some(run) = run {
            run.dies();
        }
        world.wires.kill(self.party);
    }

    pub(super) fn start(&self, world: &Arc<WireWorld>) {
        let number = {
            let mut state = self.state();
            state.runs += 1;
            state.runs
        };
        let (world, party) = (Arc::clone(world), self.party);
        tokio::spawn(async move {
            loop {
                let service = world.service_of(party);
                let stale = {
                    let state = service.state();
                    state.held_down > 0 || state.runs != number
                };
                if stale {
                    return;
                }
                if let Ok(run) = start(&world, service, number).await {
                    let mut state = service.state();
                    if state.held_down == 0 && state.runs == number {
                        state.run = Some(run);
                    } else {
                        run.dies();
                    }
                    return;
                }
                tokio::time::sleep(START_AGAIN).await;
            }
        });
    }
}

async fn start(
    world: &Arc<WireWorld>,
    service: &Service,
    number: u32,
) -> Result<Run, earnest::Error> {
    let gate = Arc::new(Gate::new());
    let is_foreign = service.state().foreign > 0;
    let database = if is_foreign {
        &service.foreign
    } else {
        &service.database
    };
    let reach = database.from_elsewhere();
    let party = service.party;
    let name = host(party);
    let seed = world.seed ^ u64::from(number) << 48 ^ world.wires.network.draw_seed(party);
    let mut builder = Earnest::service(name.clone())
        .pool(reach.clone())
        .advertise(format!("http://{name}:80"))
        .check_after(Duration::from_millis(
            [100, 500, 2_000][world.wires.network.draw((party, number), 3) as usize],
        ))
        .retention(None)
        .clock(ServiceClock(Arc::clone(&service.clock)))
        .chance(ServiceChance(Mutex::new(SmallRng::seed_from_u64(seed))));
    if let Party::Consumer(consumer) = party {
        builder = consumer::handles(world, builder, consumer);
    }
    if let Party::Participant(participant) = party {
        builder = reserve::offers(world, builder, participant);
    }
    let dialer = dialer(&world.wires, party, &gate);
    builder = builder.reach(move |url| channel(&dialer, url));
    let channels = channels(&world.wires, world.setup.nodes, party, &gate);
    let earnest: Earnest = builder.connect_over(channels.clone()).await?;
    let address = SocketAddr::from(([10, 0, 1, 0], 80));
    let server = Server::over(world.wires.listen(party), address);
    let port = tokio::spawn(server.serve(earnest.router(), CancellationToken::new()));
    world.trace.note(format_args!("{name} is up, run {number}"));
    Ok(Run {
        earnest,
        gate,
        channels,
        reach,
        port: port.abort_handle(),
    })
}

/// A channel to each node, as the SDK makes them.
pub(super) fn channels(
    wires: &Arc<Wires>,
    nodes: u8,
    from: Party,
    gate: &Arc<Gate>,
) -> Vec<Channel> {
    let dialer = dialer(wires, from, gate);
    let url = |node| format!("http://{}:7450", host(Party::Node(node)));
    (0..nodes)
        .map(|node| channel(&dialer, &url(node)).expect("a URL"))
        .collect()
}

fn dialer(wires: &Arc<Wires>, from: Party, gate: &Arc<Gate>) -> Arc<SimulatedDialer> {
    Arc::new(SimulatedDialer {
        wires: Arc::clone(wires),
        from,
        gate: Arc::clone(gate),
    })
}

/// As the SDK makes it; `None`: that is no URL.
fn channel(dialer: &Arc<SimulatedDialer>, url: &str) -> Option<Channel> {
    let dialer = Arc::clone(dialer);
    let endpoint = Endpoint::from_shared(url.to_owned()).ok()?;
    let channel = endpoint
        .connect_timeout(Duration::from_secs(1))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(service_fn(move |uri: Uri| {
            let dialer = Arc::clone(&dialer);
            async move {
                let stream = dialer.connect(uri.host().unwrap_or_default()).await;
                stream.map(TokioIo::new)
            }
        }));
    Some(channel)
}

/// The kind of database that services have here.
pub(super) type Builder = earnest::Builder<Memory>;
