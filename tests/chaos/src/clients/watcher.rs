//! Somebody who looks at transactions while they happen, so that what is shown too early, or taken back, is seen.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{
    Clients,
    coordinator::{Ask, Caller},
};

/// How far back it looks.
const RECENT: usize = 40;

pub(super) async fn run(clients: Arc<Clients>) -> Result<()> {
    let mut rng = SmallRng::seed_from_u64(clients.seed ^ 0x7a7c);
    while !clients.is_stopped() {
        sleep(Duration::from_millis(rng.random_range(0..=40))).await;
        let id = {
            let ids = clients
                .heard_of
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let recent = &ids[ids.len().saturating_sub(RECENT)..];
            recent.choose(&mut rng).cloned()
        };
        let coordinator = clients.coordinators.choose(&mut rng);
        if let (Some(id), Some(coordinator)) = (id, coordinator) {
            let watcher = Caller {
                clients: &clients,
                who: "watcher",
                coordinator,
                patience: Duration::from_secs(1),
            };
            watcher.ask(&id, Ask::Look).await?;
        }
    }
    Ok(())
}
