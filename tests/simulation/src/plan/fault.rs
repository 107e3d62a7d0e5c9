//! What goes wrong.

use serde::{Deserialize, Serialize};

use super::Party;

/// What a node's next batches meet at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StoreFault {
    /// COMMIT is not answered; it was written.
    UnknownWritten,
    /// COMMIT is not answered; it was not written.
    UnknownLost,
    /// The database aborts it to keep others serializable.
    Serialization,
    /// The database does not answer.
    Unavailable,
    /// The database refuses a value for good.
    Refused,
}

/// How a consumer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mood {
    /// Nobody listens.
    Down,
    /// Takes calls and never answers.
    Hangs,
    /// Takes longer than it may.
    Slow,
    /// Says *not now*.
    Busy,
    /// Says *never* to some.
    Fails,
    /// Leaves some out of its answer.
    Omits,
    /// Its database does not answer COMMIT: the effect may stand although nothing was acknowledged.
    Unsure,
}

/// One kind of fault, with whom it meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// A node is killed, and started again at the end.
    Crash(u8),
    /// A node stops and goes on, as by SIGSTOP and SIGCONT.
    Pause(u8),
    /// A node stops in order, and is started again at the end.
    Drain(u8),
    /// Nothing gets from one to the other; true: nor back.
    Cut(Party, Party, bool),
    /// That many requests of a thousand are lost.
    LoseRequests(u16),
    /// That many responses of a thousand are lost.
    LoseResponses(u16),
    /// Up to that many milliseconds more under way, which also reorders.
    Delay(u32),
    /// That many requests of a thousand arrive twice.
    Duplicate(u16),
    /// The database's clock jumps, and stays there.
    StoreClock(i32),
    /// A node's clock jumps, and stays there.
    NodeClock(u8, i32),
    /// A service's clock jumps, and stays there.
    InitiatorClock(u8, i32),
    /// A node's batches fail.
    Store(u8, StoreFault),
    /// A service that opens transactions is killed: what was open is rolled back, sooner or later.
    CrashInitiator(u8),
    /// Its database does not answer.
    InitiatorDatabase(u8),
    /// Another database answers in the place of its own, as a restored copy or another shard would.
    ForeignDatabase(u8),
    /// Its fence forgets what is older than so many milliseconds, although work may wait for longer.
    ForgetEarly(u8, u32),
    /// The coordinator's finished history of so many milliseconds ago is purged.
    PurgeHistory(u32),
    /// A service that takes messages is killed.
    CrashConsumer(u8),
    /// A service that takes messages misbehaves.
    Consumer(u8, Mood),
    /// A service that reserves is killed, and what it has open is rolled back.
    CrashParticipant(u8),
    /// A service that reserves misbehaves.
    Participant(u8, Mood),
}

impl FaultKind {
    /// Short and stable, for counts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash(_) => "node crash",
            Self::Pause(_) => "node pause",
            Self::Drain(_) => "node drain",
            Self::Cut(_, _, true) => "partition both ways",
            Self::Cut(_, _, false) => "partition one way",
            Self::LoseRequests(_) => "requests lost",
            Self::LoseResponses(_) => "responses lost",
            Self::Delay(_) => "delay",
            Self::Duplicate(_) => "duplicates",
            Self::StoreClock(_) => "database clock jump",
            Self::NodeClock(..) => "node clock skew",
            Self::InitiatorClock(..) => "initiator clock skew",
            Self::Store(_, StoreFault::UnknownWritten) => "commit unknown, written",
            Self::Store(_, StoreFault::UnknownLost) => "commit unknown, lost",
            Self::Store(_, StoreFault::Serialization) => "serialization abort",
            Self::Store(_, StoreFault::Unavailable) => "database unavailable",
            Self::Store(_, StoreFault::Refused) => "batch refused",
            Self::CrashInitiator(_) => "initiator crash",
            Self::InitiatorDatabase(_) => "initiator database away",
            Self::ForeignDatabase(_) => "foreign database answers",
            Self::ForgetEarly(..) => "fence purged early",
            Self::PurgeHistory(_) => "history purged",
            Self::CrashConsumer(_) => "consumer crash",
            Self::Consumer(_, Mood::Down) => "consumer down",
            Self::Consumer(_, Mood::Hangs) => "consumer hangs",
            Self::Consumer(_, Mood::Slow) => "consumer slow",
            Self::Consumer(_, Mood::Busy) => "consumer busy",
            Self::Consumer(_, Mood::Fails) => "consumer fails",
            Self::Consumer(_, Mood::Omits) => "consumer omits",
            Self::Consumer(_, Mood::Unsure) => "consumer commit unknown",
            Self::CrashParticipant(_) => "participant crash",
            Self::Participant(_, Mood::Down) => "participant down",
            Self::Participant(_, Mood::Hangs) => "participant hangs",
            Self::Participant(_, Mood::Slow) => "participant slow",
            Self::Participant(_, Mood::Busy) => "participant busy",
            Self::Participant(_, Mood::Fails) => "participant fails",
            Self::Participant(_, Mood::Omits) => "participant omits",
            Self::Participant(_, Mood::Unsure) => "participant commit unknown",
        }
    }
}

/// A fault, from when and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Milliseconds from the beginning.
    pub at_ms: u32,
    /// How long it lasts.
    pub for_ms: u32,
    /// What it is.
    pub kind: FaultKind,
}
