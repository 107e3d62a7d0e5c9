//! What the process tests share: processes on a loopback port each, killed and started again, and the checker that reads
//! every database afterwards.
//!
//! Nothing here sleeps a guess: it waits for conditions, and a condition that does not come fails with what was seen.

mod checker;
mod nodes;
mod process;
mod stage;

pub use checker::{Tally, check};
pub use nodes::Nodes;
pub use process::{Process, free_port};
pub use stage::{Coordinator, Programs, Service, Stage, eventually};

/// What the service is told to do, and tells others.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Order {
    /// Its number.
    pub id: i64,
    /// It will fail at COMMIT, after the message was prepared.
    #[serde(default)]
    pub doomed: bool,
}
