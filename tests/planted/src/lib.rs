//! Takes Earnest's defences out, one by one, and sees that a checker notices each.
//!
//! A checker that has never caught anything proves nothing. Each defect of the [`ledger`] is a single line at a defence in
//! the shipped code, compiled in only under the feature `planted`, and chosen while the process runs (or, of other processes, by
//! their environment). Model, simulation, the stores' suite and the checker of real processes search as they always do; they must
//! name the invariant that the ledger says breaks, and the same search without the defect must find nothing.

mod hunt;
mod ledger;
mod search;

pub use hunt::{Caught, Hunt, Layer, hunt};
pub use ledger::{Entry, ledger};
pub use search::{Database, Programs};
