//! A short run of two coordinators over one PostgreSQL: both are killed, and paused past their lease, and so is the server killed;
//! what one holds the other takes over, and at rest both show the same.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use earnest_chaos::{Kind, Options, Programs, Store, clear, run};

/// Of two coordinators one mostly hears the confirm, so that nobody has to ask; the run over SQLite shows that somebody asks.
const LEFT_TO_THE_OTHER: &str = "never a check-back answered with committed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_to_p11_hold_of_two_nodes_over_one_database() -> Result<()> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos-short-postgres");
    clear(&directory)?;
    let outcome = run(&Options {
        seed: 7,
        faults_for: Duration::ZERO,
        kinds: vec![
            Kind::Kill,
            Kind::Pause,
            Kind::DatabaseKill,
            Kind::Orphan,
            Kind::Unconfirmed,
        ],
        hurry: false,
        store: Store::Postgres,
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
    let gaps: Vec<_> = outcome
        .gaps
        .iter()
        .filter(|gap| gap.as_str() != LEFT_TO_THE_OTHER)
        .collect();
    assert!(
        told.is_empty() && gaps.is_empty(),
        "{}\n{}\nit proved nothing: {gaps:?}\nthe history and the logs are in {}",
        outcome.summary,
        told.join("\n"),
        directory.display()
    );
    eprintln!("{}", outcome.summary);
    clear(&directory)
}
