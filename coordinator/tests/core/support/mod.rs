//! What the tests share: a world with a store, a sink and an initiator, and nodes that run in it.

mod clock;
mod delegate;
mod fault;
mod initiator;
mod ledger;
mod life;
mod node;
mod participant;
mod reserve;
mod sink;
mod store;
mod violations;
mod world;

pub(crate) use clock::TokioClock;
pub(crate) use fault::{Fault, When};
pub(crate) use initiator::{FakeInitiator, Says};
pub(crate) use ledger::Ledger;
pub(crate) use life::{COMMANDS, live};
pub(crate) use node::{Node, Setup, branch, message, one_message, reservations};
pub(crate) use participant::{Answers, Called, FakeParticipants};
pub(crate) use sink::{Does, FakeSink};
pub(crate) use store::FaultyStore;
pub(crate) use world::{SUBSCRIPTION, TOPIC, World, micros, millis, minutes, seconds, until};
