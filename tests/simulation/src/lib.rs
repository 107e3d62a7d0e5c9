//! Many coordinator nodes in one process, under simulated time, network and faults: a seed is a run.
//!
//! There are two levels. At that of commands the journal, the driver, the use cases and the memory store are the real ones, and services
//! are models; it is fast. At that of the wire nodes are assembled as the binary does it, services run the SDK, and both speak
//! gRPC over simulated connections. Plans, faults and checkers are the same. Time is tokio's and paused, everything runs
//! on one thread, and all chance comes from the seed, so that the same seed does the same to the last step. What is true,
//! what callers were told and what the database says are noted apart and held against each other, while a run goes on and
//! at its end; each breach is named by its invariant.
//!
//! A run is a [`Plan`]: operations and faults as plain data. A plan that breaks a promise is made shorter by [`shrink`], and kept
//! in `pinned/` once its cause is mended.

mod check;
mod level;
mod plan;
mod run;
mod shrink;
mod sum;
mod wire;
mod world;

pub use check::{Coverage, EventKind, Pair, StateKind, Violation, legal, out_of_reach};
pub use level::Level;
pub use plan::{
    Act, BranchPlan, End, Fault, FaultKind, MessagePlan, Mood, Op, Party, Plan, RegistryAct, Setup,
    Size, Start, StoreFault,
};
pub use run::{FEWEST_KINDS, Outcome, run, run_seed};
pub use shrink::{Shrunk, shrink};
pub use sum::Sum;
