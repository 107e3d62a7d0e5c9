//! What the stores over a network have in common: how a row of an answer becomes a row of the store, and which
//! numbers stand for which words.
//!
//! It must never hold a statement: each database has its own dialect, in its own room.

pub(crate) mod branch;
pub(crate) mod column;
pub(crate) mod delivery;
pub(crate) mod encryption;
pub(crate) mod message;
pub(crate) mod recall;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod time;
pub(crate) mod transaction;
