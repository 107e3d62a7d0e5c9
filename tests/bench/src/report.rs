//! What was measured: as a table for people, as JSON for programs.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::{latency::Latencies, options::Case};

/// One measurement. The names are read by others: they stay.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub case: &'static str,
    pub store: String,
    pub transport: &'static str,
    /// Callers at once; commands of a batch where there are no callers.
    pub in_flight: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// False: each command is committed by itself, for comparison.
    pub batched: bool,
    /// As the live connection says.
    pub durability: String,
}

impl Record {
    /// A measurement of `seconds`.
    pub fn new(
        case: Case,
        transport: &'static str,
        in_flight: usize,
        seen: &Latencies,
        seconds: f64,
    ) -> Self {
        Self {
            case: case.name(),
            store: "none".into(),
            transport,
            in_flight,
            per_second: rounded(seen.count() as f64 / seconds),
            p50_ms: rounded(seen.percentile(50.0)),
            p99_ms: rounded(seen.percentile(99.0)),
            batched: true,
            durability: "none".into(),
        }
    }

    pub fn kept_in(mut self, store: &str, durability: &str, batched: bool) -> Self {
        store.clone_into(&mut self.store);
        durability.clone_into(&mut self.durability);
        self.batched = batched;
        self
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// Says one line.
pub fn say(line: impl AsRef<str>) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", line.as_ref())?;
    Ok(stdout.flush()?)
}

/// The table's head.
pub fn say_head() -> anyhow::Result<()> {
    say(format!(
        "{:<22} {:<9} {:>9}  {:<8} {:>10} {:>9} {:>9}  notes",
        "case", "transport", "in flight", "batches", "per second", "p50 ms", "p99 ms"
    ))
}

/// One line of the table.
pub fn say_record(record: &Record, notes: &str) -> anyhow::Result<()> {
    let Record {
        case,
        transport,
        in_flight,
        per_second,
        p50_ms,
        p99_ms,
        ..
    } = record;
    let batches = if record.batched { "yes" } else { "of one" };
    say(format!(
        "{case:<22} {transport:<9} {in_flight:>9}  {batches:<8} {per_second:>10.0} {p50_ms:>9.2} {p99_ms:>9.2}  {notes}"
    ))
}

/// Writes all of it, as one file that is there whole or not at all.
pub fn write(records: &[Record], path: &Path) -> anyhow::Result<()> {
    let failed = || format!("{} can't be written", path.display());
    if path.exists() && !path.is_file() {
        bail!(
            "--out {}: this is no file; name one, such as bench-results/latest.json",
            path.display()
        );
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(failed)?;
    }
    let mut text = serde_json::to_string_pretty(records)?;
    text.push('\n');
    let unfinished = path.with_extension("json.unfinished");
    fs::write(&unfinished, text).with_context(failed)?;
    fs::rename(&unfinished, path).with_context(failed)
}
