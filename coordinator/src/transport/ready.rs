//! Whether this node should be sent calls.

use std::time::Duration;

use earnest_store::Durability;

use super::AppState;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a node should not be sent calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unready {
    /// It is being stopped.
    #[error("this node is draining: it finishes what it has and takes nothing new")]
    Draining,
    /// Its database said no.
    #[error("the database does not answer: {0}")]
    Database(String),
    /// Its database said nothing.
    #[error("the database does not answer within {} s", PATIENCE.as_secs())]
    Silence,
    /// Something that was acknowledged is missing.
    #[error(
        "{0}. `earnest database show` says what may be lost; `earnest database accept-loss` goes on without it"
    )]
    Loss(String),
}

impl Unready {
    /// For programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Database(_) | Self::Silence => "database",
            Self::Loss(_) => "database-loss",
        }
    }
}

impl AppState {
    /// Whether a call would be taken now; if so, how durable it would be, as the live connection says.
    pub(super) async fn readiness(&self) -> Result<Durability, Unready> {
        if self.draining.is_cancelled() {
            return Err(Unready::Draining);
        }
        let ask = async {
            let store = self.coordinator.store();
            store.ping().await?;
            store.durability().await
        };
        match tokio::time::timeout(PATIENCE, ask).await {
            Ok(Ok(durability)) => match self.coordinator.vigil().refuse() {
                Ok(()) => Ok(durability),
                Err(loss) => Err(Unready::Loss(loss.to_string())),
            },
            Ok(Err(error)) => Err(Unready::Database(error.to_string())),
            Err(_) => Err(Unready::Silence),
        }
    }
}
