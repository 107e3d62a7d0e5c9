//! `earnest config`, and mistakes at the start.

use super::support::{alone, earnest, run};

#[test]
fn mistakes_are_told_together_and_nothing_starts() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("earnest.toml"),
        "lisen = \"127.0.0.1:0\"\npoll_ms = 0\n",
    )
    .unwrap();
    let mut command = earnest(directory.path());
    command
        .args(["serve", "--set", "journal.batch=1"])
        .env("EARNEST_LOG_LEVEL", "loud");
    let done = run(&mut command).failed(2);
    for part in [
        "4 mistakes",
        "did you mean `listen`?",
        "poll_ms",
        "EARNEST_LOG_LEVEL",
        "journal.batch",
    ] {
        assert!(done.err.contains(part), "{part}: {done:#?}");
    }
    assert!(done.out.is_empty());
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing was created");
}

#[test]
fn the_effective_configuration_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("earnest.toml");
    std::fs::write(
        &path,
        "retention = \"2d\"\n[[subscription]]\nname = \"a\"\ntopic = \"t\"\nservice = \"s\"\n",
    )
    .unwrap();
    let mut command = earnest(directory.path());
    let shown = run(command
        .args(["config", "--listen", "localhost:7000"])
        .env("EARNEST_POLL_MS", "50"))
    .ok()
    .out;
    for part in [
        "# earnest.toml, line 1",
        "# EARNEST_POLL_MS",
        "listen = \"127.0.0.1:7000\"",
        "[[subscription]]",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    std::fs::write(&path, &shown).unwrap();
    let again = run(earnest(directory.path()).arg("config")).ok().out;
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
            .collect()
    };
    assert_eq!(values(&shown), values(&again));
}

#[test]
fn check_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let done = run(earnest(directory.path()).args(["serve", "--check"])).ok();
    assert!(done.out.contains("is right"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn the_sample_is_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let sample = alone(&["config", "--example"]).ok().out;
    std::fs::write(directory.path().join("earnest.toml"), sample).unwrap();
    run(earnest(directory.path()).args(["serve", "--check"])).ok();
}

#[test]
fn listening_for_others_is_warned_about() {
    let done = alone(&["serve", "--check", "--listen", "0.0.0.0:7450"]).ok();
    assert!(done.err.contains("NO AUTHENTICATION"), "{done:#?}");
}
