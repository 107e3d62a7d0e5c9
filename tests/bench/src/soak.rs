//! Whether the coordinator's memory stays flat: steady load for minutes, and what it holds meanwhile.
//!
//! Finished history is kept for a minute only, so that it is purged under load too, and the disk is not filled.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::Instant;

use crate::{
    bench::drain,
    caller::{self, Caller, GrpcCaller},
    consumer::Consumer,
    coordinator::{Coordinator, Site, TOPIC},
    database::{self, Database},
    latency::Window,
    ledger::Ledger,
    load,
    options::Options,
    process,
    report::say,
};

const CALLERS: u64 = 64;
const SAMPLE: Duration = Duration::from_secs(1);
/// Every how many samples one is said.
const SAID: usize = 30;
/// What growth between the first and the last quarter is noise: a tenth, or this much.
const NOISE_MIB: f64 = 16.0;
/// The part of the run in which caches fill and history comes to its length; it is not judged.
const FILLING: f64 = 0.2;

/// Runs for `minutes`; fails when memory grew, or when deliveries fell behind.
pub async fn run(options: &Options, minutes: f64) -> anyhow::Result<()> {
    let site = Site::find(options.directory.clone())?;
    database::ensure_disk(options.store)?;
    let database = Database::fresh(options.store).await;
    let settings = ["retention=1m", "purge_every=5s"].map(str::to_owned);
    let settings = settings.iter().chain(&options.set);
    let mut coordinator = Coordinator::start(&site, &database, settings).await?;
    say(format!(
        "{}: {}",
        coordinator.durability.store, coordinator.durability.settings
    ))?;
    let judged = load_and_judge(options, minutes, &coordinator).await;
    coordinator.explain(judged)
}

async fn load_and_judge(
    options: &Options,
    minutes: f64,
    coordinator: &Coordinator,
) -> anyhow::Result<()> {
    let consumer = Consumer::default();
    coordinator.subscribe(&consumer.serve()?).await?;
    let window = Window::from_now(options.warm_up(), Duration::from_secs_f64(minutes * 60.0));
    let ledger = Arc::new(Ledger::new(window));
    consumer.count_into(Arc::clone(&ledger));
    let channels = caller::connect(&coordinator.url, options.connections).await?;
    let over = (0..CALLERS).zip(channels.iter().cycle());
    let callers = over.map(|(n, channel)| {
        Caller::Grpc(Box::new(GrpcCaller::new(channel.clone(), TOPIC, true, n)))
    });
    let load = load::run(callers.collect(), &ledger);
    say(format!(
        "{CALLERS} callers for {minutes} minutes; history is kept for a minute\n"
    ))?;
    let (seen, samples) = tokio::try_join!(load, sample(coordinator.process, window, &ledger))?;
    drain(&ledger).await?;
    let seconds = window.seconds();
    let (backlog, _) = ledger.backlog();
    say(format!(
        "\n{:.0} acknowledged and {:.0} delivered per second; p99 {:.1} ms; {} duplicates",
        seen.transactions.count() as f64 / seconds,
        ledger.timely().count() as f64 / seconds,
        seen.transactions.percentile(99.0),
        ledger.duplicates()
    ))?;
    let mut met = true;
    let mut judge = |holds: bool, target: String| {
        met &= holds;
        say(format!(
            "{:<8} {target}",
            if holds { "MET" } else { "NOT MET" }
        ))
    };
    let (first, last) = quarters(&samples).context("too short for samples")?;
    judge(
        is_flat(first, last),
        format!(
            "memory of the coordinator once it was filled: {first:.1} MiB in the first quarter, {last:.1} MiB in the last \
             (at most a tenth or {NOISE_MIB:.0} MiB more)"
        ),
    )?;
    let behind = backlog.as_secs_f64();
    judge(
        behind < 1.0,
        format!("{behind:.3} s of backlog at the end (under 1 s)"),
    )?;
    ensure!(met, "the soak has not met its targets");
    Ok(())
}

fn is_flat(first: f64, last: f64) -> bool {
    last <= (first * 1.1).max(first + NOISE_MIB)
}

/// The memory that the process holds, in MiB, once a second within the window.
async fn sample(process: u32, window: Window, ledger: &Ledger) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::new();
    tokio::time::sleep_until(window.from).await;
    while window.contains(Instant::now()) {
        let mib = process::resident(process)? as f64 / f64::from(1 << 20);
        if samples.len() % SAID == 0 {
            say(format!(
                "{:>6} s  {mib:>8.1} MiB  {:>10} delivered",
                samples.len(),
                ledger.arrivals()
            ))?;
        }
        samples.push(mib);
        tokio::time::sleep(SAMPLE).await;
    }
    Ok(samples)
}

/// The means of the first and of the last quarter of what came after the filling.
fn quarters(samples: &[f64]) -> Option<(f64, f64)> {
    let samples = &samples[(samples.len() as f64 * FILLING) as usize..];
    let size = samples.len() / 4;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (size > 0).then(|| {
        (
            mean(&samples[..size]),
            mean(&samples[samples.len() - size..]),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_filling_and_noise() {
        let judged = |memory: &dyn Fn(usize) -> f64| {
            let samples: Vec<_> = (0..600).map(memory).collect();
            let (first, last) = quarters(&samples).unwrap();
            is_flat(first, last)
        };
        assert!(judged(&|n| if n < 100 { n as f64 } else { 100.0 }));
        assert!(judged(&|n| 100.0 + (n % 10) as f64));
        // 4 MiB a minute, and what would be a tenth more of a large process.
        assert!(!judged(&|n| 100.0 + n as f64 / 15.0));
        assert!(!judged(&|n| 1_000.0 + n as f64 / 2.0));
        assert!(quarters(&[1.0; 3]).is_none());
    }
}
