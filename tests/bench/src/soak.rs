//! Whether the coordinator's memory stays flat: steady load for minutes, and what it holds meanwhile.
//!
//! Finished history is kept for a minute only, so that it is purged under load too, and the disk is not filled.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::time::Instant;

use crate::{
    bench::drain,
    caller::{self, Caller, GrpcCaller},
    consumer::Consumer,
    coordinator::{Coordinator, Site, TOPIC},
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

/// Runs for `minutes`.
pub async fn run(options: &Options, minutes: f64) -> anyhow::Result<()> {
    let site = Site::find(options.directory.clone())?;
    let settings = ["retention=1m", "purge_every=5s"];
    let coordinator = Coordinator::start(&site, &settings).await?;
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
        "\n{:.0} acknowledged and {:.0} delivered per second; p99 {:.1} ms; {:.3} s of backlog at the end",
        seen.transactions.count() as f64 / seconds,
        ledger.timely().count() as f64 / seconds,
        seen.transactions.percentile(99.0),
        backlog.as_secs_f64()
    ))?;
    let (first, last) = quarters(&samples).context("too short for samples")?;
    let flat = last <= (first * 1.1).max(first + NOISE_MIB);
    say(format!(
        "{:<8} memory of the coordinator: {first:.1} MiB in the first quarter, {last:.1} MiB in the last (at most a tenth or \
         {NOISE_MIB:.0} MiB more)",
        if flat { "MET" } else { "NOT MET" }
    ))
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

/// The means of the first and of the last quarter.
fn quarters(samples: &[f64]) -> Option<(f64, f64)> {
    let size = samples.len() / 4;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (size > 0).then(|| {
        (
            mean(&samples[..size]),
            mean(&samples[samples.len() - size..]),
        )
    })
}
