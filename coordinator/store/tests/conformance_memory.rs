//! The memory reference does what every store must do.

use std::sync::Arc;

use earnest_store::{
    MemoryStore,
    conformance::{Subject, TestClock},
};

async fn make() -> Subject {
    let clock = TestClock::default();
    let store = MemoryStore::new(Arc::new(clock.clone()));
    Subject::new(Arc::new(store), clock, ())
}

earnest_store::conformance_tests!(make);
