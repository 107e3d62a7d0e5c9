//! Clients that call the coordinator themselves and are at odds: they prepare and execute twice, with the same and with other
//! contents, and decide one transaction both ways at the same time.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{
    Clients,
    coordinator::{Ask, Caller, Told},
    orders::hold,
};
use crate::{clock, order::PARTICIPANTS};

/// Time decides while they still quarrel, …
const SOON_MS: u32 = 200;
/// … or when they are done.
const LATE_MS: u32 = 30_000;

/// One quarrel after the other.
pub(super) async fn run(clients: Arc<Clients>, client: u32) -> Result<()> {
    let names = [format!("rival-{client}a"), format!("rival-{client}b")];
    let mut rng = SmallRng::seed_from_u64(clients.seed.rotate_left(40) ^ u64::from(client) ^ 0xa);
    loop {
        sleep(Duration::from_millis(rng.random_range(0..=80))).await;
        if clients.is_stopped() {
            return Ok(());
        }
        let mut rival = |number: usize| Caller {
            clients: &clients,
            who: &names[number],
            coordinator: clients
                .coordinators
                .choose(&mut rng)
                .map_or("", String::as_str),
            patience: Duration::from_secs(2),
        };
        let (one, other) = (rival(0), rival(1));
        quarrel(one, other, &mut rng).await?;
    }
}

async fn quarrel(one: Caller<'_>, other: Caller<'_>, rng: &mut SmallRng) -> Result<()> {
    let id = new_id(rng);
    let content = format!("post {id}");
    let another = format!("another post {id}");
    let prepare = |content, check_after_ms| Ask::Prepare {
        content,
        check_after_ms,
    };
    let way = rng.random_range(0..13);
    match way {
        0..=1 => {
            one.ask_until_told(&id, Ask::Submit { content: &content })
                .await?;
            one.clients.hear_of(&id);
            other.ask(&id, Ask::Submit { content: &content }).await?;
            other.ask(&id, Ask::Submit { content: &another }).await?;
        }
        // A cancel overtakes its prepare.
        2 => {
            one.ask_until_told(&id, Ask::Cancel).await?;
            other.ask(&id, prepare(&content, LATE_MS)).await?;
            other.ask(&id, Ask::Confirm).await?;
        }
        // The coordinator runs the Trys, and somebody thinks better of it, or time does.
        10..=12 => {
            let holds = PARTICIPANTS.map(|at| hold(rng, at));
            let holds = &holds[rng.random_range(0..2)..];
            let deadline_ms = if way == 10 { SOON_MS } else { LATE_MS };
            let execute = |content| Ask::Execute {
                content,
                holds,
                deadline_ms,
            };
            one.clients.hear_of(&id);
            if way == 11 {
                let (ran, _) = tokio::join!(
                    one.ask_until_told(&id, execute(&content)),
                    other.ask(&id, Ask::Cancel),
                );
                ran?;
            } else {
                one.ask_until_told(&id, execute(&content)).await?;
            }
            other.ask(&id, execute(&another)).await?;
            one.ask(&id, execute(&content)).await?;
        }
        // Nobody decides, so time does.
        3 => {
            one.ask_until_told(&id, prepare(&content, SOON_MS)).await?;
            one.clients.hear_of(&id);
            other.ask(&id, prepare(&another, SOON_MS)).await?;
        }
        _ => {
            let check_after_ms = if way > 7 { SOON_MS } else { LATE_MS };
            let prepared = prepare(&content, check_after_ms);
            if one.ask_until_told(&id, prepared).await? == Told::Nothing {
                return Ok(());
            }
            one.clients.hear_of(&id);
            other.ask(&id, prepare(&another, check_after_ms)).await?;
            let (for_it, against_it) = tokio::join!(
                one.ask_until_told(&id, Ask::Confirm),
                other.ask_until_told(&id, Ask::Cancel),
            );
            // Whoever was told will be told the same again.
            if for_it? == Told::Ok {
                one.ask(&id, Ask::Confirm).await?;
            }
            if against_it? == Told::Ok {
                other.ask(&id, Ask::Cancel).await?;
            }
            other.ask(&id, Ask::Look).await?;
        }
    }
    Ok(())
}

fn new_id(rng: &mut SmallRng) -> String {
    let random = rng.random::<[u8; 10]>();
    let id = uuid::Builder::from_unix_timestamp_millis(clock::unix_millis(), &random);
    id.into_uuid().to_string()
}
