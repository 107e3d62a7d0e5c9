//! Puts a load of customers on a platform that is running, and tells what became of their payments.

use std::{io::Write, sync::Arc, time::Duration};

use clap::Parser;
use payments::load::{Customers, Record};
use tokio::time::Instant;

/// Lets customers pay: out of balance, coupons and credit, patient and impatient, and not always with what they need.
#[derive(Parser)]
struct Flags {
    /// The cashier.
    #[arg(long)]
    cashier: String,
    /// Who gives out red packets.
    #[arg(long)]
    coupon: String,
    /// How many customers are served at the same time.
    #[arg(long, default_value_t = 8)]
    customers: usize,
    /// How many payments they ask for, all together.
    #[arg(long, default_value_t = 1_000)]
    payments: u32,
    /// What they want is drawn from it; also what ids begin with, so that each seed pays once.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let record = Arc::new(Record::default());
    let run = format!("load-{}-", flags.seed);
    let customers = Customers::new(
        flags.cashier,
        flags.coupon,
        run,
        flags.seed,
        Arc::clone(&record),
    )?;
    let since = Instant::now();
    customers.shop(flags.customers, flags.payments).await?;
    let seconds = since.elapsed().as_secs_f64();
    let counts = record.counts();
    let mut rows = vec![("made, refunds included".to_owned(), counts.made)];
    let refused = counts.refused.iter();
    rows.extend(refused.map(|(reason, count)| (format!("refused: {reason}"), *count)));
    rows.push(("hung up".to_owned(), counts.hung_up));
    rows.push(("asked again, not paid again".to_owned(), counts.repeats));
    let mut out = std::io::stdout().lock();
    for (what, count) in rows {
        writeln!(out, "{what:<48}{count:>8}")?;
    }
    let latencies = record.latencies();
    let at = |permille: usize| {
        let at = (latencies.len() * permille / 1_000).min(latencies.len().saturating_sub(1));
        latencies.get(at).map_or(0.0, Duration::as_secs_f64) * 1_000.0
    };
    writeln!(
        out,
        "{:.0} made per second; p50 {:.1} ms, p99 {:.1} ms",
        counts.made as f64 / seconds,
        at(500),
        at(990)
    )?;
    Ok(())
}
