//! The whole system over simulated wires: real gRPC on both sides, the real SDK in every service, the binary's own nodes.
//!
//! Connections are streams of bytes in one process ([`stream`]) and not a simulator of hosts: a cut must hold bytes up as TCP does
//! and never lose some out of the middle; one runtime with one seed serves both levels, with the same plans, faults and checkers; and
//! what is spoken over them reads no clock but tokio's, so nothing of the C library has to be replaced to repeat a seed.
//!
//! What is true is read from rows that the services' own code writes, never from what Earnest keeps beside them. Callbacks over HTTP
//! have a client of their own kind and are not in here.

mod call;
mod consumer;
mod flow;
mod node;
mod operator;
mod reserve;
mod service;
mod stream;
mod truth;
mod wires;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use earnest_protocol::{InitiatorOutcome, TransactionId};
use earnest_store::{MemoryStore, Store};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{
    check::{Book, Observer},
    plan::{FaultKind, Mood, Party, Plan, Setup},
    world::{
        clock::SimulatedClock,
        faults::{Blow, Scene},
        gate::Gate,
        link::StoreFaults,
        network::Network,
        subscription,
        trace::Trace,
    },
};

use node::NodeSlot;
use service::{Service, channels};
use truth::Databases;
use wires::Wires;

/// Everything of one run.
pub(crate) struct WireWorld {
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) book: Arc<Book>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) trace: Arc<Trace>,
    wires: Arc<Wires>,
    store_clock: Arc<SimulatedClock>,
    nodes: Vec<NodeSlot>,
    initiators: Vec<Service>,
    consumers: Vec<Service>,
    participants: Vec<Service>,
    /// A person's own machine is never killed.
    operator: Vec<Channel>,
    /// The transactions that operations have opened.
    opened: Mutex<BTreeMap<u32, TransactionId>>,
    /// Those whose caller was told that nothing was committed.
    told_not: Mutex<BTreeSet<TransactionId>>,
}

impl WireWorld {
    pub(crate) fn new(plan: &Plan, with_text: bool) -> Arc<Self> {
        let start = Instant::now();
        let clock = || Arc::new(SimulatedClock::new(start));
        let (store_clock, book) = (clock(), Arc::new(Book::default()));
        let store = MemoryStore::new(Arc::clone(&store_clock) as _);
        let wires = Arc::new(Wires::new(Arc::new(Network::new(plan.seed, start))));
        let service = |party| Service::new(party, clock());
        let initiators: Vec<_> = (0..plan.setup.initiators)
            .map(|n| service(Party::Initiator(n)))
            .collect();
        let consumers: Vec<_> = (0..plan.setup.consumers)
            .map(|n| service(Party::Consumer(n)))
            .collect();
        let participants: Vec<_> = (0..plan.setup.participants)
            .map(|n| service(Party::Participant(n)))
            .collect();
        let databases = |services: &[Service]| {
            let database = |service: &Service| service.database.clone();
            services.iter().map(database).collect()
        };
        book.asks(Databases {
            initiators: databases(&initiators),
            consumers: databases(&consumers),
            participants: databases(&participants),
        });
        Arc::new(Self {
            seed: plan.seed,
            setup: plan.setup.clone(),
            observer: Arc::new(Observer::new(Arc::new(store), Arc::clone(&book))),
            operator: channels(
                &wires,
                plan.setup.nodes,
                Party::Operator,
                &Arc::new(Gate::new()),
            ),
            wires,
            store_clock,
            nodes: (0..plan.setup.nodes)
                .map(|n| NodeSlot::new(n, clock()))
                .collect(),
            initiators,
            consumers,
            participants,
            opened: Mutex::default(),
            told_not: Mutex::default(),
            trace: Arc::new(Trace::new(start, with_text)),
            book,
        })
    }

    fn begins(&self, operation: u32, id: TransactionId, outcome: InitiatorOutcome) {
        self.book.begins(id, outcome);
        let mut opened = self.opened.lock().expect("nothing panics in here");
        opened.insert(operation, id);
    }

    fn opened(&self, operation: u32) -> Option<TransactionId> {
        let opened = self.opened.lock().expect("nothing panics in here");
        opened.get(&operation).copied()
    }

    /// A caller is told that nothing was committed.
    fn told_not(&self, id: TransactionId) {
        let mut told_not = self.told_not.lock().expect("nothing panics in here");
        told_not.insert(id);
    }

    fn node_of(&self, party: Party) -> &NodeSlot {
        match party {
            Party::Node(n) => &self.nodes[usize::from(n)],
            other => unreachable!("{other:?} is no node"),
        }
    }

    fn service_of(&self, party: Party) -> &Service {
        match party {
            Party::Initiator(n) => &self.initiators[usize::from(n)],
            Party::Consumer(n) => &self.consumers[usize::from(n)],
            Party::Participant(n) => &self.participants[usize::from(n)],
            other => unreachable!("{other:?} is no service"),
        }
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        let services = self.initiators.iter().chain(&self.consumers);
        services.chain(&self.participants)
    }

    /// The database itself, past all faults.
    pub(crate) fn store(&self) -> &dyn Store {
        &**self.observer.store()
    }

    /// How often each kind of fault met something.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        self.wires.network.met()
    }

    /// Creates or replaces every subscription.
    pub(crate) async fn subscribe_all(&self) {
        for consumer in 0..self.setup.consumers {
            let put = self
                .store()
                .put_subscription(subscription(&self.setup, consumer));
            put.await.expect("the memory store takes it");
        }
    }

    pub(crate) fn start_all(self: &Arc<Self>) {
        for node in &self.nodes {
            node.start(self);
        }
        for service in self.services() {
            service.start(self);
        }
    }

    /// The run is over. Services hold on to the world through their handlers, and the world to them: without this every run of a
    /// long search would stay in memory.
    pub(crate) fn let_go(&self) {
        for node in &self.nodes {
            node.let_go();
        }
        for service in self.services() {
            service.let_go();
        }
    }

    /// A consumer that stays away while all others are well (V2), or comes back.
    pub(crate) fn stay_away(&self, consumer: u8, away: bool) {
        self.mood(consumer, Mood::Down, away);
    }

    /// What services know that nobody else does, brought into the book.
    pub(crate) fn reckon(&self) {
        self.note_effects();
        self.book.branches_as_they_are();
        let told_not = self.told_not.lock().expect("nothing panics in here");
        self.book.are_told_not_committed(&told_not);
    }
}

impl Scene for WireWorld {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn observer(&self) -> &Observer {
        &self.observer
    }

    fn network(&self) -> &Network {
        &self.wires.network
    }

    fn store_clock(&self) -> &SimulatedClock {
        &self.store_clock
    }

    fn node_clock(&self, node: u8) -> &SimulatedClock {
        &self.nodes[usize::from(node)].clock
    }

    fn initiator_clock(&self, initiator: u8) -> &SimulatedClock {
        &self.initiators[usize::from(initiator)].clock
    }

    fn node_faults(&self, node: u8) -> &StoreFaults {
        &self.nodes[usize::from(node)].faults
    }

    fn node(self: &Arc<Self>, node: u8, blow: Blow) {
        self.nodes[usize::from(node)].suffers(self, blow);
    }

    fn initiator(self: &Arc<Self>, initiator: u8, blow: Blow) {
        self.initiators[usize::from(initiator)].suffers(self, blow);
    }

    fn initiator_database(&self, initiator: u8, away: bool) {
        if away {
            let kind = FaultKind::InitiatorDatabase(initiator);
            self.wires.network.meets(kind.name());
        }
        self.initiators[usize::from(initiator)].database_is_away(away);
    }

    fn foreign_database(self: &Arc<Self>, initiator: u8, foreign: bool) {
        if foreign {
            let kind = FaultKind::ForeignDatabase(initiator);
            self.wires.network.meets(kind.name());
        }
        self.initiators[usize::from(initiator)].is_foreign(self, foreign);
    }

    async fn forgets(&self, initiator: u8, older_than: Duration) {
        let initiator = &self.initiators[usize::from(initiator)];
        initiator.forgets(&self.wires.network, older_than).await;
    }

    fn consumer(self: &Arc<Self>, consumer: u8, blow: Blow) {
        self.consumers[usize::from(consumer)].suffers(self, blow);
    }

    fn mood(&self, consumer: u8, mood: Mood, begins: bool) {
        self.consumers[usize::from(consumer)].turns(&self.wires, mood, begins);
    }

    fn participant(self: &Arc<Self>, participant: u8, blow: Blow) {
        if blow == Blow::Kill {
            let kind = FaultKind::CrashParticipant(participant);
            self.wires.network.meets(kind.name());
        }
        self.participants[usize::from(participant)].suffers(self, blow);
    }

    fn participant_mood(&self, participant: u8, mood: Mood, begins: bool) {
        self.participants[usize::from(participant)].turns(&self.wires, mood, begins);
    }

    fn mended(&self) {
        self.wires.look_again();
    }
}
