//! PostgreSQL does what every store must do.

use std::sync::Arc;

use earnest_store::{
    PostgresOptions, PostgresStore,
    conformance::{Subject, TestClock},
};

async fn make() -> Subject {
    let clock = TestClock::default();
    let database = earnest_harness::postgres().await;
    let store = PostgresStore::open_at(
        PostgresOptions::new(database.url()),
        Arc::new(clock.clone()),
    )
    .await
    .expect("the store opens");
    Subject::new(Arc::new(store), clock, ())
}

earnest_store::conformance_tests!(make);
