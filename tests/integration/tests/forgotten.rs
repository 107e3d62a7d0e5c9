//! R5: the coordinator's database is replaced by an older copy while nothing of the coordinator runs, so that nobody but
//! the services remembers what was acknowledged since.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use earnest_integration::{Order, Programs, Stage, eventually};
use serde_json::Value;

const PROGRAMS: Programs = Programs {
    coordinator: env!("CARGO_BIN_EXE_crashing-coordinator"),
    service: env!("CARGO_BIN_EXE_crashing-service"),
};

/// A database of a killed process: the file and its log.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for suffix in ["", "-wal"] {
        let of = |path: &Path| format!("{}{suffix}", path.display());
        match fs::copy(of(from), of(to)) {
            Ok(_) => {}
            Err(_) if !suffix.is_empty() => drop(fs::remove_file(of(to))),
            Err(error) => return Err(error.into()),
        }
    }
    drop(fs::remove_file(format!("{}-shm", to.display())));
    Ok(())
}

fn earnest(stage: &Stage, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = Command::new(PROGRAMS.coordinator)
        .args(arguments)
        .args(["--server", &stage.coordinator.url()])
        .current_dir(stage.directory())
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

async fn readiness(stage: &Stage) -> Result<(u16, Value)> {
    let answer = reqwest::get(format!("{}/readyz", stage.coordinator.url())).await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_service_notices_that_the_coordinator_was_restored() -> Result<()> {
    let mut stage = Stage::set(PROGRAMS)?;
    let database = stage.directory().join("earnest.db");
    let backup = stage.directory().join("backup.db");
    stage.coordinator.start(None).await?;
    stage.consumer.start(None).await?;
    stage.sender.start(None).await?;
    stage.subscribe().await?;
    ensure!(
        stage
            .sender
            .place(Order {
                id: 1,
                doomed: false
            })
            .await?
            == Some(true)
    );
    stage.settled().await?;

    stage.coordinator.process()?.kill().await?;
    copy(&database, &backup)?;
    stage.coordinator.start(None).await?;
    ensure!(
        stage
            .sender
            .place(Order {
                id: 2,
                doomed: false
            })
            .await?
            == Some(true)
    );
    stage.settled().await?;

    stage.coordinator.process()?.kill().await?;
    copy(&backup, &database)?;
    stage.coordinator.start(None).await?;
    ensure!(
        stage.coordinator.transactions().await?.len() == 1,
        "order 2 is forgotten"
    );

    ensure!(
        stage
            .sender
            .place(Order {
                id: 3,
                doomed: false
            })
            .await?
            == Some(false),
        "the service must not be told that all is well"
    );
    let (status, body) = readiness(&stage).await?;
    ensure!(status == 503 && body["reason"] == "database-loss", "{body}");
    let (code, said) = earnest(&stage, &["database", "accept-loss", "--reason", "restored"])?;
    ensure!(
        code == Some(1) && said.contains("nothing was changed"),
        "{said}"
    );
    ensure!(said.contains("may be lost"), "{said}");
    let yes = ["database", "accept-loss", "--reason", "restored", "--yes"];
    let (code, said) = earnest(&stage, &yes)?;
    ensure!(code == Some(0) && said.contains("incarnation 2"), "{said}");

    eventually("the coordinator is ready again", async || {
        let (status, body) = readiness(&stage).await?;
        ensure!(status == 200, "{body}");
        Ok(())
    })
    .await?;
    ensure!(
        stage
            .sender
            .place(Order {
                id: 4,
                doomed: false
            })
            .await?
            == Some(true)
    );
    stage.settled().await
}
