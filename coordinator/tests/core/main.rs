//! The coordinator's core under faults: journal, driver and use cases, in one process.
//!
//! The store is the memory reference (and SQLite where that is cheap) behind a wrapper that fails on demand;
//! sinks and initiators are fakes that do as they are told. Time is tokio's and paused, so that an hour costs
//! nothing and every run is the same. Names begin with the promise (DESIGN §2) or invariant (INVARIANTS.md)
//! that the test would see broken.

mod support;

mod batches;
mod branches;
mod check_back;
mod decisions;
mod drain;
mod each_step;
mod execute;
mod fast_path;
mod forgotten;
mod isolation;
mod leases;
mod order;
mod outage;
mod outcomes;
mod overload;
mod pause;
mod sink;
mod wait;
