//! The simulation, seed after seed.

use std::panic::catch_unwind;

use earnest_simulation::{Size, run_seed};

use super::{Found, missed};
use crate::{Caught, Entry};

/// Seeds that are tried before a defect counts as missed.
const SEEDS: u64 = 2_000;
/// Operations of a seed, about.
const OPS: u32 = 150;

pub(crate) fn search(entry: Entry) -> Found {
    let mut steps = 0;
    for seed in 0..SEEDS {
        // A defect may also run the store into rows that it holds impossible; that names no invariant.
        let Ok(outcome) = catch_unwind(|| run_seed(seed, Size { ops: OPS })) else {
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
            let clean = move || run_seed(seed, Size { ops: OPS }).is_good();
            return (Some(caught), Box::new(clean));
        }
    }
    missed()
}
