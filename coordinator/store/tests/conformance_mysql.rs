//! MySQL (MariaDB, where no MySQL is at hand) does what every store must do.

use std::sync::Arc;

use earnest_store::{
    MySqlOptions, MySqlStore,
    conformance::{Subject, TestClock},
};

async fn make() -> Subject {
    let clock = TestClock::default();
    let database = earnest_harness::mariadb().await;
    let store =
        MySqlStore::open_at(MySqlOptions::new(database.url()), Arc::new(clock.clone())).await;
    Subject::new(Arc::new(store.expect("the store opens")), clock, ())
}

earnest_store::conformance_tests!(make);
