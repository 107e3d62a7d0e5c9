//! `earnest database`: what to do when the database has forgotten what it acknowledged.

use clap::{Args, Subcommand};
use earnest_proto::v1;
use earnest_protocol::Timestamp;
use serde_json::{Value, json};

use super::{
    actor,
    client::{Client, ServerArgs},
    error::CliError,
    output::{Output, Tone},
};

/// See whether the database has forgotten anything, and say how to go on
#[derive(Debug, Args)]
#[command(
    long_about = "A database that was restored from an old copy, or that failed over to a standby that was behind, has \
                  forgotten what it acknowledged since. The coordinator notices by counting its batches: it then turns \
                  `/readyz` red and writes nothing more of transactions, until an operator has looked and accepts it.",
    after_help = "\
Examples:
  earnest database show                               what may be lost
  earnest database accept-loss --reason 'ticket 12'   the same, and what would be done
  earnest database accept-loss --reason 'ticket 12' --yes"
)]
pub(super) struct DatabaseArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: DatabaseCommand,
}

#[derive(Debug, Subcommand)]
enum DatabaseCommand {
    /// Show whether anything that was acknowledged is missing
    Show,
    AcceptLoss(AcceptArgs),
}

/// Go on without what the database has forgotten
#[derive(Debug, Args)]
#[command(
    long_about = "Goes on with the database as it is, and writes an audit line. Better than that is to put the right \
                  database back, if there is one: restart the coordinators on it and nothing is lost.\n\n\
                  What was acknowledged after the newest batch that is still there is gone: transactions prepared or \
                  decided since then are unknown or undecided again. Those that are undecided are asked about at their \
                  senders, as always; those that are unknown are not known to anybody but their senders, and messages \
                  that were delivered since then may be delivered again.",
    after_help = "Example:\n  earnest database accept-loss --reason 'restored the backup of 02:00, ticket 12' --yes"
)]
struct AcceptArgs {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do it; without this, only say what may be lost
    #[arg(long)]
    yes: bool,
    /// Who acts, for the audit [default: the user of this terminal]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

pub(super) async fn run(args: DatabaseArgs, output: &mut Output) -> Result<(), CliError> {
    output.set_json(args.server.json);
    let mut client = Client::connect(&args.server).await?;
    match args.command {
        DatabaseCommand::Show => {
            let database = database(&mut client).await?;
            show(&database, output)
        }
        DatabaseCommand::AcceptLoss(accept) => accept_loss(accept, &mut client, output).await,
    }
}

async fn database(client: &mut Client) -> Result<v1::Database, CliError> {
    let answered = client.admin.get_database(v1::GetDatabaseRequest {}).await;
    Ok(client.answer(answered)?.database.unwrap_or_default())
}

async fn accept_loss(
    args: AcceptArgs,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    if !args.yes {
        let database = database(client).await?;
        show(&database, output)?;
        if database.losses.is_empty() {
            return Ok(());
        }
        return Err(CliError::Failed(
            "nothing was changed: the same command with --yes goes on without what is missing"
                .into(),
        ));
    }
    let request = v1::AcceptDatabaseLossRequest {
        actor: args.actor.unwrap_or_else(actor::of_terminal),
        reason: args.reason,
    };
    let answered = client.admin.accept_database_loss(request).await;
    let answer = client.answer(answered)?;
    let database = answer.database.unwrap_or_default();
    if output.is_json() {
        let accepted: Vec<Value> = answer.accepted.iter().map(loss).collect();
        return output.json(&json!({ "database": view(&database), "accepted": accepted }));
    }
    if answer.accepted.is_empty() {
        return output.line("nothing was missing; nothing was changed");
    }
    for given_up in &answer.accepted {
        output.line(format_args!("given up: {}", sentence(given_up)))?;
    }
    output.line(format_args!(
        "accepted, and recorded in the audit; the database is in incarnation {} now, and work goes on",
        database.incarnation
    ))
}

fn show(database: &v1::Database, output: &mut Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(&json!({ "database": view(database) }));
    }
    if database.losses.is_empty() {
        return output.line(format_args!(
            "{}: nothing that was acknowledged is known to be missing (incarnation {})",
            output.paint(Tone::Good, "all there"),
            database.incarnation
        ));
    }
    output.line(output.paint(
        Tone::Bad,
        "THE DATABASE HAS FORGOTTEN WHAT IT ACKNOWLEDGED; nothing is written until this is accepted",
    ))?;
    for missing in &database.losses {
        output.line(sentence(missing))?;
    }
    output.line(
        "what to do: put the right database back and restart the coordinators, or go on without what is missing: earnest \
         database accept-loss --reason … --yes",
    )
}

/// What is missing, from when to when, and who says so.
fn sentence(of: &v1::DatabaseLoss) -> String {
    let time = |micros: i64| Timestamp::from_micros(micros);
    let mark = of.acknowledged.unwrap_or_default();
    let window = match of.kept_until_us {
        0 => format!("everything up to {} may be lost", time(mark.at_us)),
        kept => format!(
            "what was acknowledged after {} and up to {} or later may be lost",
            time(kept),
            time(mark.at_us)
        ),
    };
    format!(
        "line {:x}: batch {} was acknowledged, batch {} is the last that is there; {window} (noticed at {} by {})",
        mark.line,
        mark.batches,
        of.found,
        time(of.noticed_at_us),
        of.noticed_by
    )
}

fn view(database: &v1::Database) -> Value {
    let losses: Vec<Value> = database.losses.iter().map(loss).collect();
    json!({ "incarnation": database.incarnation, "losses": losses, "format": database.format })
}

fn loss(of: &v1::DatabaseLoss) -> Value {
    let time = |micros: i64| (micros != 0).then(|| Timestamp::from_micros(micros).to_string());
    let mark = of.acknowledged.unwrap_or_default();
    json!({
        "incarnation": mark.incarnation,
        "line": format!("{:x}", mark.line),
        "acknowledged": mark.batches,
        "acknowledged_at": time(mark.at_us),
        "found": of.found,
        "kept_until": time(of.kept_until_us),
        "noticed_at": time(of.noticed_at_us),
        "noticed_by": of.noticed_by,
    })
}
