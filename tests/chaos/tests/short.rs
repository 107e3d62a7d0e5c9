//! A short run with a fixed seed: every kind of fault at least once, or it fails, since it would have proved nothing.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use earnest_chaos::{Options, Programs, Store, clear, run};
use earnest_history::{Event, History, check};

const SEED: u64 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_to_p11_hold_while_everything_is_broken_and_after() -> Result<()> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos-short");
    clear(&directory)?;
    let outcome = run(&Options {
        seed: SEED,
        // Exactly what every run breaks, whatever its seed.
        faults_for: Duration::ZERO,
        store: Store::Sqlite,
        programs: Programs::new(
            env!("CARGO_BIN_EXE_chaos-coordinator"),
            env!("CARGO_BIN_EXE_chaos-service"),
        ),
        directory: directory.clone(),
        strict: std::env::var_os("CI").is_some(),
        narrate: true,
    })
    .await?;
    let told: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(
        outcome.is_good(),
        "{}\n{}\n{}\nthe history and the logs are in {}",
        outcome.summary,
        outcome.gaps.join("\n"),
        told.join("\n"),
        directory.display()
    );
    one_missing_line_would_have_been_noticed(&std::fs::read_to_string(&outcome.history)?);
    clear(&directory)
}

/// The history is not so poor that nothing in it can be wrong: each of its effects counts.
fn one_missing_line_would_have_been_noticed(text: &str) {
    let history = History::parse(text).unwrap();
    let effects = history
        .lines
        .iter()
        .filter(|line| matches!(line.entry.event, Event::Effect { .. }));
    for effect in effects.step_by(97) {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.remove(effect.number - 1);
        let found = check(&History::parse(&lines.join("\n")).unwrap());
        assert!(
            !found.is_empty(),
            "line {} counts for nothing",
            effect.number
        );
    }
}
