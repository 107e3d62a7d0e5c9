//! Time, as an argument.

use earnest_protocol::Timestamp;

/// Where the memory store and SQLite, which have no time of their own, take it from. Databases that have
/// a clock use that one: a node's time decides nothing (DESIGN §6).
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}
