//! The handle that a service keeps: opens transactions, and is mounted to be called back.

use std::{fmt, sync::Arc, time::Duration};

use earnest_proto::v1::participant_server::ParticipantServer;

use crate::{
    background, builder::Named, error::Error, fate::Fate, participant::ParticipantService,
    shared::Shared, sql::Db, tx::Tx,
};

/// One service, connected: its database on one side, the coordinator on the other. Cheap to clone.
pub struct Earnest<D: Db> {
    pub(crate) shared: Arc<Shared<D>>,
}

impl<D: Db> Earnest<D> {
    /// Starts to describe the service of this name. Every instance of it uses the same name and the same database.
    pub fn service(name: impl Into<String>) -> Named<D> {
        Named::new(name.into())
    }

    /// Opens a local transaction with the fence row in it.
    pub async fn begin(&self) -> Result<Tx<D>, Error> {
        Tx::begin(Fate::new(Arc::clone(&self.shared))).await
    }

    /// Runs `work` in a transaction: commits when it returns `Ok`, rolls back when it returns an error or panics.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<D>) -> Result<T, E>,
        E: From<Error>,
    {
        let mut tx = self.begin().await?;
        match work(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // Its own failure changes nothing: what is not committed can't be.
                if let Err(rollback) = tx.rollback().await {
                    tracing::debug!(error = %rollback, "the rollback was not answered");
                }
                Err(error)
            }
        }
    }

    /// Forgets local transactions and messages of more than `older_than` ago, in small batches. Returns the rows deleted.
    ///
    /// A call about something that old is then refused instead of guessed, so keep more than the longest time that
    /// work may wait for a person. Runs by itself every hour; see [`Builder::retention`](crate::Builder::retention).
    pub async fn purge(&self, older_than: Duration) -> Result<u64, Error> {
        Ok(background::purge(&self.shared, older_than).await?)
    }

    /// What the coordinator calls, for an axum server: merge it into the service's own router.
    ///
    /// The server must speak HTTP/2 without TLS, as `axum::serve` does with axum's feature `http2`.
    #[cfg(feature = "axum")]
    pub fn router(&self) -> axum::Router {
        // Two fallbacks can't be merged, and the service's own is the one to keep.
        tonic::service::Routes::new(self.participant_service())
            .into_axum_router()
            .reset_fallback()
    }

    /// What the coordinator calls, for a tonic server.
    pub fn participant_service(&self) -> ParticipantServer<ParticipantService<D>> {
        ParticipantService::server(Arc::clone(&self.shared))
    }

    /// The id of the service's database, as the coordinator knows it.
    pub fn resource_id(&self) -> &str {
        &self.shared.resource_id
    }
}

impl<D: Db> Clone for Earnest<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<D: Db> fmt::Debug for Earnest<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Earnest")
            .field("service", &self.shared.service)
            .field("namespace", &self.shared.namespace)
            .field("resource_id", &self.shared.resource_id)
            .finish_non_exhaustive()
    }
}
