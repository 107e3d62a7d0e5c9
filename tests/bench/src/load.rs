//! Closed-loop load: each caller begins its next transaction when its last one is acknowledged.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    caller::{Caller, Done},
    latency::Latencies,
    ledger::Ledger,
};

/// What the callers saw within the window.
#[derive(Debug, Default)]
pub struct Seen {
    /// Of whole transactions.
    pub transactions: Latencies,
    /// Of each call by itself, where that is known.
    pub calls: Latencies,
    /// Refused because of overload.
    pub refused: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.transactions.add(&other.transactions);
        self.calls.add(&other.calls);
        self.refused += other.refused;
    }
}

/// Runs the callers until the ledger's window ends. Any error but overload ends the run.
pub async fn run(callers: Vec<Caller>, ledger: &Arc<Ledger>) -> anyhow::Result<Seen> {
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn(one(caller, Arc::clone(ledger)));
    }
    let mut seen = Seen::default();
    while let Some(one) = tasks.join_next().await {
        seen.add(&one.context("a caller panicked")??);
    }
    Ok(seen)
}

async fn one(mut caller: Caller, ledger: Arc<Ledger>) -> anyhow::Result<Seen> {
    /// How long one that was refused stays away.
    const BACK_OFF: Duration = Duration::from_millis(5);
    let mut seen = Seen::default();
    let mut warming_up = Latencies::default();
    loop {
        let began = Instant::now();
        if began >= ledger.window().until {
            return Ok(seen);
        }
        let calls = if ledger.window().contains(began) {
            &mut seen.calls
        } else {
            &mut warming_up
        };
        let (number, payload) = ledger
            .begin()
            .context("the run is too long for its ledger")?;
        let done = caller.call(payload, calls).await?;
        let ended = Instant::now();
        match done {
            Done::Acknowledged => {
                ledger.acknowledge(number);
                if ledger.window().contains(ended) {
                    seen.transactions.record(ended - began);
                }
            }
            Done::Refused => {
                seen.refused += 1;
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}
