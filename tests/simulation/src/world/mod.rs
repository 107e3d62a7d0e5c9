//! Where everything runs: one database, several nodes, services with data of their own, and what is between them.

mod call;
mod chance;
pub(crate) mod clock;
mod consumer;
pub(crate) mod faults;
mod flow;
pub(crate) mod gate;
mod initiator;
pub(crate) mod link;
mod local;
pub(crate) mod network;
mod node;
mod operator;
mod participant;
mod reserve;
pub(crate) mod trace;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use earnest_protocol::{Name, RetryPolicy, TransactionId};
use earnest_store::{Destination, MemoryStore, Store, SubscriptionRow};
use tokio::time::Instant;

use crate::{
    check::{Book, Observer},
    plan::{MessagePlan, Mood, Plan, Setup},
};

use clock::SimulatedClock;
use consumer::Consumer;
use faults::Scene;
use gate::Gate;
use initiator::Initiator;
use network::{Lost, Network};
use node::NodeSlot;
use participant::Participant;
use trace::Trace;

/// Everything of one run.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) book: Arc<Book>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) trace: Arc<Trace>,
    network: Arc<Network>,
    store_clock: Arc<SimulatedClock>,
    nodes: Vec<NodeSlot>,
    initiators: Vec<Initiator>,
    consumers: Vec<Consumer>,
    participants: Vec<Participant>,
    /// The transactions that operations have opened.
    opened: Mutex<BTreeMap<u32, TransactionId>>,
}

impl World {
    pub(crate) fn new(plan: &Plan, with_text: bool) -> Arc<Self> {
        let start = Instant::now();
        let clock = || Arc::new(SimulatedClock::new(start));
        let (store_clock, book) = (clock(), Arc::new(Book::default()));
        let store = MemoryStore::new(Arc::clone(&store_clock) as _);
        let trace = Arc::new(Trace::new(start, with_text));
        Arc::new(Self {
            seed: plan.seed,
            setup: plan.setup.clone(),
            observer: Arc::new(Observer::new(Arc::new(store), Arc::clone(&book))),
            network: Arc::new(Network::new(plan.seed, start)),
            store_clock,
            nodes: (0..plan.setup.nodes)
                .map(|n| NodeSlot::new(n, clock()))
                .collect(),
            initiators: (0..plan.setup.initiators)
                .map(|n| Initiator::new(n, clock(), Arc::clone(&book)))
                .collect(),
            consumers: (0..plan.setup.consumers).map(Consumer::new).collect(),
            participants: (0..plan.setup.participants)
                .map(|n| Participant::new(n, clock(), Arc::clone(&book)))
                .collect(),
            opened: Mutex::default(),
            trace,
            book,
        })
    }

    /// The database itself, past all faults.
    pub(crate) fn store(&self) -> &dyn Store {
        &**self.observer.store()
    }

    /// The run is over. A node holds on to the world through what it calls services by, and the world to the node: without
    /// this every run of a long search would stay in memory.
    pub(crate) fn let_go(&self) {
        for node in &self.nodes {
            node.let_go();
        }
    }

    /// How often each kind of fault met something.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        self.network.met()
    }

    pub(crate) fn meets(&self, kind: &'static str) {
        self.network.meets(kind);
    }

    fn opens(&self, operation: u32, id: TransactionId) {
        self.opened
            .lock()
            .expect("nothing panics in here")
            .insert(operation, id);
    }

    fn opened(&self, operation: u32) -> Option<TransactionId> {
        let opened = self.opened.lock().expect("nothing panics in here");
        opened.get(&operation).copied()
    }

    /// The subscription of a consumer.
    fn subscription(&self, consumer: u8) -> SubscriptionRow {
        subscription(&self.setup, consumer)
    }

    /// Creates or replaces every subscription: at the beginning, and at the end for those that were taken away.
    pub(crate) async fn subscribe_all(&self) {
        for consumer in 0..self.setup.consumers {
            let put = self.store().put_subscription(self.subscription(consumer));
            put.await.expect("the memory store takes it");
        }
    }

    pub(crate) fn start_nodes(self: &Arc<Self>) {
        for node in &self.nodes {
            node.start(self);
        }
    }

    /// A consumer that stays away while all others are well (V2), or comes back.
    pub(crate) fn stay_away(&self, consumer: u8, away: bool) {
        self.mood(consumer, Mood::Down, away);
    }

    /// T5: what was reserved is spent where it was confirmed, given back elsewhere, and nothing is lost.
    pub(crate) fn reckon(&self) {
        let spent = self.book.confirmed_cents();
        for (n, participant) in (0..).zip(&self.participants) {
            let (frozen, took, is_whole) = participant.reckon();
            let due = spent.get(&n).copied().unwrap_or(0);
            let right = frozen == 0 && took == due && is_whole;
            self.book.violations.unless(right, "T5", || {
                format!("participant {n} holds {frozen} and spent {took} in place of {due}; whole: {is_whole}")
            });
        }
    }

    /// Everybody who has put off a decision makes it.
    pub(crate) fn make_up_minds(&self) {
        for initiator in &self.initiators {
            initiator.makes_up_its_mind();
        }
    }
}

/// The subscription of a consumer.
pub(crate) fn subscription(setup: &Setup, consumer: u8) -> SubscriptionRow {
    SubscriptionRow {
        namespace: Name::default_namespace(),
        name: subscription_name(consumer),
        topic: topic(consumer % setup.topics()).parse().expect("a topic"),
        destination: Destination::Service(subscription_name(consumer)),
        ordered: consumer % 2 == 1,
        paused: false,
        concurrency: if consumer == 0 { 4 } else { 64 },
        timeout: Duration::from_secs(2),
        retry: RetryPolicy {
            initial: Duration::from_millis(100),
            multiplier_milli: 2_000,
            cap: Duration::from_secs(5),
        },
        updated_at: earnest_protocol::Timestamp::default(),
    }
}

pub(crate) fn subscription_name(consumer: u8) -> Name {
    format!("consumer-{consumer}").parse().expect("a name")
}

pub(crate) fn initiator_name(initiator: u8) -> String {
    format!("initiator-{initiator}")
}

pub(crate) fn topic(topic: u8) -> String {
    format!("topic-{topic}")
}

/// What a transport would hand in.
fn messages(plan: &[MessagePlan], body: &str) -> Vec<earnest_coordinator::service::MessageInput> {
    let message = |message: &MessagePlan| earnest_coordinator::service::MessageInput {
        topic: topic(message.topic),
        key: match message.key {
            0 => String::new(),
            key => format!("key-{key}"),
        },
        payload: body.to_owned().into(),
        ..Default::default()
    };
    plan.iter().map(message).collect()
}
