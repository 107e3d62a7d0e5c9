//! `earnest sdk`: a service's own database.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use earnest_store::participant::{Migrated, migrate_sqlite};

use super::{error::CliError, output::Output};

/// The SDK's tables in SQLite, in the order of their files; each may run again.
const SQLITE: [&str; 1] = [include_str!(
    "../../../participant-sdk/migrations/sqlite/0001_earnest.sql"
)];

/// Prepare a service's own database
#[derive(Debug, Args)]
pub(super) struct SdkArgs {
    #[command(subcommand)]
    command: SdkCommand,
}

#[derive(Debug, Subcommand)]
enum SdkCommand {
    Migrate(MigrateArgs),
}

/// Create Earnest's tables (fence and inbox) in a service's database
#[derive(Debug, Args)]
#[command(
    long_about = "Creates the tables that a service's SDK needs in the service's own database: the fence (what became \
                  of local transactions) and the inbox (which messages were taken). Running it again changes nothing. \
                  The SDK can do the same at start; this is for those who change schemas by hand or with a tool of \
                  their own.",
    after_help = "\
Examples:
  earnest sdk migrate sqlite:cashier.db
  earnest sdk migrate sqlite:cashier.db --print > 0007_earnest.sql   for your own migration tool"
)]
struct MigrateArgs {
    /// The service's database, such as sqlite:cashier.db
    #[arg(value_name = "DATABASE_URL")]
    database: String,
    /// Print the SQL and change nothing
    #[arg(long)]
    print: bool,
}

pub(super) fn run(args: &SdkArgs, output: &mut Output) -> Result<(), CliError> {
    let SdkCommand::Migrate(args) = &args.command;
    let path = sqlite_path(&args.database)?;
    if args.print {
        return output.text(&SQLITE.join("\n"));
    }
    let failed = |error| CliError::Failed(format!("{error}"));
    let shown = path.display();
    match migrate_sqlite(&path, &SQLITE).map_err(failed)? {
        Migrated::Changed => output.line(format_args!("{shown} has Earnest's tables now")),
        Migrated::Unchanged => output.line(format_args!(
            "{shown} had Earnest's tables already; nothing was changed"
        )),
    }
}

/// The file of a database URL.
fn sqlite_path(url: &str) -> Result<PathBuf, CliError> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let path = match scheme {
        "sqlite" => url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .unwrap_or_default(),
        "postgres" | "postgresql" | "mysql" | "mariadb" => {
            return Err(CliError::Usage(format!(
                "{scheme} is not supported yet: the SDK keeps its fence and inbox in SQLite today, such as \
                 sqlite:cashier.db"
            )));
        }
        _ if url.contains("://") => {
            return Err(CliError::Usage(format!(
                "`{scheme}` is not a database that is known: give sqlite:PATH"
            )));
        }
        _ => url,
    };
    // sqlx's URLs may carry options, such as ?mode=rwc.
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if path.is_empty() || path == ":memory:" {
        return Err(CliError::Usage(
            "the URL names no file: give sqlite:PATH, such as sqlite:cashier.db".into(),
        ));
    }
    Ok(Path::new(path).to_owned())
}
