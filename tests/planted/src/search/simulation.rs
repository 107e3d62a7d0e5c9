//! The simulation, seed after seed.

use std::panic::catch_unwind;

use earnest_simulation::{Level, Outcome, Plan, Size, run};

use super::{Found, missed};
use crate::{Caught, Entry};

/// Seeds that are tried before a defect counts as missed.
const SEEDS: u64 = 2_000;
/// Operations of a seed, about.
const OPS: u32 = 150;

fn run_seed(seed: u64, level: Level) -> Outcome {
    run(&Plan::of(seed, Size { ops: OPS }).at(level), false)
}

pub(crate) fn search(entry: Entry, level: Level) -> Found {
    let mut steps = 0;
    for seed in 0..SEEDS {
        // A defect may also run the store into rows that it holds impossible; that names no invariant.
        let Ok(outcome) = catch_unwind(|| run_seed(seed, level)) else {
            continue;
        };
        steps += outcome.steps;
        let named = outcome
            .violations
            .iter()
            .any(|seen| seen.invariant == entry.breaks);
        if named {
            let place = format!("seed {seed}");
            let caught = Caught {
                place,
                searched: seed + 1,
                steps,
            };
            let clean = move || run_seed(seed, level).is_good();
            return (Some(caught), Box::new(clean));
        }
    }
    missed()
}
