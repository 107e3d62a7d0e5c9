//! Measures how fast the coordinator is on this machine, and prints beside it what the machine could do without it: gRPC
//! alone, the store alone, the disk alone.
//!
//! The coordinator is the real binary in a process of its own, with a fresh SQLite file per measurement and fsync on; this
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
mod disk;
mod echo;
mod latency;
mod ledger;
mod load;
mod machine;
mod options;
mod plan;
mod process;
mod report;
mod sender;
mod soak;
mod store_raw;
mod targets;

use anyhow::bail;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Options, Role};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(Role::Echo) = options.role {
        return echo::serve().await;
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
    match options.soak {
        Some(minutes) => soak::run(&options, minutes).await,
        None => bench::Bench::new(options)?.run().await,
    }
}
