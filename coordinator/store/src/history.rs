//! Finished history that a benchmark or a test fills a database with.

use std::time::Duration;

/// What it is filled with.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Transactions, each of one message and one delivery.
    pub transactions: u64,
    /// Bytes of each payload.
    pub payload: u32,
    /// They finished one after the other over this time until now.
    pub over: Duration,
}
