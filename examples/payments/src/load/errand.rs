//! What customers want, from a seed. Pure: the same seed and number always make the same errand.

use std::{ops::RangeInclusive, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::{Coupon, Gift, Payment, Shown};

/// Who pays, out of an account and a line of credit.
pub const PAYERS: [&str; 8] = ["ada", "ben", "cleo", "dora", "emil", "finn", "gita", "hugo"];
/// Who is paid.
pub const PAYEES: [&str; 4] = ["bakery", "books", "cinema", "tram"];
/// Who has a closed account.
pub const CLOSED: &str = "museum";
/// Who has no account.
pub const NOBODY: &str = "nobody";
/// What each payer's account is opened with, in cents.
pub const OPENED_WITH: i64 = 5_000_000;
/// What each payer may pay later: so much that it is reached on the way.
pub const LIMIT: i64 = 60_000;

/// What becomes of a payment if nobody is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It can be made, though the credit may be used up.
    Good,
    /// More than anybody has.
    TooMuch,
    /// To somebody without an account.
    NoSuchPayee,
    /// To somebody whose account is closed.
    ClosedPayee,
    /// With a coupon that is not valid any more.
    Expired,
    /// With somebody else's coupon.
    Foreign,
    /// With more credit than anybody gets.
    BeyondLimit,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Good,
        Self::TooMuch,
        Self::NoSuchPayee,
        Self::ClosedPayee,
        Self::Expired,
        Self::Foreign,
        Self::BeyondLimit,
    ];

    /// What the customer is told; none: that it is made.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::TooMuch => Some("insufficient balance"),
            Self::NoSuchPayee => Some("there is no such account"),
            Self::ClosedPayee => Some("the account is closed"),
            Self::Expired => Some("the coupon has expired"),
            Self::Foreign => Some("the coupon is somebody else's"),
            Self::BeyondLimit => Some("credit limit reached"),
        }
    }
}

/// What the cashier says to a second refund of one payment.
pub const REFUNDED_BEFORE: &str = "the payment was refunded before";

/// How the customer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Asks until it is answered.
    Patient,
    /// Asks twice at the same time, until each is answered.
    Impatient,
    /// Asks once, and hangs up after this long.
    HangsUp(Duration),
}

/// One payment and the customer who makes it.
#[derive(Clone, Debug)]
pub struct Errand {
    /// What is to be paid.
    pub payment: Payment,
    /// The red packet that the customer is given first.
    pub gift: Option<Gift>,
    /// What is to become of it.
    pub kind: Kind,
    /// How it is asked for.
    pub manner: Manner,
    /// How often it is asked back for, each time under another id, once it is made.
    pub refunds: u32,
    /// How long the customer waits first.
    pub pause: Duration,
}

impl Errand {
    /// The same seed and number always make the same errand. Ids begin with `run`.
    pub fn of(run: &str, seed: u64, number: u32) -> Self {
        let mut rng =
            SmallRng::seed_from_u64(seed.rotate_left(32) ^ u64::from(number) ^ 0x5eed_0fe2_2a4d);
        let who = rng.random_range(0..PAYERS.len());
        let (payer, neighbour) = (PAYERS[who], PAYERS[(who + 1) % PAYERS.len()]);
        let kind = match rng.random_range(0..100) {
            0..=2 => Kind::TooMuch,
            3..=5 => Kind::NoSuchPayee,
            6..=7 => Kind::ClosedPayee,
            8..=10 => Kind::Expired,
            11 => Kind::Foreign,
            12..=13 => Kind::BeyondLimit,
            _ => Kind::Good,
        };
        let payee = match kind {
            Kind::NoSuchPayee => NOBODY,
            Kind::ClosedPayee => CLOSED,
            _ => PAYEES.choose(&mut rng).copied().unwrap_or(PAYEES[0]),
        };
        let with_coupon = matches!(kind, Kind::Expired | Kind::Foreign) || rng.random_bool(0.25);
        let gift = with_coupon.then(|| Gift {
            coupon: Shown {
                code: format!("{run}c-{number:05}"),
                owner: if kind == Kind::Foreign {
                    neighbour
                } else {
                    payer
                }
                .to_owned(),
                cents: 100 * rng.random_range(1..=8),
            },
            valid_seconds: if kind == Kind::Expired { 0 } else { 86_400 },
        });
        let coupon = gift.as_ref().map(|gift| Coupon {
            code: gift.coupon.code.clone(),
            cents: gift.coupon.cents,
        });
        let coupon_cents = coupon.as_ref().map_or(0, |coupon| coupon.cents);
        let balance_cents = match kind {
            Kind::TooMuch => 1_000_000_000,
            // Some need none of their balance.
            _ if rng.random_bool(0.05) => 0,
            _ => rng.random_range(100..=20_000),
        };
        let credit_cents = match kind {
            Kind::BeyondLimit => LIMIT + 1,
            _ if balance_cents == 0 || rng.random_bool(0.3) => rng.random_range(100..=3_000),
            _ => 0,
        };
        let manner = match rng.random_range(0..100) {
            0..=5 => Manner::Impatient,
            6..=13 => Manner::HangsUp(Duration::from_micros(rng.random_range(500..=40_000))),
            _ => Manner::Patient,
        };
        let refunds = match rng.random_range(0..100) {
            0..=8 => 1,
            9..=11 => 2,
            _ => 0,
        };
        Self {
            payment: Payment {
                id: format!("{run}p-{number:05}"),
                payer: payer.to_owned(),
                payee: payee.to_owned(),
                cents: balance_cents + coupon_cents + credit_cents,
                coupon,
                credit_cents,
            },
            gift,
            kind,
            manner,
            refunds,
            pause: milliseconds(&mut rng, 0..=50),
        }
    }
}

fn milliseconds(rng: &mut SmallRng, range: RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_errand_and_another_one_another() {
        let errand = |seed| format!("{:?}", Errand::of("", seed, 12));
        assert_eq!(errand(7), errand(7));
        assert_ne!(errand(7), errand(8));
    }

    #[test]
    fn customers_do_everything_that_customers_do() {
        let errands: Vec<Errand> = (0..500).map(|n| Errand::of("", 7, n)).collect();
        let some = |is: &dyn Fn(&Errand) -> bool| assert!(errands.iter().any(is));
        for kind in Kind::ALL {
            some(&|e| e.kind == kind);
        }
        some(&|e| e.manner == Manner::Impatient);
        some(&|e| matches!(e.manner, Manner::HangsUp(_)));
        some(&|e| e.refunds == 2);
        let parts = |e: &Errand| {
            let p = &e.payment;
            [p.balance_cents(), p.coupon_cents(), p.credit_cents].map(|cents| cents > 0)
        };
        for mix in [[true; 3], [true, false, false], [false, true, true]] {
            some(&|e| e.kind == Kind::Good && parts(e) == mix);
        }
        assert!(errands.iter().all(|e| e.payment.is_sound()));
    }
}
