//! The wires between processes: who listens, who is connected to whom, who is stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use async_trait::async_trait;
use earnest_coordinator::connection::{Dialer, Listener, Stream};
use tokio::sync::mpsc;

use super::stream::{Connection, SimulatedStream};
use crate::{
    plan::Party,
    world::{gate::Gate, network::Network},
};

/// Between two tries to connect over a cut.
const KNOCK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Default)]
struct State {
    listeners: BTreeMap<Party, mpsc::UnboundedSender<SimulatedStream>>,
    connections: Vec<Weak<Connection>>,
    frozen: BTreeSet<Party>,
}

pub(crate) struct Wires {
    pub(super) network: Arc<Network>,
    state: Mutex<State>,
}

impl Wires {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        Self {
            network,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    pub(super) fn is_frozen(&self, party: Party) -> bool {
        self.state().frozen.contains(&party)
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        let mut state = self.state();
        state
            .connections
            .retain(|connection| connection.strong_count() > 0);
        state.connections.iter().filter_map(Weak::upgrade).collect()
    }

    fn of(&self, party: Party) -> impl Iterator<Item = Arc<Connection>> {
        let connections = self.connections().into_iter();
        connections.filter(move |connection| connection.parties.contains(&party))
    }

    /// A process listens; connections to its former life are unknown to it.
    pub(crate) fn listen(&self, party: Party) -> SimulatedListener {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state().listeners.insert(party, sender);
        for connection in self.of(party) {
            connection.is_unknown_to(party);
        }
        SimulatedListener(receiver)
    }

    /// A process dies: of some its peers hear at once, of others nothing.
    pub(crate) fn kill(&self, party: Party) {
        let peers_hear = self.network.draw((party, "is heard to die"), 2) == 0;
        {
            let mut state = self.state();
            state.listeners.remove(&party);
            state.frozen.remove(&party);
        }
        for connection in self.of(party) {
            connection.dies(party, peers_hear);
        }
    }

    /// A process stops, or goes on.
    pub(crate) fn freeze(&self, party: Party, frozen: bool) {
        {
            let mut state = self.state();
            if frozen {
                state.frozen.insert(party);
            } else {
                state.frozen.remove(&party);
            }
        }
        self.look_again();
    }

    /// Something that was held up may go on.
    pub(crate) fn look_again(&self) {
        for connection in self.connections() {
            connection.wake();
        }
    }

    async fn connect(self: &Arc<Self>, from: Party, to: Party) -> io::Result<SimulatedStream> {
        while self.network.is_cut(from, to) || self.network.is_cut(to, from) {
            tokio::time::sleep(KNOCK_AGAIN).await;
        }
        let there = self.network.segment(from, to, true);
        let back = self.network.segment(to, from, false);
        tokio::time::sleep(there + back).await;
        let connection = Arc::new(Connection::new(from, to));
        let [own, theirs] = [0, 1].map(|end| SimulatedStream::new(self, &connection, end));
        let mut state = self.state();
        let taken = match state.listeners.get(&to) {
            Some(listener) => listener.send(theirs).map_err(|refused| refused.0),
            None => Err(theirs),
        };
        if taken.is_ok() {
            state.connections.push(Arc::downgrade(&connection));
        }
        drop(state);
        match taken {
            Ok(()) => Ok(own),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// What a process listens on.
pub(crate) struct SimulatedListener(mpsc::UnboundedReceiver<SimulatedStream>);

#[async_trait]
impl Listener for SimulatedListener {
    type Connection = SimulatedStream;

    async fn accept(&mut self) -> io::Result<SimulatedStream> {
        match self.0.recv().await {
            Some(stream) => Ok(stream),
            // The process is dead, and its port somebody else's.
            None => std::future::pending().await,
        }
    }
}

/// How one run of a process connects to others.
pub(crate) struct SimulatedDialer {
    pub(crate) wires: Arc<Wires>,
    pub(crate) from: Party,
    pub(crate) gate: Arc<Gate>,
}

impl SimulatedDialer {
    pub(crate) async fn connect(&self, host: &str) -> io::Result<SimulatedStream> {
        self.gate.pass().await;
        let to = party(host).ok_or(io::ErrorKind::AddrNotAvailable)?;
        tokio::select! {
            biased;
            () = self.gate.died() => Err(io::ErrorKind::NetworkDown.into()),
            connected = self.wires.connect(self.from, to) => connected,
        }
    }
}

#[async_trait]
impl Dialer for SimulatedDialer {
    async fn dial(&self, host: &str, _: u16) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.connect(host).await?))
    }
}

/// The host that a party is called at.
pub(crate) fn host(party: Party) -> String {
    match party {
        Party::Database => "database".to_owned(),
        Party::Node(n) => format!("node-{n}"),
        Party::Initiator(n) => format!("initiator-{n}"),
        Party::Consumer(n) => format!("consumer-{n}"),
        Party::Participant(n) => format!("participant-{n}"),
        Party::Operator => "operator".to_owned(),
    }
}

fn party(host: &str) -> Option<Party> {
    let (kind, number) = host.rsplit_once('-')?;
    let number = number.parse().ok()?;
    match kind {
        "node" => Some(Party::Node(number)),
        "initiator" => Some(Party::Initiator(number)),
        "consumer" => Some(Party::Consumer(number)),
        "participant" => Some(Party::Participant(number)),
        _ => None,
    }
}
