//! The commands that README and docs show are commands that work: every line of a shell block that begins with `earnest`
//! or `curl` runs against a live coordinator, with a real transaction for `ID`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use earnest_integration::{Order, Programs, Stage};

const PROGRAMS: Programs = Programs {
    coordinator: env!("CARGO_BIN_EXE_crashing-coordinator"),
    service: env!("CARGO_BIN_EXE_crashing-service"),
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of the shell blocks of a page that begin with `program`, continued lines joined, comments cut.
fn commands(page: &str, program: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join(page)).with_context(|| page.to_owned())?;
    let mut found = Vec::new();
    let mut in_shell = false;
    for line in text.replace("\\\n", " ").lines() {
        let line = line.trim();
        if let Some(language) = line.strip_prefix("```") {
            in_shell = !in_shell && matches!(language, "sh" | "bash" | "console");
        } else if in_shell && line.trim_start_matches("$ ").starts_with(program) {
            let line = line.trim_start_matches("$ ");
            let line = line.split("  #").next().unwrap_or(line);
            found.push(line.trim().to_owned());
        }
    }
    Ok(found)
}

/// Runs a line as a shell would, with `earnest` being the program under test.
fn run(line: &str, stage: &Stage, id: &str) -> Result<Output> {
    let line = line
        .replace("01890a5d-…", id)
        .replace(" ID", &format!(" {id}"));
    let line = format!("earnest() {{ \"$PROGRAM\" \"$@\"; }}; {line}");
    Command::new("bash")
        .args(["-c", &line])
        .env("PROGRAM", PROGRAMS.coordinator)
        .env("EARNEST_SERVER", stage.coordinator.url())
        .current_dir(stage.directory())
        .output()
        .with_context(|| line.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_shown_in_readme_and_docs_work() -> Result<()> {
    let mut stage = Stage::set(PROGRAMS)?;
    stage.coordinator.start(None).await?;
    stage.subscribe().await?;
    stage.consumer.start(None).await?;
    stage.sender.start(None).await?;
    stage
        .sender
        .place(Order {
            id: 1,
            doomed: false,
        })
        .await?;
    stage.settled().await?;
    let all = stage.coordinator.transactions().await?;
    let id = all[0]["id"].as_str().context("one transaction")?;

    let mut ran = 0;
    for page in [
        "README.md",
        "docs/operations.md",
        "docs/sdk.md",
        "docs/cli.md",
        "docs/backup.md",
    ] {
        for line in commands(page, "earnest ")? {
            if line.starts_with("earnest serve") {
                continue;
            }
            let output = run(&line, &stage, id)?;
            let said = String::from_utf8_lossy(&output.stderr);
            // A finished transaction can't be parked, say; but the command itself must be one.
            let code = output.status.code();
            ensure!(
                matches!(code, Some(0 | 1)),
                "{page}: `{line}` ended with {code:?}: {said}"
            );
            ran += 1;
        }
    }
    ensure!(
        ran >= 5,
        "only {ran} commands were found: the pages or this test have changed their form"
    );
    Ok(())
}
