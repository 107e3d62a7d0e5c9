//! Clients of the shop. They order under a key of their own, so that asking again is not ordering again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;
use earnest_history::{Call, Event, Reason};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::sleep;

use super::Clients;
use crate::order::{Fate, Hold, Manner as Trying, Order, PARTICIPANTS, Placed};

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Asks until it is told.
    Patient,
    /// Hangs up early and asks again, a few times.
    Impatient(Duration),
    /// Asks twice at the same time.
    Twin,
}

#[derive(Clone, Debug)]
struct Errand {
    order: Order,
    manner: Manner,
    pause: Duration,
}

impl Errand {
    fn of(rng: &mut SmallRng, client: u32, number: u32) -> Self {
        let fate = match rng.random_range(0..200) {
            0 => Fate::Die,
            1..=4 => Fate::Linger,
            5..=10 => Fate::Poison,
            11..=22 => Fate::Refuse,
            23..=36 => Fate::Doom,
            _ => Fate::Commit,
        };
        let manner = match rng.random_range(0..10) {
            0..=1 => Manner::Impatient(Duration::from_millis(rng.random_range(2..=60))),
            2 => Manner::Twin,
            _ => Manner::Patient,
        };
        Self {
            order: Order {
                key: format!("order-{client}-{number}"),
                fate,
                holds: holds(rng),
            },
            manner,
            pause: Duration::from_millis(rng.random_range(0..=60)),
        }
    }
}

/// What is held for an order: of most nothing is.
pub(super) fn holds(rng: &mut SmallRng) -> Vec<Hold> {
    let at: &[&str] = match rng.random_range(0..10) {
        0..=1 => &PARTICIPANTS,
        2 => &PARTICIPANTS[..1],
        3 => &PARTICIPANTS[1..],
        _ => &[],
    };
    at.iter().map(|at| hold(rng, at)).collect()
}

pub(super) fn hold(rng: &mut SmallRng, at: &str) -> Hold {
    Hold {
        at: at.to_owned(),
        amount: rng.random_range(1..=100),
        manner: match rng.random_range(0..20) {
            0 => Trying::Refuse,
            1 => Trying::Linger,
            2 => Trying::Unwilling,
            3..=4 => Trying::Nested,
            _ => Trying::Plain,
        },
    }
}

/// Orders one thing after the other.
pub(super) async fn run(clients: Arc<Clients>, client: u32) -> Result<()> {
    let who = format!("customer-{client}");
    let mut rng = SmallRng::seed_from_u64(clients.seed.rotate_left(24) ^ u64::from(client));
    for number in 0.. {
        let errand = Errand::of(&mut rng, client, number);
        sleep(errand.pause).await;
        if clients.is_stopped() {
            break;
        }
        let place = |patience| place(&clients, &who, &errand.order, patience);
        let patience = Duration::from_secs(5);
        match errand.manner {
            // Whoever orders the shop's death orders it once.
            _ if errand.order.fate == Fate::Die => {
                place(patience).await?;
            }
            Manner::Impatient(patience) => {
                for _ in 0..4 {
                    if place(patience).await?.is_some() {
                        break;
                    }
                }
            }
            Manner::Twin => {
                let (one, other) = tokio::join!(place(patience), place(patience));
                one?;
                other?;
            }
            Manner::Patient => {
                // Refused for good are those that were to be; all else is worth another call.
                let refused = matches!(errand.order.fate, Fate::Refuse | Fate::Doom)
                    || errand
                        .order
                        .holds
                        .iter()
                        .any(|hold| hold.manner == Trying::Refuse);
                loop {
                    match place(patience).await? {
                        Some(true) => break,
                        Some(false) if refused => break,
                        _ if clients.is_stopped() => break,
                        _ => sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        }
    }
    Ok(())
}

/// Asks once. `None`: nothing was learnt.
async fn place(
    clients: &Clients,
    who: &str,
    order: &Order,
    patience: Duration,
) -> Result<Option<bool>> {
    let call = Call::Place {
        key: order.key.clone(),
    };
    let request = clients
        .http
        .post(format!("{}/orders", clients.shop))
        .json(order);
    let told = clients
        .call(who, call, patience, request, |op, status, body| {
            let Ok(placed) = serde_json::from_slice::<Placed>(body) else {
                let why = format!("status {status}");
                return (Event::Unknown { op, why }, None);
            };
            let transaction = placed.transaction;
            let event = match placed.committed {
                Some(true) => Event::Ok {
                    op,
                    transaction: transaction.clone(),
                    phase: None,
                    deliveries: Vec::new(),
                },
                Some(false) => Event::Fail {
                    op,
                    reason: Reason::NotCommitted,
                    transaction: transaction.clone(),
                    decision: None,
                },
                None => Event::Unknown {
                    op,
                    why: placed.why,
                },
            };
            (event, Some((placed.committed, transaction)))
        })
        .await?;
    let Some(Some((committed, transaction))) = told else {
        return Ok(None);
    };
    if committed == Some(true)
        && let Some(id) = transaction
    {
        clients.hear_of(&id);
        clients.placed.fetch_add(1, Ordering::SeqCst);
    }
    Ok(committed)
}
