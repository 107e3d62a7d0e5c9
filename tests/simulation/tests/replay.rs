//! The same seed does the same to the last step, in another process too.

use std::{collections::BTreeSet, process::Command};

use earnest_simulation::{Level, Plan, Size, run};

fn trace_of_a_process(level: &str, seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_earnest-simulation"))
        .args(["--level", level, "--replay", &seed.to_string()])
        .args(["--ops", "200"])
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "seed {seed}: {output:?}");
    String::from_utf8(output.stdout).expect("a trace is text")
}

#[test]
fn two_processes_agree_in_every_line() {
    for (level, seed) in [
        ("commands", 1),
        ("commands", 3),
        ("commands", 8),
        ("wire", 2),
        ("wire", 5),
        ("wire", 13),
    ] {
        let [one, other] = [(); 2].map(|()| trace_of_a_process(level, seed));
        assert!(one.lines().count() > 100, "seed {seed} does something");
        assert!(
            one == other,
            "seed {seed} differs between two processes at the level {level}"
        );
    }
}

#[test]
fn seeds_differ_and_repeat() {
    for level in [Level::Commands, Level::Wire] {
        let hash = |seed| run(&Plan::of(seed, Size { ops: 100 }).at(level), false).hash;
        let hashes: Vec<_> = (0..20).map(hash).collect();
        let again: Vec<_> = (0..20).map(hash).collect();
        assert_eq!(hashes, again);
        let different: BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }
}

#[test]
fn the_text_of_a_trace_changes_nothing() {
    let plan = Plan::of(4, Size { ops: 100 });
    assert_eq!(run(&plan, true).hash, run(&plan, false).hash);
}
