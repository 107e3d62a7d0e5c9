//! Every defect of the ledger is caught, by the layer and under the invariant that the ledger names.

use std::collections::BTreeSet;

use earnest_planted::{LEDGER, hunt};
use earnest_planted_hooks::Bug;

const PAGE: &str = include_str!("../../../docs/proof.md");

/// One test for all: a defect is planted for the whole process.
#[test]
fn every_planted_defect_is_caught_and_named() {
    let listed: BTreeSet<_> = LEDGER.iter().map(|entry| entry.bug).collect();
    assert_eq!(
        listed,
        Bug::ALL.iter().copied().collect(),
        "the ledger lists each once"
    );
    assert!(listed.len() >= 25 && listed.len() == LEDGER.len());
    for entry in LEDGER {
        let row = format!(
            "| `{}` | {} | {} |",
            entry.bug.name(),
            entry.removes,
            entry.breaks
        );
        assert!(PAGE.contains(&row), "docs/proof.md lacks the row {row}");
    }
    let mut missed = Vec::new();
    for entry in LEDGER {
        let hunt = hunt(*entry);
        eprintln!("{hunt}");
        if hunt.caught.is_none() || !hunt.clean {
            missed.push(hunt.to_string());
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
