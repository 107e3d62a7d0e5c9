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
use earnest_simulation::{FEWEST_KINDS, Level, Outcome, Plan, Size, Sum, run, shrink};

/// Runs that a failing seed may take to be made short.
const SHRINK_RUNS: u32 = 2_000;

/// Between two lines that say how far it is.
const PROGRESS: Duration = Duration::from_secs(15);

/// Runs coordinators and services under simulated time, network and faults: a seed is a run.
#[derive(Parser)]
#[command(name = "earnest-simulation")]
struct Arguments {
    /// How much of the system is real.
    #[arg(long, value_enum, default_value_t)]
    level: Level,
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
    /// Fails when a seed met too few kinds of fault, or, at the level of commands, no seed a legal pair of state and event.
    #[arg(long)]
    thorough: bool,
}

impl Arguments {
    fn plan_of(&self, seed: u64) -> Plan {
        Plan::of(seed, Size { ops: self.ops }).at(self.level)
    }

    fn replay_with(&self, seed: u64) -> String {
        let level = match self.level {
            Level::Commands => "",
            Level::Wire => " --level wire",
        };
        format!(
            "earnest-simulation --replay {seed} --ops {}{level}",
            self.ops
        )
    }
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
    if let Some(path) = &arguments.plan {
        let plan: Plan = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        return replay(out, &plan);
    }
    if let Some(seed) = arguments.replay {
        let plan = arguments.plan_of(seed);
        if arguments.show_plan {
            writeln!(out, "{}", serde_json::to_string_pretty(&plan)?)?;
            return Ok(true);
        }
        return replay(out, &plan);
    }
    search(out, &arguments)
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

fn search(out: &mut impl Write, arguments: &Arguments) -> io::Result<bool> {
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
                    let outcome = run(&arguments.plan_of(seed), false);
                    if sender.send(outcome).is_err() {
                        break;
                    }
                }
                *busy.lock().expect("nothing panics in here") += own.elapsed();
            });
        }
        drop(sender);
        let mut said = began;
        for outcome in outcomes {
            sum.add(&outcome);
            if said.elapsed() > PROGRESS {
                said = now();
                let (seeds, of) = (sum.seeds, arguments.seeds.1 - arguments.seeds.0);
                let transactions = sum.transactions;
                writeln!(out, "{seeds} of {of} seeds, {transactions} transactions")?;
            }
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
        make_short(out, arguments, &outcome)?;
    }
    let is_thorough = !arguments.thorough || thorough(out, arguments.level, &sum)?;
    Ok(sum.bad_seeds == 0 && is_thorough)
}

/// Whether the search met what a long one must meet; says what it did not.
fn thorough(out: &mut impl Write, level: Level, sum: &Sum) -> io::Result<bool> {
    if sum.calm_seeds > 0 {
        let calm = sum.calm_seeds;
        writeln!(
            out,
            "NOT THOROUGH: {calm} seeds met fewer than {FEWEST_KINDS} kinds of fault"
        )?;
    }
    // Liars and those who are asked without a fence exist at the level of commands only.
    let missed = match level {
        Level::Commands => sum.coverage.missed(),
        Level::Wire => vec![],
    };
    for (state, event) in &missed {
        writeln!(out, "NOT THOROUGH: no seed met {state:?} × {event:?}")?;
    }
    Ok(sum.calm_seeds == 0 && missed.is_empty())
}

fn shortened(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Shrinks a failing seed, and says how to run it again.
fn make_short(out: &mut impl Write, arguments: &Arguments, outcome: &Outcome) -> io::Result<()> {
    let seed = outcome.seed;
    writeln!(out, "\nreplay it: {}", arguments.replay_with(seed))?;
    let invariant = outcome.violations[0].invariant;
    let Some(shrunk) = shrink(&arguments.plan_of(seed), invariant, SHRINK_RUNS) else {
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
