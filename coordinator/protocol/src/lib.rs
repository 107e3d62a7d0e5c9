//! The protocol of Earnest, pure.
//!
//! Everything that decides what may happen to a transaction stands here and nowhere else: the same code
//! runs in the coordinator, the simulator and the model checker. This crate must never do IO, read a
//! clock or draw a random number; its `Cargo.toml` keeps it so. Time comes in as a [`Timestamp`], chance as
//! a [`Jitter`], and what is to be done goes out as data ([`Effect`]), with delays as durations.

mod answer;
mod backoff;
mod branch;
mod content;
mod delivery;
mod id;
mod limits;
mod message;
mod name;
mod options;
mod phase;
mod planted;
mod state;
mod time;
mod transition;

pub use answer::{CheckBackAnswer, DeliveryAnswer};
pub use backoff::{Jitter, RetryPolicy};
pub use branch::{
    Branch, BranchAnswer, BranchCall, BranchState, TrySettled, give_up, settle_branch, settle_try,
};
pub use content::{CONTENT_HASH_VERSION, ContentHash};
pub use delivery::{DeliveryState, Settled, settle};
pub use id::{IdError, LeaseToken, NodeEpoch, Ordinal, TransactionId};
pub use limits::{LimitError, Limits};
pub use message::Message;
pub use name::{Name, NameError, Topic};
pub use options::{InitiatorOutcome, OnBudgetSpent, Options, OptionsError};
pub use phase::{Decision, Phase};
pub use state::{Decider, ParkReason, State};
pub use time::Timestamp;
pub use transition::{Effect, Event, Illegal, transition};
