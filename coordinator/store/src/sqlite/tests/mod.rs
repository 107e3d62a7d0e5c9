//! What only SQLite can get wrong: files, locks, plans, full disks. Behaviour is the conformance suite's.

mod crash;
mod failure;
mod opening;
mod plan;
mod purge;
mod replaced;
mod revision;
mod sharing;

use std::{path::Path, sync::Arc};

use tempfile::TempDir;

use super::{SqliteOptions, SqliteStore};
use crate::{
    Command, JournalStore, RegistryStore, Rejection, Reply, StoreError,
    conformance::{TestClock, message, no_grant, prepare, subscription, transaction},
};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

fn open_with(path: &Path, clock: &TestClock) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(SqliteOptions::new(path), Arc::new(clock.clone()))
}

fn open(path: &Path) -> SqliteStore {
    open_with(path, &TestClock::default()).expect("the store opens")
}

/// What opening fails with, as people read it.
fn refusal(path: &Path) -> String {
    match open_with(path, &TestClock::default()) {
        Err(StoreError::CannotOpen(why)) => why,
        other => panic!("it should not open: {other:?}"),
    }
}

async fn apply(
    store: &SqliteStore,
    commands: Vec<Command>,
) -> Result<Vec<Result<Reply, Rejection>>, StoreError> {
    store
        .apply(&commands, no_grant())
        .await
        .map(|applied| applied.results)
}

/// Prepares transaction `n` with one message.
fn prepared(n: u8) -> Command {
    prepare(transaction(n, vec![message("order.placed")]))
}

async fn subscribe(store: &SqliteStore) {
    store
        .put_subscription(subscription("ledger", "order.placed"))
        .await
        .expect("the subscription is kept");
}
