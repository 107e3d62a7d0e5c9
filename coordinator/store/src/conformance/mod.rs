//! The suite that every store passes: one case per behaviour, named by the promise (DESIGN §2) where it is one.
//!
//! A store joins with one line in a test file:
//!
//! ```text
//! async fn make() -> earnest_store::conformance::Subject { … }
//! earnest_store::conformance_tests!(make);
//! ```
//!
//! Cases use nothing but the public traits and a clock that they turn by hand. They must never depend on how
//! a store keeps things, nor on each other.

mod cases;
mod clock;
mod commands;
mod dump;
mod subject;

#[doc(hidden)]
pub mod age;
#[doc(hidden)]
pub mod batch;
#[doc(hidden)]
pub mod branch;
#[doc(hidden)]
pub mod check_back;
#[doc(hidden)]
pub mod claim;
#[doc(hidden)]
pub mod decide;
#[doc(hidden)]
pub mod delivery;
#[doc(hidden)]
pub mod execute;
#[doc(hidden)]
pub mod fast_path;
#[doc(hidden)]
pub mod idempotence;
#[doc(hidden)]
pub mod late_answer;
#[doc(hidden)]
pub mod lease;
pub mod nodes;
#[doc(hidden)]
pub mod operator;
#[doc(hidden)]
pub mod order;
#[doc(hidden)]
pub mod prepare;
#[doc(hidden)]
pub mod purge;
#[doc(hidden)]
pub mod query;
#[doc(hidden)]
pub mod recall;
#[doc(hidden)]
pub mod registration;
#[doc(hidden)]
pub mod registry;
#[doc(hidden)]
pub mod submit;
pub mod whole_life;

pub use cases::{CASES, Case};
pub use clock::TestClock;
pub use commands::*;
pub use dump::{Dump, Whole};
pub use subject::{LEASE, Subject, no_grant, only_deliveries, subscription};
