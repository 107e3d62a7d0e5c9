//! A slice of the search that `make sim` makes long: no seed breaks a promise, and together they meet everything there is.

use std::time::Duration;

use earnest_simulation::{FEWEST_KINDS, Level, Plan, Size, Sum, run, shrink};

/// Runs seeds, none of which may break a promise or be calm, and says what they met.
fn search(level: Level, seeds: u64, size: Size) -> (Sum, String) {
    let mut sum = Sum::default();
    for seed in 0..seeds {
        let plan = Plan::of(seed, size).at(level);
        let outcome = run(&plan, false);
        sum.add(&outcome);
        if let Some(violation) = outcome.violations.first() {
            let shrunk = shrink(&plan, violation.invariant, 500);
            panic!(
                "{violation}\nreplay it: cargo run -p earnest-simulation -- --level {level:?} --replay {seed} --ops {}\n{}",
                size.ops,
                shrunk.map_or_else(
                    || "it does not fail again: the run is not deterministic".to_owned(),
                    |shrunk| format!("shrunk: {:#?}", shrunk.plan)
                )
            );
        }
    }
    let mut shown = Vec::new();
    sum.print(&mut shown, Duration::ZERO, Duration::ZERO)
        .expect("memory takes it");
    let shown = String::from_utf8(shown).expect("it is text");
    assert_eq!(
        sum.calm_seeds, 0,
        "every seed meets {FEWEST_KINDS} kinds of fault or more\n{shown}"
    );
    (sum, shown)
}

#[test]
fn no_seed_of_the_slice_breaks_a_promise() {
    let (sum, shown) = search(Level::Commands, 120, Size { ops: 300 });
    assert!(
        sum.faults.len() >= 27,
        "every kind of fault is met\n{shown}"
    );
    assert!(
        sum.coverage.missed().len() <= 12,
        "the slice meets most legal pairs of state and event; the long search must meet all\n{shown}"
    );
}

#[test]
fn no_seed_of_the_slice_breaks_a_promise_over_the_wire() {
    let (sum, shown) = search(Level::Wire, 50, Size { ops: 200 });
    assert!(
        sum.faults.len() >= 24,
        "nearly every kind of fault is met\n{shown}"
    );
    assert!(sum.transactions > 5_000, "there is work\n{shown}");
}
