//! What can be broken, by name.

use std::fmt;

use crate::options::Store;

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SIGKILL, and a new life.
    Kill,
    /// SIGKILL, again and again, each new life included.
    KillLoop,
    /// SIGTERM, and a new life.
    Stop,
    /// SIGSTOP for longer than a lease, then SIGCONT.
    Pause,
    /// The network refuses.
    Refuse,
    /// All connections are reset.
    Reset,
    /// Everything comes late.
    Delay,
    /// What is sent to it does not arrive, or only when the fault is over.
    SilenceIn,
    /// What it sends does not arrive, or only when the fault is over.
    SilenceOut,
    /// Connections end in the middle of a message.
    Cut,
    /// There is no room left on its disk.
    DiskFull,
    /// The database server is killed and started again.
    DatabaseKill,
    /// The shop is killed while it waits for the coordinator's answer to a prepare, which does not come.
    Orphan,
    /// What the shop sends does not arrive any more once its prepare has: it commits, and its confirm is missing.
    Unconfirmed,
    /// The shop dies inside a local transaction; not planned here, but asked for by a client.
    Die,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Kill,
        Self::KillLoop,
        Self::Stop,
        Self::Pause,
        Self::Refuse,
        Self::Reset,
        Self::Delay,
        Self::SilenceIn,
        Self::SilenceOut,
        Self::Cut,
        Self::DiskFull,
        Self::DatabaseKill,
        Self::Orphan,
        Self::Unconfirmed,
        Self::Die,
    ];

    /// Whether a run over that store has to have seen it, to prove anything.
    pub fn belongs_to(self, store: Store) -> bool {
        self != Self::DatabaseKill || store == Store::Postgres
    }

    /// As histories call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillLoop => "kill-loop",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Delay => "delay",
            Self::SilenceIn => "silence-in",
            Self::SilenceOut => "silence-out",
            Self::Cut => "cut",
            Self::DiskFull => "disk-full",
            Self::DatabaseKill => "database-kill",
            Self::Orphan => "kill-unanswered",
            Self::Unconfirmed => "confirm-kept-back",
            Self::Die => "die-in-transaction",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
