//! What the services of the example share: what customers ask for, what the services ask of each other, and how each of them starts.
//!
//! Nothing of Earnest is hidden here; that is in the services themselves.

pub mod load;
mod service;

use serde::{Deserialize, Serialize};

pub use service::{Args, Service, money};

/// The topic of a payment that was made; its messages are [`Payment`]s.
pub const PAYMENT_MADE: &str = "payment.made";
/// The topic of a payment that was given back; its messages are [`Refund`]s.
pub const PAYMENT_REFUNDED: &str = "payment.refunded";

/// One payment: what a customer asks the cashier for, and what the others hear of once it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Chosen by the customer, so that asking again is not paying again.
    pub id: String,
    /// The account that pays.
    pub payer: String,
    /// The account that is paid.
    pub payee: String,
    /// What the payee gets, in cents; more than 0.
    pub cents: i64,
    /// A red packet that pays a part of it.
    #[serde(default)]
    pub coupon: Option<Coupon>,
    /// How much of it is to be paid later, in cents.
    #[serde(default)]
    pub credit_cents: i64,
}

impl Payment {
    /// What the red packet pays.
    pub fn coupon_cents(&self) -> i64 {
        self.coupon.as_ref().map_or(0, |coupon| coupon.cents)
    }

    /// What is left for the payer's balance.
    pub fn balance_cents(&self) -> i64 {
        self.cents - self.coupon_cents() - self.credit_cents
    }

    /// Whether its parts are parts of it.
    pub fn is_sound(&self) -> bool {
        const MOST: i64 = 1_000_000_000_000;
        let whole = (1..=MOST).contains(&self.cents);
        let parts = [self.coupon_cents(), self.credit_cents];
        whole && parts.iter().all(|part| (0..=MOST).contains(part)) && self.balance_cents() >= 0
    }
}

/// A red packet, as its owner shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// What is printed on it.
    pub code: String,
    /// What it is worth.
    pub cents: i64,
}

/// A payment that was given back, all of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refund {
    /// Chosen by the customer, like a payment's.
    pub id: String,
    /// What was given back.
    pub payment: Payment,
}

/// What a customer asks the cashier for to have a payment back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefundRequest {
    /// Chosen by the customer.
    pub id: String,
    /// The payment's id.
    pub payment: String,
}

/// An amount of somebody's: what the actions of `account` and `credit` are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Amount {
    /// The account or the customer.
    pub of: String,
    /// How much; more than 0.
    pub cents: i64,
}

/// A red packet and who shows it: what the actions of `coupon` are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What is printed on it.
    pub code: String,
    /// Who shows it.
    pub owner: String,
    /// What it is said to be worth.
    pub cents: i64,
}

/// A red packet to be given out: POST /coupons.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gift {
    /// Which one, and for whom.
    #[serde(flatten)]
    pub coupon: Shown,
    /// For how long it can be used; 0: not at all.
    pub valid_seconds: i64,
}

/// Where the ledger writes what red packets paid.
pub const COUPON_FUND: &str = "coupon fund";
/// Where the ledger writes what customers are to pay later.
pub const RECEIVABLE: &str = "credit receivable";

/// The cashback that a payment earns: one percent, and no more than this many cents.
pub const MOST_CASHBACK: i64 = 150;
/// Each time that a payer has made this many payments, there is a reward, …
pub const TASK: i64 = 10;
/// … of this many cents.
pub const TASK_REWARD: i64 = 500;

/// The cashback that a payment earns, if there is budget for it.
pub fn cashback(payment: &Payment) -> i64 {
    (payment.cents / 100).min(MOST_CASHBACK)
}
