//! What clients and services say to each other.

use serde::{Deserialize, Serialize};

/// The topic of an order that was placed.
pub const ORDERS: &str = "orders";
/// The topic of what clients post without a service of their own.
pub const POSTS: &str = "posts";

/// The topic of what a participant orders in turn.
pub const RESTOCKS: &str = "restocks";
/// What participants offer to hold.
pub const HOLD: &str = "hold";
/// Those who hold something, in the order in which they are asked.
pub const PARTICIPANTS: [&str; 2] = ["stock", "purse"];

/// What becomes of an order if nothing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It commits.
    Commit,
    /// It commits after a while in which its local transaction is open.
    Linger,
    /// It commits, and the books can never take it.
    Poison,
    /// The business says no.
    Refuse,
    /// The database says no at COMMIT, when the message is prepared.
    Doom,
    /// The process dies in the middle of the local transaction.
    Die,
}

/// A client asks the shop for this; once it is placed, the consumers hear of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The client's own name for it: asking again is not ordering again.
    pub key: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What is reserved for it; empty: nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
}

/// A reservation, as the participant is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// At whom.
    pub at: String,
    /// How much.
    pub amount: i64,
    /// What its Try is like.
    pub manner: Manner,
}

/// What a Try does if nothing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// It reserves.
    Plain,
    /// It says no.
    Refuse,
    /// It says *again* at first.
    Unwilling,
    /// It takes its time.
    Linger,
    /// It also opens a transaction of its own, and sends a message by it.
    Nested,
}

/// Who ordered it: orders of one customer have an order.
pub fn customer(key: &str) -> &str {
    key.rsplit_once('-').map_or(key, |(customer, _)| customer)
}

/// What the shop answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// Whether the local transaction committed; none: not known now.
    pub committed: Option<bool>,
    /// The transaction, where one was begun.
    pub transaction: Option<String>,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What a service says of its own rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rows {
    /// Requests that are being worked on.
    pub under_way: u64,
    /// What its tables hold.
    pub events: Vec<earnest_history::Event>,
}
