//! One state of everything, and the model that leads from one to the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use earnest_store::{SubscriptionRow, conformance::subscription};
use stateright::Property;

use crate::{
    action::{self, Action},
    initiator::Initiator,
    key::{Branch, Delivery, TOPIC, subscription_name},
    network::Packet,
    node::Node,
    participant::Participant,
    property,
    scope::{Cast, Faults, Scope},
    step,
    store::Store,
    witness::{Tally, Told, Witness},
};

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The coordinator's database.
    pub(crate) store: Store,
    /// Its nodes.
    pub(crate) nodes: Vec<Node>,
    /// Initiators, one for each transaction.
    pub(crate) initiators: Vec<Initiator>,
    /// The participants' databases, one for each branch, by [`World::place`].
    pub(crate) participants: Vec<Participant>,
    /// The consumers' databases: inbox rows, and how often the effect behind each was had.
    pub(crate) inbox: BTreeMap<Delivery, u8>,
    /// On the wire.
    pub(crate) packets: BTreeSet<Packet>,
    /// What may still go wrong.
    pub(crate) faults: Faults,
    /// What an observer remembers.
    pub(crate) witness: Witness,
}

impl World {
    /// Where a branch's participant stands.
    pub(crate) fn place(scope: &Scope, branch: Branch) -> usize {
        usize::from(branch.tx * scope.branches + branch.no)
    }

    /// A branch's participant.
    pub(crate) fn participant(&self, scope: &Scope, branch: Branch) -> &Participant {
        &self.participants[Self::place(scope, branch)]
    }
}

/// The model of one scope.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// What is explored.
    pub(crate) scope: Scope,
    /// What was met.
    pub(crate) tally: Arc<Tally>,
}

impl Model {
    /// Nothing explored yet.
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            tally: Arc::default(),
        }
    }

    /// A subscription of the scope.
    pub(crate) fn subscription(&self, to: u8) -> SubscriptionRow {
        SubscriptionRow {
            ordered: self.scope.ordered,
            ..subscription(subscription_name(to).as_str(), TOPIC)
        }
    }
}

impl stateright::Model for Model {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let scope = &self.scope;
        let subscriptions: Vec<_> = (0..scope.subscriptions)
            .map(|to| self.subscription(to))
            .collect();
        let mut store = Store::new(scope.transactions, &subscriptions);
        let mut nodes = Vec::new();
        for _ in 0..scope.nodes {
            let (next, epoch) = store.enrol();
            store = next;
            nodes.push(Node {
                epoch,
                past: None,
                up: true,
                lease_ran_out: false,
                buried: false,
                held: BTreeMap::new(),
            });
        }
        let packets = match scope.cast {
            Cast::Local => BTreeSet::new(),
            Cast::Unruly(requests) => (0..scope.transactions)
                .flat_map(|tx| requests.iter().map(move |request| request(tx)))
                .collect(),
        };
        vec![World {
            store,
            nodes,
            initiators: vec![Initiator::IDLE; usize::from(scope.transactions)],
            participants: vec![Participant::default(); scope.all_branches().count()],
            inbox: BTreeMap::new(),
            packets,
            faults: scope.faults,
            witness: Witness {
                told: vec![Told::default(); usize::from(scope.transactions)],
                ..Witness::default()
            },
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        action::possible(&self.scope, world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        step::take(self, &mut next, action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}
