//! Every store against the memory reference: the same random commands, in lockstep, must bring the same replies and lead to
//! the same state, batched by the store and one by one in memory.

#[path = "differential/op.rs"]
mod op;
#[path = "differential/pair.rs"]
mod pair;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use earnest_store::{
    MySqlOptions, MySqlStore, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore,
    Synchronous,
    conformance::{Subject, TestClock},
};
use proptest::{
    collection::vec,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// Commands of the longest run.
const LONGEST: usize = 60;

#[test]
fn sqlite_does_what_memory_does() {
    does_what_memory_does(100, async || {
        let dir = tempfile::tempdir().expect("a directory for the test");
        let clock = TestClock::default();
        // What survives power loss is not looked at here.
        let options = SqliteOptions {
            synchronous: Synchronous::Normal,
            ..SqliteOptions::new(dir.path().join("earnest.db"))
        };
        let store = SqliteStore::open(options, Arc::new(clock.clone())).expect("the store opens");
        Subject::new(Arc::new(store), clock, dir)
    });
}

#[test]
fn postgres_does_what_memory_does() {
    does_what_memory_does(40, async || {
        let database = earnest_harness::postgres().await;
        let clock = TestClock::default();
        let options = PostgresOptions::new(database.url());
        let store = PostgresStore::open_at(options, Arc::new(clock.clone())).await;
        Subject::new(Arc::new(store.expect("the store opens")), clock, ())
    });
}

#[test]
fn mysql_does_what_memory_does() {
    does_what_memory_does(40, async || {
        let database = earnest_harness::mariadb().await;
        let clock = TestClock::default();
        let options = MySqlOptions::new(database.url());
        let store = MySqlStore::open_at(options, Arc::new(clock.clone())).await;
        Subject::new(Arc::new(store.expect("the store opens")), clock, ())
    });
}

fn does_what_memory_does(cases: u32, make: impl AsyncFn() -> Subject) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    // Always the same runs: a failure is a failure for everybody.
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen = RefCell::new(BTreeSet::new());
    let outcome = runner.run(&vec(op::any_op(), 20..LONGEST), |ops| {
        runtime.block_on(async {
            let mut pair = pair::Pair::new(make().await);
            for (n, op) in ops.iter().enumerate() {
                pair.run(op).await;
                if n % 4 == 0 {
                    pair.compare().await;
                }
            }
            pair.compare().await;
            seen.borrow_mut().extend(pair.seen.iter().copied());
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert_eq!(
        seen.into_inner(),
        BTreeSet::from(pair::KINDS),
        "the runs meet every kind of answer"
    );
}
