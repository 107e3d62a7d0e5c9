//! SQLite against the memory reference: the same random commands, in lockstep, must bring the same replies and
//! lead to the same state, batched by SQLite and one by one in memory.

#[path = "differential/op.rs"]
mod op;
#[path = "differential/pair.rs"]
mod pair;

use std::{cell::RefCell, collections::BTreeSet};

use proptest::{
    collection::vec,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// How many runs.
const CASES: u32 = 100;
/// Commands of the longest run.
const LONGEST: usize = 60;

#[test]
fn sqlite_does_what_memory_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let config = Config {
        cases: CASES,
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
            let mut pair = pair::Pair::new();
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
