//! Plants defects and prints where each was caught.

use std::process::ExitCode;

use clap::Parser;
use earnest_planted::{Layer, Programs, hunt, ledger};

/// Takes defences out one by one, and sees that a checker notices each.
#[derive(Parser)]
struct Arguments {
    /// Defects by name; none: the whole ledger.
    bugs: Vec<String>,
    /// Only those of this layer: model, simulation, wire, conformance, process.
    #[arg(long)]
    layer: Option<String>,
}

#[expect(clippy::print_stdout, reason = "its report is its purpose")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |entry: &&earnest_planted::Entry| {
        let layer = entry.layer.to_string();
        (arguments.bugs.is_empty() || arguments.bugs.iter().any(|name| name == entry.bug.name()))
            && arguments.layer.as_ref().is_none_or(|of| *of == layer)
    };
    let me = std::env::current_exe().unwrap_or_default();
    let programs = Programs::of(me.parent().unwrap_or(&me));
    let mut hunts = 0;
    let mut holds = true;
    for entry in ledger().filter(wanted) {
        if entry.layer == Layer::Process && !programs.are_there() {
            println!(
                "the programs of the process layer are missing: cargo build -p earnest-planted --bins"
            );
            return ExitCode::FAILURE;
        }
        let hunt = hunt(*entry, &programs);
        println!("{hunt}");
        hunts += 1;
        holds &= hunt.caught.is_some() && hunt.clean;
    }
    if holds && hunts > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
