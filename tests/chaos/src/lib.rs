//! The shipped coordinator, real services, real sockets and real databases, and everything that can go wrong with them. What
//! happened is written down ([`earnest_history`]) and checked offline.
//!
//! A seed fixes what is broken, for whom, after what, and what clients ask for; when exactly things happen is the machine's.
//! Nothing here repairs anything: all that it does to the processes is to start, to break and to mend them.

pub mod clock;
pub mod order;
pub mod record;

mod clients;
mod disk;
mod faults;
mod kind;
mod member;
mod options;
mod plan;
mod process;
mod proxy;
mod reach;
mod rest;
mod run;
mod server;
mod stage;

pub use disk::clear;
pub use kind::Kind;
pub use options::{Options, Programs, Store};
pub use run::{Outcome, run};
