//! Measures how fast the coordinator is on this machine, and prints beside it what the machine could do without it: gRPC
//! alone, the store alone, the disk alone.
//!
//! The coordinator is the real binary in a process of its own, with a fresh database per measurement and fsync on; this
//! process is the client and the consumer, on the same cores. It must never count what was not acknowledged, and
//! every message acknowledged in a run must arrive in it, or the run fails.
#![expect(
    unreachable_pub,
    reason = "nothing is outside of a binary; `pub` says what other modules use"
)]

mod bench;
mod caller;
mod clock;
mod consumer;
mod coordinator;
mod database;
mod disk;
mod echo;
mod history;
mod latency;
mod ledger;
mod load;
mod machine;
mod options;
mod plan;
mod process;
mod report;
mod sender;
mod snapshot;
mod soak;
mod store_raw;
mod targets;
mod tcc;

use anyhow::bail;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Options, Role};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match &options.role {
        Some(Role::Echo) => return echo::serve().await,
        Some(Role::Fill { url, transactions }) => return history::fill(url, *transactions).await,
        None => {}
    }
    let mut terminate = signal(SignalKind::terminate())?;
    // Whichever way it ends, the processes that it started end with it.
    tokio::select! {
        done = measure(options) => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn measure(options: Options) -> anyhow::Result<()> {
    match (options.soak, options.history) {
        (Some(minutes), _) => soak::run(&options, minutes).await,
        (None, Some(transactions)) => history::run(&options, transactions).await,
        (None, None) => bench::Bench::new(options)?.run().await,
    }
}
