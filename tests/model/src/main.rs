//! Searches the model's scopes and prints how many states each has.

use std::process::ExitCode;

use clap::Parser;
use earnest_model::{Order, explore_aloud, large, small};

/// Explores every state of Earnest's rules within stated bounds.
#[derive(Parser)]
struct Arguments {
    /// Scopes by name; none: all of the size asked for.
    scopes: Vec<String>,
    /// Search the large scopes instead of the small ones.
    #[arg(long)]
    large: bool,
    /// Near states first, and stop at the first broken invariant.
    #[arg(long)]
    breadth: bool,
    /// Threads of the search.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

#[expect(clippy::print_stdout, reason = "its report is its purpose")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let order = if arguments.breadth {
        Order::Breadth
    } else {
        Order::Depth
    };
    let mut scopes = if arguments.large { large() } else { small() };
    if !arguments.scopes.is_empty() {
        scopes = small().into_iter().chain(large()).collect();
        scopes.retain(|scope| arguments.scopes.iter().any(|name| name == scope.name));
    }
    let mut holds = !scopes.is_empty();
    for scope in scopes {
        let report = explore_aloud(scope, order, arguments.threads);
        println!("{report}");
        holds &= report.holds();
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
