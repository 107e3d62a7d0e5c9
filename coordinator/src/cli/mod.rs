//! The command line: `serve`, and what operators do to a running coordinator.
//!
//! Results go to stdout (through [`output`], nothing else writes there), errors and the log to stderr. Admin commands
//! speak gRPC to the coordinator, as any other client does: they must never open its database.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 the coordinator can't be reached.

mod actor;
mod client;
mod config;
mod database;
mod error;
mod json;
mod log;
mod output;
mod port_holder;
mod sdk;
mod serve;
mod service;
mod subscription;
mod table;
mod transaction;
mod view;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::clock::Environment;
use error::CliError;
use output::Output;

/// Earnest: a message leaves if and only if the sender's database transaction committed.
#[derive(Debug, Parser)]
#[command(
    name = "earnest",
    version,
    long_about = "Earnest: a message leaves if and only if the sender's database transaction committed.\n\n\
                  `earnest serve` runs the coordinator. All other commands talk to a running one, by default to \
                  http://127.0.0.1:7450.",
    after_help = "\
Examples:
  earnest serve                                    run a coordinator, kept in ./earnest.db
  earnest subscription add ledger --topic payments --service ledger
  earnest tx list --parked                         what waits for a person
  earnest tx show 01890a5d-ac96-774b-bcce-b302099a8057
                                                   who owes what, and what to do

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 coordinator unreachable.",
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a coordinator
    Serve(serve::ServeArgs),
    /// Check the configuration and show what holds
    Config(config::ConfigArgs),
    /// Look at transactions and act on them
    #[command(visible_alias = "transaction")]
    Tx(transaction::TxArgs),
    /// Say where the messages of a topic go
    #[command(visible_alias = "sub")]
    Subscription(subscription::SubscriptionArgs),
    /// Say where services are called
    Service(service::ServiceArgs),
    /// See whether the database has forgotten anything, and say how to go on
    Database(database::DatabaseArgs),
    /// Prepare a service's own database
    Sdk(sdk::SdkArgs),
}

/// Runs the command line of this process.
pub fn main(environment: &Environment) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are results (0, stdout); mistakes are not (2, stderr).
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let mut output = Output::stdout();
    match run(cli, environment, &mut output) {
        Ok(code) => code,
        // Whoever reads has read enough: `earnest tx list | head`.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            error.report(output.is_json(), io::stderr().is_terminal());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli, environment: &Environment, output: &mut Output) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Serve(args) => return serve::run(&args, environment, output),
        Command::Config(args) => config::run(&args, output)?,
        Command::Sdk(args) => sdk::run(&args, output)?,
        Command::Database(args) => client::block_on(database::run(args, output))?,
        Command::Tx(args) => client::block_on(transaction::run(args, environment, output))?,
        Command::Subscription(args) => {
            client::block_on(subscription::run(args, environment, output))?;
        }
        Command::Service(args) => client::block_on(service::run(args, environment, output))?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
