//! The binary `earnest`: gives time, chance and the machine's arguments to the library, and does nothing else.

use std::process::ExitCode;

use earnest_coordinator::{cli, clock::Environment};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(&Environment::system())
}
