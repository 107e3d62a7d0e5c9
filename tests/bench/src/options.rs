//! What may be said on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

use crate::database::Kind;

/// Measures how fast the coordinator is on this machine, next to the limits that the machine sets.
///
/// Starts `earnest serve` as a process of its own for each measurement, with a fresh database and fsync on, and
/// drives closed-loop load from this process: each caller makes its next transaction when the last one is
/// acknowledged. Prints a table and writes it as JSON. The exit code says whether every measurement could be
/// made, not whether a target was met; only --soak fails when memory grows.
#[derive(Clone, Debug, Parser)]
#[command(name = "earnest-bench", version)]
pub struct Options {
    /// Seconds of each measured window.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub seconds: f64,

    /// Seconds of the windows that show what holds over time (64 and 512 callers); never shorter than the others.
    #[arg(long, default_value_t = 60.0, value_parser = positive)]
    pub sustained: f64,

    /// Seconds of load before each window.
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    pub warm_up: f64,

    /// Windows of 2 s, none of them sustained: a look, not a measurement.
    #[arg(long)]
    pub quick: bool,

    /// Where the coordinator keeps its data. A server is taken from EARNEST_TEST_POSTGRES_URL, a container, or local
    /// binaries, in this order; where TMPDIR is then must be on the disk that counts.
    #[arg(long, value_enum, default_value_t, value_name = "STORE")]
    pub store: Kind,

    /// A setting of the coordinator's that is measured, such as --set journal.lanes=2; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// What is measured: message confirmation, or TCC with two branches.
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub mode: Mode,

    /// Only these cases; may be repeated.
    #[arg(long, value_name = "CASE")]
    pub only: Vec<Case>,

    /// Only messages that go this way.
    #[arg(long)]
    pub transport: Option<Transport>,

    /// Only this many callers at once.
    #[arg(long, value_name = "N")]
    pub callers: Option<usize>,

    /// HTTP/2 connections of the gRPC client to the coordinator.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,

    /// Instead of the measurements: 64 callers for this many minutes, and the coordinator's memory meanwhile.
    #[arg(long, value_name = "MINUTES", value_parser = positive)]
    pub soak: Option<f64>,

    /// Instead of the measurements: the load of 64 callers on an empty database and on one with so many finished
    /// transactions, in turn; on a server then with a snapshot held open, too.
    #[arg(long, value_name = "TRANSACTIONS", conflicts_with = "soak")]
    pub history: Option<u64>,

    /// A database that `earnest-bench fill` has filled, for --history: filling one takes longer than all else.
    #[arg(long, value_name = "URL", requires = "history")]
    pub history_url: Option<String>,

    /// Where the databases lie while they are measured: must be on the disk that counts. Default: beside this program.
    #[arg(long, value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,

    /// Where the results go.
    #[arg(long, default_value = "bench-results/latest.json", value_name = "FILE")]
    pub out: PathBuf,

    #[command(subcommand)]
    pub role: Option<Role>,
}

/// What else this program does.
#[derive(Clone, Debug, Subcommand)]
pub enum Role {
    /// Fills an empty database with finished history, for --history.
    Fill {
        /// The database: a file, or a URL.
        url: String,
        /// How many transactions.
        transactions: u64,
    },
    /// Serves the calls of the case `grpc_echo`; started by the benchmark itself.
    #[command(hide = true)]
    Echo,
}

/// Which of the coordinator's two jobs is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Messages that are prepared, confirmed and delivered.
    #[default]
    Messages,
    /// Two branches that are tried and confirmed, at participants in another process that do nothing.
    Tcc,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Case {
    /// gRPC calls with 1 KiB that nobody stores.
    GrpcEcho,
    /// Prepare and confirm in batches, straight into the store.
    StoreRaw,
    /// The same, and the ends of the deliveries.
    StoreRawDelivered,
    /// Prepare and confirm acknowledged, while all messages are delivered.
    MessageAcknowledged,
    /// From prepare until a consumer that does nothing has the message.
    MessageDelivered,
    /// Prepare and confirm acknowledged of messages that nobody subscribed to.
    MessageUnsubscribed,
    /// Two branches prepared, tried by the caller, and confirmed, until the decision is durable.
    TccDecided,
    /// The same, until both branches have taken the decision.
    TccFinal,
    /// The same in one call: the coordinator runs the Trys.
    TccExecuted,
}

impl Case {
    pub fn name(self) -> &'static str {
        match self {
            Self::GrpcEcho => "grpc_echo",
            Self::StoreRaw => "store_raw",
            Self::StoreRawDelivered => "store_raw_delivered",
            Self::MessageAcknowledged => "message_acknowledged",
            Self::MessageDelivered => "message_delivered",
            Self::MessageUnsubscribed => "message_unsubscribed",
            Self::TccDecided => "tcc_decided",
            Self::TccFinal => "tcc_final",
            Self::TccExecuted => "tcc_executed",
        }
    }
}

/// How messages get to the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Transport {
    /// The calls themselves.
    Grpc,
    /// The SDK around a local transaction in the sender's own SQLite file, which is durable too.
    Sdk,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Sdk => "sdk",
        }
    }
}

impl Options {
    /// How long each window is.
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 2.0 } else { self.seconds })
    }

    /// How long the runs are that show what holds over time.
    pub fn sustained(&self) -> Duration {
        if self.quick {
            self.window()
        } else {
            Duration::from_secs_f64(self.sustained.max(self.seconds))
        }
    }

    /// How long load runs before a window.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 0.5 } else { self.warm_up })
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 100_000.0 => Ok(number),
        _ => Err("give a number above 0".into()),
    }
}
