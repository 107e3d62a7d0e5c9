//! `earnest-chaos run` breaks things and checks what became of it; `earnest-chaos check FILE` checks a history.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use earnest_chaos::{Kind, Options, Outcome, Programs, Store, clear, clock, run};
use earnest_history::{History, Summary, Violation, check};

/// The shipped coordinator and real services, killed, paused, cut off and starved; what happened is checked offline.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs from seed to seed until the time is over or something is broken.
    Run(Run),
    /// Checks a history that was kept.
    Check {
        /// JSON lines, as docs/chaos.md says.
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum StoreName {
    /// One coordinator, over a file.
    Sqlite,
    /// Two coordinators, over one server.
    Postgres,
}

#[derive(clap::Args)]
struct Run {
    /// The first seed; by default one of the clock's.
    #[arg(long)]
    seed: Option<u64>,
    /// How long to go on with further seeds.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// How long each seed breaks things at least.
    #[arg(long, default_value_t = 45)]
    seconds: u64,
    /// Where the coordinator keeps everything.
    #[arg(long, value_enum, default_value_t = StoreName::Sqlite)]
    store: StoreName,
    /// The coordinator to run; by default `earnest` beside this program.
    #[arg(long)]
    coordinator: Option<PathBuf>,
    /// The service to run; by default `chaos-service` beside this program.
    #[arg(long)]
    service: Option<PathBuf>,
    /// NAME=VALUE for the coordinator's environment; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    coordinator_env: Vec<(String, String)>,
    /// NAME=VALUE for the services' environment; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    service_env: Vec<(String, String)>,
    /// Where histories, logs and databases go; a seed that is good leaves nothing there.
    #[arg(long, default_value = "target/chaos")]
    directory: PathBuf,
    /// Keep the history of good seeds as well.
    #[arg(long)]
    keep: bool,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let parsed = text.split_once('=');
    let parsed = parsed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    parsed.ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let good = match Args::parse().command {
        Command::Run(run) => run.go().await?,
        Command::Check { file } => check_file(&file)?,
    };
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Run {
    async fn go(self) -> Result<bool> {
        let first = self
            .seed
            .unwrap_or_else(|| clock::unix_millis() % 1_000_000);
        let began = tokio::time::Instant::now();
        for seed in first.. {
            let options = self.options(seed)?;
            say(&format!("seed {seed}, in {}", options.directory.display()));
            clear(&options.directory)?;
            let outcome = run(&options).await;
            if !report(&outcome) {
                say(&format!(
                    "FAILED. What is left is in {}. Again: make chaos SEED={seed}",
                    options.directory.display()
                ));
                return Ok(false);
            }
            if !self.keep {
                clear(&options.directory)?;
            }
            if began.elapsed() >= Duration::from_secs(self.minutes * 60) {
                break;
            }
        }
        Ok(true)
    }

    fn options(&self, seed: u64) -> Result<Options> {
        let me = std::env::current_exe()?;
        let beside = me.parent().context("this program is nowhere")?;
        let program = |given: &Option<PathBuf>, name: &str| {
            given.clone().unwrap_or_else(|| beside.join(name))
        };
        let mut programs = Programs::new(
            program(&self.coordinator, "earnest").canonicalize()?,
            program(&self.service, "chaos-service").canonicalize()?,
        );
        programs
            .coordinator_environment
            .clone_from(&self.coordinator_env);
        programs.service_environment.clone_from(&self.service_env);
        Ok(Options {
            seed,
            faults_for: Duration::from_secs(self.seconds),
            kinds: Kind::ALL.to_vec(),
            hurry: false,
            store: match self.store {
                StoreName::Sqlite => Store::Sqlite,
                StoreName::Postgres => Store::Postgres,
            },
            programs,
            directory: self.directory.join(format!("seed-{seed}")),
            strict: std::env::var_os("CI").is_some(),
            narrate: true,
        })
    }
}

fn report(outcome: &Result<Outcome>) -> bool {
    match outcome {
        Ok(outcome) => {
            say(&outcome.summary.to_string());
            for kind in &outcome.left_out {
                say(&format!(
                    "not tried, since this machine does not allow it: {kind}"
                ));
            }
            for gap in &outcome.gaps {
                say(&format!("it proves nothing: {gap}"));
            }
            tell(&outcome.violations);
            outcome.is_good()
        }
        Err(error) => {
            say(&format!("{error:#}"));
            false
        }
    }
}

fn check_file(file: &Path) -> Result<bool> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let history = History::parse(&text).with_context(|| file.display().to_string())?;
    say(&Summary::of(&history).to_string());
    let violations = check(&history);
    tell(&violations);
    let lines: Vec<&str> = text.lines().collect();
    for violation in &violations {
        for line in &violation.lines {
            say(&format!("{line}: {}", lines[line - 1]));
        }
    }
    Ok(violations.is_empty())
}

fn tell(violations: &[Violation]) {
    for violation in violations {
        say(&violation.to_string());
    }
    if violations.is_empty() {
        say("nothing is broken: M1-M6, K1-K3, P9, T1-T5, V1 hold");
    }
}

#[expect(clippy::print_stdout, reason = "this is what its output is for")]
fn say(what: &str) {
    println!("{what}");
}
