//! The model: every state that Earnest's rules can reach, explored within stated bounds.
//!
//! Stateright searches all interleavings of coordinator nodes, an initiator with its local transaction, TCC
//! participants, consumers with an inbox, a network that loses, duplicates and reorders, deaths of every party and leases that run out.
//! What decides is the shipped code: the protocol's transitions, the engine that gives commands their meaning,
//! the memory store with its leases. Only what surrounds it is written here: callers, wires, clocks, faults.
//!
//! A scope that holds proves nothing beyond its bounds, and nothing about SQL, sockets or real time; other tests
//! are for those. A situation that a scope promises to meet and does not meet is a failure like a broken invariant.

mod action;
mod explore;
mod initiator;
mod key;
mod network;
mod node;
mod notice;
mod participant;
mod progress;
mod property;
mod scope;
mod scopes;
mod step;
mod store;
mod witness;
mod work;
mod world;

pub use explore::{Order, Report, explore, explore_aloud};
pub use key::{Branch, Delivery, Lease, WorkKey};
pub use network::{Network, Packet};
pub use node::Answer;
pub use scope::{Begins, Cast, Faults, Scope};
pub use scopes::{large, small};
pub use witness::{Invariant, Sight};
