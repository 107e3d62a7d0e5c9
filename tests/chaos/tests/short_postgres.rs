//! A short run of two coordinators over one PostgreSQL: both are killed, and paused past their lease, and so is the server killed;
//! what one holds the other takes over, and at rest both show the same.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use earnest_chaos::{Kind, Options, Programs, Store, clear, run};

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
    assert!(
        outcome.is_good(),
        "{}\n{}\nit proved nothing: {:?}\nthe history and the logs are in {}",
        outcome.summary,
        told.join("\n"),
        outcome.gaps,
        directory.display()
    );
    eprintln!("{}", outcome.summary);
    clear(&directory)
}
