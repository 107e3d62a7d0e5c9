//! The few connections that only read. In WAL mode they see the last commit, and never wait for the writer.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    error::{failed, unavailable},
    open,
};
use crate::StoreError;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// At most `count`, each opened when it is first needed.
    pub(super) fn new(path: PathBuf, count: usize) -> Self {
        let permits = Arc::new(Semaphore::new(count.max(1)));
        Self {
            shared: Arc::new(Shared {
                path,
                idle: Mutex::default(),
                permits,
            }),
        }
    }

    /// Runs `read` over one snapshot.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let permit = Arc::clone(&shared.permits).acquire_owned().await;
        let permit = permit.map_err(|_| unavailable(format!("{name}: the store is closed")))?;
        let done = tokio::task::spawn_blocking(move || {
            let idle = shared.idle().pop();
            let mut db = match idle {
                Some(db) => db,
                None => open::reader(&shared.path).map_err(|error| failed(name, error))?,
            };
            let snapshot = db.transaction().map_err(|error| failed(name, error))?;
            let done = read(&snapshot);
            // Nothing was written: dropping it ends it.
            drop(snapshot);
            if db.is_autocommit() {
                shared.idle().push(db);
            }
            drop(permit);
            done
        });
        done.await
            .map_err(|_| unavailable(format!("{name}: the read was broken off")))?
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
