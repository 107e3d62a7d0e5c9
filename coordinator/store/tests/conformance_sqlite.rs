//! SQLite does what every store must do.

use std::sync::Arc;

use earnest_store::{
    SqliteOptions, SqliteStore,
    conformance::{Subject, TestClock},
};

async fn make() -> Subject {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let clock = TestClock::default();
    let options = SqliteOptions::new(dir.path().join("earnest.db"));
    let store = SqliteStore::open(options, Arc::new(clock.clone())).expect("the store opens");
    Subject::new(Arc::new(store), clock, dir)
}

earnest_store::conformance_tests!(make);
