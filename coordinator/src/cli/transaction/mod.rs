//! `earnest tx`.

mod act;
mod list;
mod show;

use clap::{Args, Subcommand};

use super::{
    client::{Client, ServerArgs},
    error::CliError,
    output::Output,
};
use crate::clock::Environment;

/// Look at transactions and act on them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  earnest tx list --parked                          what waits for a person
  earnest tx list --phase prepared --older-than 5m  what is undecided for long
  earnest tx list --key order-4711                  by the caller's own reference
  earnest tx show ID                                who owes what, and what to do
  earnest tx retry ID                               try now, and unpark")]
pub(super) struct TxArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(Debug, Subcommand)]
enum TxCommand {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Retry(act::RetryArgs),
    Park(act::ParkArgs),
    Confirm(act::ConfirmArgs),
    Cancel(act::CancelArgs),
}

pub(super) async fn run(
    args: TxArgs,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    output.set_json(args.server.json);
    let mut client = Client::connect(&args.server).await?;
    match args.command {
        TxCommand::List(list) => {
            list::run(
                list,
                args.server.namespace,
                &mut client,
                environment,
                output,
            )
            .await
        }
        TxCommand::Show(show) => show::run(show, &mut client, environment, output).await,
        TxCommand::Retry(retry) => act::retry(retry, &mut client, output).await,
        TxCommand::Park(park) => act::park(park, &mut client, output).await,
        TxCommand::Confirm(act::ConfirmArgs { decide }) => {
            act::decide(
                decide,
                earnest_proto::v1::Decision::Confirm,
                &mut client,
                output,
            )
            .await
        }
        TxCommand::Cancel(act::CancelArgs { decide }) => {
            act::decide(
                decide,
                earnest_proto::v1::Decision::Cancel,
                &mut client,
                output,
            )
            .await
        }
    }
}
