//! Whether what is over slows down what is not: the same load in turn on an empty database and on one full of finished
//! history, and then on the full one while somebody holds an old snapshot open, as a forgotten session or a backup does.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use earnest_store::{
    History, MySqlOptions, MySqlStore, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore,
};

use crate::{
    bench::drain,
    caller::{self, Caller, GrpcCaller},
    clock::SystemClock,
    consumer::Consumer,
    coordinator::{Coordinator, Site, TOPIC},
    database::{self, Database, Kind},
    latency::Window,
    ledger::Ledger,
    load,
    options::Options,
    report::say,
    snapshot::Snapshot,
};

const CALLERS: u64 = 64;
/// The history is as long as this, and none of it is purged meanwhile.
const OVER: Duration = Duration::from_hours(24 * 7);
const SETTINGS: [&str; 1] = ["retention=30d"];
/// Bytes of each payload of the history.
const PAYLOAD: u32 = 256;
/// Windows on each of the two, in turn: their medians are compared.
const ROUNDS: usize = 3;
/// Consecutive windows while the snapshot is held: the last one counts, since what can't be tidied away grows.
const HELD: usize = 6;

/// Fills the database at `url`, which must be empty.
pub async fn fill(url: &str, transactions: u64) -> anyhow::Result<()> {
    let history = History {
        transactions,
        payload: PAYLOAD,
        over: OVER,
    };
    let mut said = 0;
    let told = |done: u64| {
        if done >= said + transactions / 10 {
            said = done;
            // Progress only: what can't be said is not worth failing for.
            let _ = say(format!("{done} of {transactions} transactions"));
        }
    };
    if url.starts_with("postgres") {
        let store = PostgresStore::open(PostgresOptions::new(url)).await?;
        store.fill(history, told).await?;
    } else if url.starts_with("mysql") {
        let store = MySqlStore::open(MySqlOptions::new(url)).await?;
        store.fill(history, told).await?;
    } else {
        let options = SqliteOptions::new(url);
        let open = move || SqliteStore::open(options, Arc::new(SystemClock));
        let store = tokio::task::spawn_blocking(open).await??;
        store.fill(history, told).await?;
        // Closing waits for the database.
        tokio::task::spawn_blocking(move || drop(store)).await?;
    }
    Ok(())
}

/// Measures, and says what each was. Fails where a target is missed.
pub async fn run(options: &Options, transactions: u64) -> anyhow::Result<()> {
    database::ensure_disk(options.store)?;
    let site = Site::find(options.directory.clone())?;
    let consumer = Consumer::default();
    let consumer_url = consumer.serve()?;
    let directory = site.fresh_directory()?;
    let full = match (&options.history_url, options.store) {
        (Some(url), _) => Database::Named(url.clone()),
        (None, Kind::Sqlite) => {
            let file = directory.path().join("full.db");
            Database::Named(file.display().to_string())
        }
        (None, Kind::Postgres | Kind::Mysql) => Database::fresh(options.store).await,
    };
    if options.history_url.is_none() {
        fill(full.name(), transactions).await?;
    }
    say(format!(
        "{transactions} finished transactions over {} days; {CALLERS} callers, windows of {:.0} s",
        OVER.as_secs() / 86_400,
        options.window().as_secs_f64()
    ))?;
    let load = Load {
        options,
        site,
        consumer,
        consumer_url,
    };
    let (mut of_empty, mut of_full) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let empty = Database::fresh(options.store).await;
        of_empty.extend(load.windows(&empty, "empty", 1).await?);
        empty.remove().await?;
        of_full.extend(load.windows(&full, "full", 1).await?);
    }
    let (empty_rate, full_rate) = (median(of_empty), median(of_full));
    let size = full_rate / empty_rate;
    say(format!(
        "\n{:<8} full: {size:.3} x empty (at least 0.9 x)",
        verdict(size >= 0.9)
    ))?;
    let Some(snapshot) = Snapshot::hold(options.store, full.name()).await? else {
        return Ok(());
    };
    let of_held = load.windows(&full, "full, snapshot", HELD).await?;
    snapshot.release().await?;
    let held = of_held.last().copied().context("no window")?;
    let age = held / full_rate;
    say(format!(
        "{:<8} with a snapshot held open for {:.0} s: {age:.3} x full (at least 0.667 x)",
        verdict(age >= 2.0 / 3.0),
        options.window().as_secs_f64() * HELD as f64,
    ))
}

fn verdict(met: bool) -> &'static str {
    if met { "MET" } else { "NOT MET" }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

struct Load<'a> {
    options: &'a Options,
    site: Site,
    consumer: Consumer,
    consumer_url: String,
}

impl Load<'_> {
    /// Transactions acknowledged per second, in `count` windows one after the other.
    async fn windows(
        &self,
        database: &Database,
        name: &str,
        count: usize,
    ) -> anyhow::Result<Vec<f64>> {
        let set = self.options.set.iter().map(String::as_str);
        let settings = SETTINGS.into_iter().chain(set);
        let mut coordinator = Coordinator::start(&self.site, database, settings).await?;
        let mut rates = Vec::new();
        for at in 0..count {
            let rate = self.window(&coordinator, name, at == 0).await;
            rates.push(coordinator.explain(rate)?);
        }
        Ok(rates)
    }

    async fn window(
        &self,
        coordinator: &Coordinator,
        name: &str,
        is_first: bool,
    ) -> anyhow::Result<f64> {
        if is_first {
            coordinator.subscribe(&self.consumer_url).await?;
        }
        let window = Window::from_now(self.options.warm_up(), self.options.window());
        let ledger = Arc::new(Ledger::new(window));
        self.consumer.count_into(Arc::clone(&ledger));
        let channels = caller::connect(&coordinator.url, self.options.connections).await?;
        let over = (0..CALLERS).zip(channels.iter().cycle());
        let callers = over.map(|(n, channel)| {
            Caller::Grpc(Box::new(GrpcCaller::new(channel.clone(), TOPIC, true, n)))
        });
        let seen = load::run(callers.collect(), &ledger).await?;
        drain(&ledger).await?;
        let rate = seen.transactions.count() as f64 / window.seconds();
        say(format!(
            "{name:<16} {rate:>8.0} per second, p50 {:.1} ms, p99 {:.1} ms; {}",
            seen.transactions.percentile(50.0),
            seen.transactions.percentile(99.0),
            coordinator.durability.settings
        ))?;
        Ok(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_window_is_no_median() {
        assert!((median(vec![9.0, 1.0, 10.0]) - 9.0).abs() < f64::EPSILON);
    }
}
