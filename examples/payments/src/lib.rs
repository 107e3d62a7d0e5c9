//! What the three services of the example share: the message they exchange, and how each of them starts.
//!
//! Nothing of Earnest is hidden here; that is in the services themselves.

mod service;

use serde::{Deserialize, Serialize};

pub use service::{Args, Service};

/// The topic of a payment that was made.
pub const PAYMENT_MADE: &str = "payment.made";

/// One payment: what a customer asks the cashier for, and what the others hear of once it is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// Chosen by the customer, so that asking again is not paying again.
    pub id: String,
    /// The account that pays.
    pub payer: String,
    /// The account that is paid.
    pub payee: String,
    /// How much, in cents; more than 0.
    pub cents: i64,
}
