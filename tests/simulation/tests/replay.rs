//! The same seed does the same to the last step, in another process too.

use std::process::Command;

use earnest_simulation::{Plan, Size, run, run_seed};

fn trace_of_a_process(seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_earnest-simulation"))
        .args(["--replay", &seed.to_string(), "--ops", "200"])
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "seed {seed}: {output:?}");
    String::from_utf8(output.stdout).expect("a trace is text")
}

#[test]
fn two_processes_agree_in_every_line() {
    for seed in [1, 2, 3, 5, 8, 13] {
        let (one, other) = (trace_of_a_process(seed), trace_of_a_process(seed));
        assert!(one.lines().count() > 100, "seed {seed} does something");
        assert!(one == other, "seed {seed} differs between two processes");
    }
}

#[test]
fn seeds_differ_and_repeat() {
    let size = Size { ops: 100 };
    let hashes: Vec<_> = (0..20).map(|seed| run_seed(seed, size).hash).collect();
    let again: Vec<_> = (0..20).map(|seed| run_seed(seed, size).hash).collect();
    assert_eq!(hashes, again);
    let different: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
}

#[test]
fn the_text_of_a_trace_changes_nothing() {
    let plan = Plan::of(4, Size { ops: 100 });
    assert_eq!(run(&plan, true).hash, run(&plan, false).hash);
}
