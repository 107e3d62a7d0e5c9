//! `earnest`, built to die at named steps (see `earnest_coordinator::crash`).

use std::process::ExitCode;

use earnest_coordinator::{cli, clock::Environment};

fn main() -> ExitCode {
    cli::main(&Environment::system())
}
