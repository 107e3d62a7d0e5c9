//! Plants one defect, lets its layer search, and takes it out again.

use std::{
    collections::BTreeSet,
    fmt,
    panic::catch_unwind,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use earnest_model::{Order, Scope, explore, small};
use earnest_planted_hooks::plant;
use earnest_simulation::{Size, run_seed};

use crate::Entry;

/// Seeds that the simulation tries before a defect counts as missed.
const SEEDS: u64 = 2_000;
/// Operations of a seed, about.
const OPS: u32 = 150;

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The model, in these of its scopes.
    Model(&'static [&'static str]),
    /// The simulation, from its first seed on.
    Simulation,
}

/// What a hunt brought.
#[derive(Debug)]
pub struct Hunt {
    /// For what.
    pub entry: Entry,
    /// Where it was found; `None`: it was missed.
    pub caught: Option<Caught>,
    /// The same search finds nothing when nothing is planted.
    pub clean: bool,
    /// How long the hunt took, without the clean search.
    pub took: Duration,
}

/// Where a defect was found.
#[derive(Debug)]
pub struct Caught {
    /// The scope or the seed.
    pub place: String,
    /// Scopes or seeds that were searched for it.
    pub searched: u64,
    /// States or steps that it took.
    pub steps: u64,
}

impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { bug, breaks, .. } = self.entry;
        write!(f, "{:<24} {breaks:<3} ", bug.name())?;
        match &self.caught {
            None => write!(f, "MISSED")?,
            Some(Caught {
                place,
                searched,
                steps,
            }) => write!(f, "{place:<16} {searched:>3} searched {steps:>8} steps")?,
        }
        write!(f, " {:>6} ms", self.took.as_millis())?;
        if !self.clean {
            write!(f, "  NOT CLEAN without it")?;
        }
        Ok(())
    }
}

/// Hunts for one defect.
#[expect(
    clippy::disallowed_methods,
    reason = "says how long a search took; nothing depends on it"
)]
pub fn hunt(entry: Entry) -> Hunt {
    let began = Instant::now();
    plant(Some(entry.bug));
    let (caught, clean): (_, Box<dyn FnOnce() -> bool>) = match entry.layer {
        Layer::Model(scopes) => model(entry, scopes),
        Layer::Simulation => simulation(entry),
    };
    plant(None);
    let took = began.elapsed();
    Hunt {
        entry,
        clean: caught.is_none() || clean(),
        caught,
        took,
    }
}

type Found = (Option<Caught>, Box<dyn FnOnce() -> bool>);

fn model(entry: Entry, names: &[&'static str]) -> Found {
    let mut steps = 0;
    for (searched, name) in (1..).zip(names) {
        let Some(scope) = small().into_iter().find(|scope| scope.name == *name) else {
            continue;
        };
        let report = explore(scope, Order::Until(entry.breaks), 1);
        steps += report.states as u64;
        if report
            .broken
            .iter()
            .any(|(broken, _)| *broken == entry.breaks)
        {
            let place = format!("scope {name}");
            let caught = Caught {
                place,
                searched,
                steps,
            };
            let clean = move || holds(scope);
            return (Some(caught), Box::new(clean));
        }
    }
    (None, Box::new(|| false))
}

/// Scopes that were searched to the end with nothing planted, and held: once is enough for all defects.
static HOLD: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

fn holds(scope: Scope) -> bool {
    let mut hold = HOLD.lock().unwrap_or_else(PoisonError::into_inner);
    hold.contains(scope.name)
        || (explore(scope, Order::Depth, 1).broken.is_empty() && hold.insert(scope.name))
}

fn simulation(entry: Entry) -> Found {
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
    (None, Box::new(|| false))
}
