//! Looks at the database again and again: records what was noticed, hears what others have noticed, and that a person
//! has accepted it.

use std::{error::Error, sync::Arc, time::Duration};

use earnest_store::{LossRow, Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::Vigil;

/// Looks every `every`, and at once when something is noticed, until `stop`.
pub(crate) async fn watch(
    vigil: Arc<Vigil>,
    store: Arc<dyn Store>,
    every: Duration,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = vigil.look(&*store).await {
            tracing::warn!(
                error = &error as &dyn Error,
                "could not look whether the database has all that it acknowledged; trying again"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
            () = vigil.noticed.notified() => {}
        }
    }
}

impl Vigil {
    /// One look.
    pub async fn look(&self, store: &dyn Store) -> Result<(), StoreError> {
        let marks = self.state().known.to_ask();
        self.ask(store, &marks).await?;
        self.record(store).await
    }

    /// Records what was noticed, so that the other nodes hear of it and it outlives this one.
    async fn record(&self, store: &dyn Store) -> Result<(), StoreError> {
        let noticed = self.state().noticed.clone();
        if noticed.is_empty() {
            return Ok(());
        }
        for loss in &noticed {
            let row = store.report_loss(&loss.acknowledged, &self.node).await?;
            let mut state = self.state();
            state.noticed.retain(|known| known != loss);
            // `None`: somebody has accepted it meanwhile.
            if let Some(row) = row
                && !state.recorded.contains(&row)
            {
                state.recorded.push(row);
            }
        }
        Ok(())
    }

    /// Goes on without what is missing, and says what that was.
    pub async fn accept(
        &self,
        store: &dyn Store,
        actor: &str,
        reason: &str,
    ) -> Result<Vec<LossRow>, StoreError> {
        self.look(store).await?;
        let accepted = store.accept_losses(actor, reason).await?;
        self.look(store).await?;
        Ok(accepted)
    }
}
