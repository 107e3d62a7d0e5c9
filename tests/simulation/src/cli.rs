//! The command line: which seeds, how large, and what is printed.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use earnest_simulation::{Outcome, Plan, Size, Sum, run, run_seed, shrink};

/// Runs that a failing seed may take to be made short.
const SHRINK_RUNS: u32 = 2_000;

/// Runs the coordinator's core under simulated time, network and faults: a seed is a run.
#[derive(Parser)]
#[command(name = "earnest-simulation")]
struct Arguments {
    /// Which seeds: `FIRST..END`, or a count.
    #[arg(long, default_value = "200", value_parser = seeds)]
    seeds: (u64, u64),
    /// Stop after so many hours, although seeds are left; fractions are allowed.
    #[arg(long)]
    hours: Option<f64>,
    /// Operations of one run, on average.
    #[arg(long, default_value_t = Size::default().ops)]
    ops: u32,
    /// Runs at the same time, each on a core of its own.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs one seed and prints all that happens.
    #[arg(long)]
    replay: Option<u64>,
    /// Runs a plan from a file, such as one that a failing seed was shrunk to, and prints all that happens.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Prints the plan of the seed that is replayed, and runs nothing.
    #[arg(long)]
    show_plan: bool,
    /// Goes on after a seed that fails, and does not shrink it.
    #[arg(long)]
    keep_going: bool,
    /// Fails when a legal pair of state and event was not met.
    #[arg(long)]
    full_coverage: bool,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("`{text}` is not a number; give FIRST..END or a count"))
    };
    match text.split_once("..") {
        Some((first, end)) => Ok((number(first)?, number(end)?)),
        None => Ok((0, number(text)?)),
    }
}

/// Does what the command line says; false: something was broken or missed.
pub(crate) fn run_command(out: &mut impl Write) -> io::Result<bool> {
    let arguments = Arguments::parse();
    let size = Size { ops: arguments.ops };
    if let Some(path) = &arguments.plan {
        let plan: Plan = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        return replay(out, &plan);
    }
    if let Some(seed) = arguments.replay {
        let plan = Plan::of(seed, size);
        if arguments.show_plan {
            writeln!(out, "{}", serde_json::to_string_pretty(&plan)?)?;
            return Ok(true);
        }
        return replay(out, &plan);
    }
    search(out, &arguments, size)
}

fn replay(out: &mut impl Write, plan: &Plan) -> io::Result<bool> {
    let outcome = run(plan, true);
    write!(out, "{}", outcome.trace)?;
    writeln!(out, "{} steps, hash {:016x}", outcome.steps, outcome.hash)?;
    for violation in &outcome.violations {
        writeln!(out, "{violation}")?;
    }
    Ok(outcome.is_good())
}

fn search(out: &mut impl Write, arguments: &Arguments, size: Size) -> io::Result<bool> {
    let began = now();
    let limit = arguments
        .hours
        .map(|hours| Duration::from_secs_f64(hours * 3_600.0));
    let (next, stop) = (AtomicU64::new(arguments.seeds.0), AtomicBool::new(false));
    let busy = Mutex::new(Duration::ZERO);
    let (sender, outcomes) = mpsc::sync_channel::<Outcome>(64);
    let mut sum = Sum::default();
    let mut failed = None;
    thread::scope(|scope| -> io::Result<()> {
        for _ in 0..arguments.jobs.max(1) {
            let sender = sender.clone();
            let (next, stop, busy) = (&next, &stop, &busy);
            scope.spawn(move || {
                let own = now();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let late = limit.is_some_and(|limit| began.elapsed() > limit);
                    if seed >= arguments.seeds.1 || late || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if sender.send(run_seed(seed, size)).is_err() {
                        break;
                    }
                }
                *busy.lock().expect("nothing panics in here") += own.elapsed();
            });
        }
        drop(sender);
        for outcome in outcomes {
            sum.add(&outcome);
            if outcome.is_good() {
                continue;
            }
            writeln!(out, "seed {} breaks:", outcome.seed)?;
            for violation in outcome.violations.iter().take(5) {
                writeln!(out, "  {}", shortened(&violation.to_string()))?;
            }
            if !arguments.keep_going && failed.is_none() {
                stop.store(true, Ordering::Relaxed);
                failed = Some(outcome);
            }
        }
        Ok(())
    })?;
    let busy = busy.into_inner().expect("nothing panics in here");
    sum.print(out, began.elapsed(), busy)?;
    if let Some(outcome) = failed {
        make_short(out, &outcome, size)?;
    }
    let missed = sum.coverage.missed();
    let covered = !arguments.full_coverage || missed.is_empty();
    Ok(sum.bad_seeds == 0 && covered)
}

fn shortened(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Shrinks a failing seed, and says how to run it again.
fn make_short(out: &mut impl Write, outcome: &Outcome, size: Size) -> io::Result<()> {
    let seed = outcome.seed;
    writeln!(
        out,
        "\nreplay it: earnest-simulation --replay {seed} --ops {}",
        size.ops
    )?;
    let invariant = outcome.violations[0].invariant;
    let Some(shrunk) = shrink(&Plan::of(seed, size), invariant, SHRINK_RUNS) else {
        return writeln!(out, "it does not fail again: the run is not deterministic");
    };
    let name = format!("simulation-{seed}-{invariant}.json");
    std::fs::write(&name, serde_json::to_string_pretty(&shrunk.plan)?)?;
    writeln!(
        out,
        "shrunk to {} operations and {} faults in {} runs: earnest-simulation --plan {name}",
        shrunk.plan.ops.len(),
        shrunk.plan.faults.len(),
        shrunk.runs
    )?;
    for violation in shrunk.outcome.violations.iter().take(5) {
        writeln!(out, "  {}", shortened(&violation.to_string()))?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what runs cost is measured on the machine's clock; nothing in a run reads it"
)]
fn now() -> Instant {
    Instant::now()
}
