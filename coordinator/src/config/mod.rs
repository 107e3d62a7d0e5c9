//! What an operator sets: a TOML file, over it the environment (`EARNEST_*`), over that the flags.
//!
//! One table ([`keys`]) names every key once; the file, the environment, the flags, `earnest config` and the
//! sample file all read it, so none can know a key that another doesn't. Reading never stops at the
//! first mistake: [`load`] reports all of them, and a key that nobody knows is one.

mod cross;
mod database;
mod duration;
mod entry;
mod environment;
mod file;
mod key;
mod keys;
mod mistake;
mod registry;
mod show;
mod suggest;
mod value;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use database::{Database, ServerUrl};
pub use duration::{parse_duration, show_duration};
pub use key::Key;
pub use keys::KEYS;
pub use mistake::{ConfigError, Mistake};
pub use show::{effective, example};

use crate::{
    driver::{BoardOptions, DriverOptions},
    journal::JournalOptions,
    service::{ServiceInput, ServiceOptions, SubscriptionInput},
};

/// The file that is read when nobody names one, if it is there.
pub const DEFAULT_FILE: &str = "earnest.toml";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or directives such as `info,earnest_coordinator=debug`.
    pub level: String,
    /// How.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::default(),
        }
    }
}

/// Connections of one node to a database server; a file needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// For the journal's lanes, claims, heartbeats and purges.
    pub writers: usize,
    /// For queries.
    pub readers: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            writers: 6,
            readers: 4,
        }
    }
}

/// What one node needs to run.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where gRPC and REST are served; port 0: any free one.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub database: Database,
    /// Connections to a database server.
    pub pool: PoolOptions,
    /// How due work is driven; its `node` is this node's name.
    pub driver: DriverOptions,
    /// Bounds and defaults of what callers ask for.
    pub service: ServiceOptions,
    /// Group commit.
    pub journal: JournalOptions,
    /// Work in memory.
    pub board: BoardOptions,
    /// Put at every start.
    pub subscriptions: Vec<SubscriptionInput>,
    /// Put at every start, replacing what is known of them.
    pub services: Vec<ServiceInput>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7450)),
            database: Database::default(),
            pool: PoolOptions::default(),
            driver: DriverOptions {
                node: String::new(),
                ..DriverOptions::default()
            },
            service: ServiceOptions::default(),
            journal: JournalOptions::default(),
            board: BoardOptions::default(),
            subscriptions: Vec::new(),
            services: Vec::new(),
        }
    }
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The node.
    pub node: NodeConfig,
    /// The log.
    pub log: LogConfig,
}

/// A key set by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagSetting {
    /// The flag as it was written: `--listen`.
    pub flag: String,
    /// The key's name.
    pub key: String,
    /// The value as it was written.
    pub value: String,
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Where [`DEFAULT_FILE`] and a relative file are looked for.
    pub directory: PathBuf,
    /// The process's environment; only names that begin with `EARNEST_` are looked at.
    pub environment: Vec<(String, String)>,
    /// Flags, the strongest.
    pub flags: Vec<FlagSetting>,
}

/// A configuration without mistakes.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// Where each key that is not at its default came from.
    pub origins: BTreeMap<&'static str, String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is allowed, but should be known.
    pub warnings: Vec<String>,
}

/// Reads all sources, or says everything that is wrong with them.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut reading = Reading::default();
    let file = reading.file(sources);
    environment::read(&sources.environment, &mut reading);
    for setting in &sources.flags {
        let origin = setting.flag.clone();
        match keys::find(&setting.key) {
            Some(key) => reading.set(key, &setting.value, origin),
            None => reading.unknown(&setting.key, origin, keys::KEYS.iter().map(|key| key.name)),
        }
    }
    cross::check(&mut reading);
    if !reading.mistakes.is_empty() {
        return Err(ConfigError {
            mistakes: reading.mistakes,
        });
    }
    let warnings = cross::warnings(&reading.config);
    Ok(Loaded {
        config: reading.config,
        origins: reading.origins,
        file,
        warnings,
    })
}

/// A configuration on its way, with the mistakes met so far.
#[derive(Default)]
struct Reading {
    config: Config,
    origins: BTreeMap<&'static str, String>,
    mistakes: Vec<Mistake>,
}

impl Reading {
    /// Sets one key, or notes why it can't be.
    fn set(&mut self, key: &'static Key, text: &str, origin: String) {
        match key.set(&mut self.config, text) {
            Ok(()) => {
                self.origins.insert(key.name, origin);
            }
            Err(problem) => self.mistakes.push(Mistake {
                key: key.name.into(),
                origin,
                problem,
                example: format!("{} = {}", key.name, key.example),
            }),
        }
    }

    /// Notes a key that nobody knows.
    fn unknown<'a>(&mut self, name: &str, origin: String, known: impl Iterator<Item = &'a str>) {
        let (problem, example) = match suggest::nearest(name, known) {
            Some(near) => (
                format!("is not a key; did you mean `{near}`?"),
                keys::find(near)
                    .map_or_else(|| near.into(), |k| format!("{} = {}", k.name, k.example)),
            ),
            None => (
                "is not a key".into(),
                "`earnest config --example` prints every key".into(),
            ),
        };
        self.mistakes.push(Mistake {
            key: name.into(),
            origin,
            problem,
            example,
        });
    }

    /// Reads the file that was asked for, or the one that lies there; returns its path.
    fn file(&mut self, sources: &Sources) -> Option<PathBuf> {
        let from_environment = sources
            .environment
            .iter()
            .find(|(name, value)| name == environment::FILE && !value.is_empty());
        let (path, asked_by) = match (&sources.file, from_environment) {
            (Some(path), _) => (path.clone(), Some("--config")),
            (None, Some((_, path))) => (PathBuf::from(path), Some(environment::FILE)),
            (None, None) => (PathBuf::from(DEFAULT_FILE), None),
        };
        match std::fs::read_to_string(sources.directory.join(&path)) {
            Ok(text) => {
                file::read(&path, &text, self);
                Some(path)
            }
            Err(error) if asked_by.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                None
            }
            Err(error) => {
                self.unreadable(
                    &path,
                    asked_by.unwrap_or("found in the working directory"),
                    &error,
                );
                None
            }
        }
    }

    fn unreadable(&mut self, path: &Path, origin: &str, error: &std::io::Error) {
        self.mistakes.push(Mistake {
            key: "config file".into(),
            origin: origin.into(),
            problem: format!("{} can't be read: {error}", path.display()),
            example: "earnest config --example > earnest.toml".into(),
        });
    }
}

#[cfg(test)]
mod tests;
