//! Real processes that have the defect, broken on purpose, and the offline checker of what happened, seed after seed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use earnest_chaos::{Kind, Options, Outcome, Store, run};
use earnest_planted_hooks::{Bug, VARIABLE};

use super::{Found, missed};
use crate::{Caught, Entry};

/// Seeds that are tried before a defect counts as missed.
const SEEDS: std::ops::Range<u64> = 7..12;
/// How long each of them breaks things.
const FAULTS_FOR: Duration = Duration::from_secs(5);

/// The shipped coordinator and a service with the SDK, built with the hooks.
#[derive(Clone, Debug)]
pub struct Programs {
    coordinator: PathBuf,
    service: PathBuf,
}

impl Programs {
    /// In this directory.
    pub fn of(directory: &Path) -> Self {
        Self {
            coordinator: directory.join("planted-coordinator"),
            service: directory.join("planted-service"),
        }
    }

    /// Whether they have been built.
    pub fn are_there(&self) -> bool {
        self.coordinator.exists() && self.service.exists()
    }
}

pub(crate) fn search(entry: Entry, programs: &Programs) -> Found {
    let mut steps = 0;
    for (searched, seed) in (1..).zip(SEEDS) {
        // A defect may also make a process end by itself; that names no invariant.
        let Ok(outcome) = chaos(seed, programs, Some(entry.bug)) else {
            continue;
        };
        steps += outcome.summary.lines as u64;
        let mut violations = outcome.violations.iter();
        if violations.any(|seen| seen.invariant.to_string() == entry.breaks) {
            let caught = Caught {
                place: format!("seed {seed}"),
                searched,
                steps,
            };
            let programs = programs.clone();
            return (Some(caught), Box::new(move || holds(seed, &programs)));
        }
    }
    missed()
}

/// Seeds that broke nothing with nothing planted: once is enough for all defects.
static HOLD: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn holds(seed: u64, programs: &Programs) -> bool {
    let mut hold = HOLD.lock().unwrap_or_else(PoisonError::into_inner);
    hold.contains(&seed)
        || (chaos(seed, programs, None).is_ok_and(|outcome| outcome.violations.is_empty())
            && hold.insert(seed))
}

fn chaos(seed: u64, programs: &Programs, bug: Option<Bug>) -> Result<Outcome> {
    let directory = tempfile::tempdir()?;
    let mut of = earnest_chaos::Programs::new(&programs.coordinator, &programs.service);
    if let Some(bug) = bug {
        let planted = (VARIABLE.to_owned(), bug.name().to_owned());
        of.coordinator_environment.push(planted.clone());
        of.service_environment.push(planted);
    }
    let options = Options {
        seed,
        faults_for: FAULTS_FOR,
        kinds: Kind::ALL.to_vec(),
        hurry: true,
        store: Store::Sqlite,
        programs: of,
        directory: directory.path().to_owned(),
        strict: false,
        narrate: false,
    };
    tokio::runtime::Runtime::new()?.block_on(run(&options))
}
