//! `earnest-simulation`: runs seeds, prints what they met, and shrinks what fails.

use std::{io::Write, process::ExitCode};

mod cli;

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    match cli::run_command(&mut out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(out, "{error}");
            ExitCode::FAILURE
        }
    }
}
