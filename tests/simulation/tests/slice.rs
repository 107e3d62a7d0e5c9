//! A slice of the search that `make sim` makes long: no seed breaks a promise, and together they meet everything there is.

use earnest_simulation::{FEWEST_KINDS, Plan, Size, Sum, run_seed, shrink};

/// Seeds of the slice.
const SEEDS: u64 = 120;

#[test]
fn no_seed_of_the_slice_breaks_a_promise() {
    let size = Size { ops: 300 };
    let mut sum = Sum::default();
    for seed in 0..SEEDS {
        let outcome = run_seed(seed, size);
        sum.add(&outcome);
        if let Some(violation) = outcome.violations.first() {
            let shrunk = shrink(&Plan::of(seed, size), violation.invariant, 500);
            panic!(
                "{violation}\nreplay it: cargo run -p earnest-simulation -- --replay {seed} --ops {}\n{}",
                size.ops,
                shrunk.map_or_else(
                    || "it does not fail again: the run is not deterministic".to_owned(),
                    |shrunk| format!("shrunk: {:#?}", shrunk.plan)
                )
            );
        }
    }
    let mut shown = Vec::new();
    sum.print(
        &mut shown,
        std::time::Duration::ZERO,
        std::time::Duration::ZERO,
    )
    .expect("memory takes it");
    let shown = String::from_utf8(shown).expect("it is text");
    assert!(
        sum.calm_seeds <= SEEDS / 10,
        "most seeds meet {FEWEST_KINDS} kinds of fault or more\n{shown}"
    );
    assert!(
        sum.faults.len() >= 27,
        "every kind of fault is met\n{shown}"
    );
    assert!(
        sum.coverage.missed().len() <= 12,
        "the slice meets most legal pairs of state and event; the long search must meet all\n{shown}"
    );
}
