//! Plants defects and prints where each was caught.

use std::process::ExitCode;

use clap::Parser;
use earnest_planted::{LEDGER, hunt};

/// Takes defences out one by one, and sees that a checker notices each.
#[derive(Parser)]
struct Arguments {
    /// Defects by name; none: the whole ledger.
    bugs: Vec<String>,
}

#[expect(clippy::print_stdout, reason = "its report is its purpose")]
fn main() -> ExitCode {
    let Arguments { bugs } = Arguments::parse();
    let mut holds = true;
    for entry in LEDGER {
        if bugs.is_empty() || bugs.iter().any(|name| name == entry.bug.name()) {
            let hunt = hunt(*entry);
            println!("{hunt}");
            holds &= hunt.caught.is_some() && hunt.clean;
        }
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
