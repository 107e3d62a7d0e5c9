//! What a run is told.

use std::{path::PathBuf, time::Duration};

use crate::kind::Kind;

/// Where the coordinator keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// One coordinator, over a file.
    Sqlite,
    /// Two coordinators, over one server, which is killed and cut off as well.
    Postgres,
}

/// Which programs run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The coordinator.
    pub coordinator: PathBuf,
    /// The services.
    pub service: PathBuf,
    /// Environment variables of the coordinator beside those that every run sets.
    pub coordinator_environment: Vec<(String, String)>,
    /// Environment variables of the services.
    pub service_environment: Vec<(String, String)>,
}

impl Programs {
    /// Programs without an environment of their own.
    pub fn new(coordinator: impl Into<PathBuf>, service: impl Into<PathBuf>) -> Self {
        Self {
            coordinator: coordinator.into(),
            service: service.into(),
            coordinator_environment: Vec::new(),
            service_environment: Vec::new(),
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Fixes what is broken, for whom, after what, and what clients ask for.
    pub seed: u64,
    /// How long things are broken at least. All of `kinds` happen, however short this is.
    pub faults_for: Duration,
    /// The kinds of faults that happen, each at least once. (Those that clients ask for are not left out.)
    pub kinds: Vec<Kind>,
    /// Nothing more is broken once that time is over, whatever has not happened so far: such a run may find what is wrong, and
    /// proves nothing when it finds nothing.
    pub hurry: bool,
    /// Where the coordinator keeps everything.
    pub store: Store,
    /// Which programs run.
    pub programs: Programs,
    /// An empty or missing directory for histories, logs and databases. It is left as it is.
    pub directory: PathBuf,
    /// Whether a fault that this machine does not allow (a full disk takes root) makes the run worthless. Otherwise it is
    /// only said.
    pub strict: bool,
    /// Whether every fault is printed when it happens.
    pub narrate: bool,
}
