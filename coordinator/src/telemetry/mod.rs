//! What is counted and logged. Labels are bounded: names of subscriptions and codes, never ids.

mod metrics;

pub use metrics::{Metrics, Snapshot, Stored};
