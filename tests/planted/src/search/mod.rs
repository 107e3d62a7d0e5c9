//! How each layer searches. None of them knows the ledger: it is told an invariant, and looks for what breaks it as it always
//! looks.

mod conformance;
mod model;
mod process;
mod simulation;

pub(crate) use conformance::search as conformance;
pub(crate) use model::search as model;
pub(crate) use process::search as process;
pub(crate) use simulation::search as simulation;

pub use conformance::Database;
pub use process::Programs;

use crate::Caught;

/// What was found, and the same search at the same place with nothing planted: whether it finds nothing.
pub(crate) type Found = (Option<Caught>, Box<dyn FnOnce() -> bool>);

/// Nothing was found.
fn missed() -> Found {
    (None, Box::new(|| false))
}
