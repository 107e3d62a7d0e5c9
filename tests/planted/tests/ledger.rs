//! Every defect of the ledger is caught, by the layer and under the invariant that the ledger names.

use std::{collections::BTreeSet, path::Path};

use earnest_planted::{Entry, Layer, Programs, hunt, ledger};
use earnest_planted_hooks::Bug;

/// What takes long; `earnest-planted` hunts for these as well.
const LEFT_OUT: [Bug; 11] = [
    Bug::PostgresClaimTakesWhatIsHeld,
    Bug::PostgresBuriedNodeLivesOn,
    Bug::PostgresUnknownIsTakenForCommitted,
    Bug::MysqlBuriedNodeLivesOn,
    Bug::MysqlUnknownIsTakenForCommitted,
    Bug::SilenceDelivers,
    Bug::InboxIsIgnored,
    Bug::OrderIsIgnored,
    Bug::LateTryRuns,
    Bug::ConfirmRunsTwice,
    Bug::SilenceReserves,
];
const PAGE: &str = include_str!("../../../docs/proof.md");

/// One test for all: a defect is planted for the whole process.
#[test]
fn every_planted_defect_is_caught_and_named() {
    let listed: BTreeSet<_> = ledger().map(|entry| entry.bug).collect();
    assert_eq!(
        listed,
        Bug::ALL.iter().copied().collect(),
        "the ledger lists each"
    );
    let pairs: BTreeSet<_> = ledger()
        .map(|entry| (entry.bug, entry.layer.to_string()))
        .collect();
    assert_eq!(pairs.len(), ledger().count(), "and once for each layer");
    assert!(listed.len() >= 25);
    for entry in ledger() {
        let row = format!(
            "| `{}` | {} | {} | {} |",
            entry.bug.name(),
            entry.removes,
            entry.breaks,
            entry.layer
        );
        assert!(PAGE.contains(&row), "docs/proof.md lacks the row {row}");
    }
    let bins = Path::new(env!("CARGO_BIN_EXE_planted-coordinator")).parent();
    let programs = Programs::of(bins.expect("a program lies in a directory"));
    let mut missed = Vec::new();
    let left_out = |entry: &&Entry| {
        LEFT_OUT.contains(&entry.bug)
            && matches!(entry.layer, Layer::Process | Layer::Conformance(_))
    };
    for entry in ledger().filter(|entry| !left_out(entry)) {
        let hunt = hunt(*entry, &programs);
        eprintln!("{hunt}");
        if hunt.caught.is_none() || !hunt.clean {
            missed.push(hunt.to_string());
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
