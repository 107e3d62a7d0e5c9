//! What is on the wire.

use earnest_protocol::{BranchCall, LeaseToken};

use crate::{
    key::{Branch, Lease},
    node::Answer,
};

/// How the network treats what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Whatever was sent once may arrive at any time, any number of times, in any order, or never: nothing is ever
    /// taken out. The strongest adversary for safety.
    Duplicating,
    /// Arrives once, in any order, or is dropped, within the faults' bounds. For what must happen in the end.
    Lossy,
}

/// One message between the parties. Requests to the coordinator go to any node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packet {
    /// Prepare of a transaction.
    Prepare(u8),
    /// Prepare with the same id and other content.
    PrepareOther(u8),
    /// The initiator confirms.
    Confirm(u8),
    /// The initiator cancels.
    Cancel(u8),
    /// The answer to Prepare: recorded and undecided, or not.
    Prepared(u8, bool),
    /// The initiator registers a further branch.
    Register(Branch),
    /// The answer to it: recorded while undecided, or not.
    Registered(Branch, bool),
    /// A call of a branch that is not the coordinator's: its initiator's Try, or anybody's.
    Direct(Branch, BranchCall),
    /// What a participant answered to a Try of the initiator.
    Tried(Branch, Answer),
    /// A check-back of a transaction, by a node under a lease.
    CheckBack(u8, u8, LeaseToken),
    /// A delivery, by a node under a lease.
    Deliver(u8, Lease),
    /// A call of a branch, by a node under a lease.
    Branch(u8, Lease, BranchCall),
    /// What a participant answered to a node's call.
    Answer(u8, Lease, Answer),
}
