//! Plants one defect, lets its layer search, and takes it out again.

use std::{
    fmt,
    time::{Duration, Instant},
};

use earnest_planted_hooks::plant;
use earnest_simulation::Level;

use crate::{
    Entry,
    search::{self, Database, Programs},
};

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The model, in these of its scopes.
    Model(&'static [&'static str]),
    /// The simulation at its level of commands, from its first seed on.
    Simulation,
    /// The simulation over the wire, likewise.
    Wire,
    /// The suite that every store passes, over this database.
    Conformance(Database),
    /// Real processes, broken on purpose, and the offline checker of what happened.
    Process,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Model(_) => "model",
            Self::Simulation => "simulation",
            Self::Wire => "wire",
            Self::Conformance(_) => "conformance",
            Self::Process => "process",
        })
    }
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
    /// The scope, the seed or the case.
    pub place: String,
    /// Scopes, seeds or cases that were searched for it.
    pub searched: u64,
    /// States or steps that it took; of processes, lines of history.
    pub steps: u64,
}

impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry {
            bug, breaks, layer, ..
        } = self.entry;
        write!(f, "{:<38} {breaks:<3} {layer:<11} ", bug.name())?;
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

/// Hunts for one defect; `programs` are for the hunts among processes.
#[expect(
    clippy::disallowed_methods,
    reason = "says how long a search took; nothing depends on it"
)]
pub fn hunt(entry: Entry, programs: &Programs) -> Hunt {
    let began = Instant::now();
    // Of processes each has its own, from its environment.
    plant((entry.layer != Layer::Process).then_some(entry.bug));
    let (caught, clean) = match entry.layer {
        Layer::Model(scopes) => search::model(entry, scopes),
        Layer::Simulation => search::simulation(entry, Level::Commands),
        Layer::Wire => search::simulation(entry, Level::Wire),
        Layer::Conformance(database) => search::conformance(entry, database),
        Layer::Process => search::process(entry, programs),
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
