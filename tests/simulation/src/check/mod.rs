//! The checkers: each breach is named by its invariant.

mod book;
mod branches;
mod cover;
mod coverage;
mod end;
mod observe;
mod violation;

pub use coverage::{Coverage, EventKind, Pair, StateKind, legal, out_of_reach};
pub use violation::Violation;

pub(crate) use book::{Book, Local, Oracle};
pub(crate) use branches::Counts;
pub(crate) use end::{all, at_rest, everything_done};
pub(crate) use observe::Observer;
