//! What happens in one run: plain data, drawn from a seed, so that it can be printed, shrunk and pinned.
//!
//! Nothing here runs anything, and nothing that runs draws what is to happen: only how long things take is drawn later.

mod draw;
mod draw_branches;
mod fault;
mod op;

use serde::{Deserialize, Serialize};

use crate::level::Level;

pub use fault::{Fault, FaultKind, Mood, StoreFault};
pub use op::{Act, BranchPlan, End, MessagePlan, Op, RegistryAct, Start};

/// Whoever sends and receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Party {
    /// The coordinator's database.
    Database,
    /// A coordinator node.
    Node(u8),
    /// A service that opens transactions.
    Initiator(u8),
    /// A service that takes messages.
    Consumer(u8),
    /// A service that reserves.
    Participant(u8),
    /// A person at the command line.
    Operator,
}

/// Who takes part, and with which settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Coordinator nodes.
    pub nodes: u8,
    /// Services that open transactions.
    pub initiators: u8,
    /// Services that take messages, each with one subscription; every second one asks for order.
    pub consumers: u8,
    /// How long faults go on, in milliseconds.
    pub safety_ms: u32,
    /// How long a node counts as alive without a heartbeat.
    pub lease_ms: u32,
    /// Commands of one batch.
    pub batch: usize,
    /// Commands that may wait at one node.
    pub queue: usize,
    /// Work in memory of one node.
    pub board: usize,
    /// How long the third consumer takes for each call, which may be longer than a lease; at the level of commands.
    #[serde(default)]
    pub slow_ms: u32,
    /// Services that reserve; none: there are no branches.
    #[serde(default)]
    pub participants: u8,
}

impl Setup {
    /// How long this consumer takes for each call.
    pub fn slow_ms(&self, consumer: u8) -> u32 {
        if consumer == 2 { self.slow_ms } else { 0 }
    }
}

impl Setup {
    /// Topics: one fewer than consumers, so that one topic has two subscriptions.
    pub fn topics(&self) -> u8 {
        self.consumers.saturating_sub(1).max(1)
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How much of the system is real.
    #[serde(default)]
    pub level: Level,
    /// Where all chance of the run comes from.
    pub seed: u64,
    /// Who takes part.
    pub setup: Setup,
    /// What services and operators do.
    pub ops: Vec<Start>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// How large runs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Operations of a run, on average; most of them are one transaction.
    pub ops: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { ops: 1_000 }
    }
}

impl Plan {
    /// The run of a seed.
    pub fn of(seed: u64, size: Size) -> Self {
        draw::plan(seed, size)
    }

    /// The same at another level.
    pub fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// Operations and faults: what shrinking makes fewer.
    pub fn len(&self) -> usize {
        self.ops.len() + self.faults.len()
    }

    /// Nothing happens in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
