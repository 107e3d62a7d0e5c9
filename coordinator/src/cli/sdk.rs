//! `earnest sdk`: a service's own database.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use earnest_store::participant::{Migrated, migrate_mysql, migrate_postgres, migrate_sqlite};

use super::{client, error::CliError, output::Output};

/// The SDK's tables in SQLite, in the order of their files; each may run again.
const SQLITE: [&str; 1] = [include_str!(
    "../../../participant-sdk/migrations/sqlite/0001_earnest.sql"
)];
const POSTGRES: [&str; 1] = [include_str!(
    "../../../participant-sdk/migrations/postgres/0001_earnest.sql"
)];
const MYSQL: [&str; 1] = [include_str!(
    "../../../participant-sdk/migrations/mysql/0001_earnest.sql"
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
                  their own. The user in the URL must be allowed to make tables; the service's own user needs less, as \
                  the printed SQL says. A URL with a password is better given in the environment variable \
                  DATABASE_URL, where other users of this machine don't see it.",
    after_help = "\
Examples:
  earnest sdk migrate sqlite:cashier.db
  earnest sdk migrate postgres://owner:secret@db.example:5432/cashier
  earnest sdk migrate mysql://owner:secret@db.example:3306/cashier
  earnest sdk migrate postgres: --print > 0007_earnest.sql   for your own migration tool; connects to nothing"
)]
struct MigrateArgs {
    /// The service's database: sqlite:FILE, postgres://… or mysql://…
    #[arg(
        value_name = "DATABASE_URL",
        env = "DATABASE_URL",
        hide_env_values = true
    )]
    database: String,
    /// Print the SQL and change nothing
    #[arg(long)]
    print: bool,
}

/// A database that the SDK can live in.
enum ServiceDatabase<'a> {
    Sqlite(PathBuf),
    Postgres(&'a str),
    MySql(&'a str),
}

pub(super) fn run(args: &SdkArgs, output: &mut Output) -> Result<(), CliError> {
    let SdkCommand::Migrate(args) = &args.command;
    let database = ServiceDatabase::parse(&args.database)?;
    if args.print {
        return output.text(&database.scripts().join("\n"));
    }
    let shown = database.shown();
    match database.migrate()? {
        Migrated::Changed => output.line(format_args!("{shown} has Earnest's tables now")),
        Migrated::Unchanged => output.line(format_args!(
            "{shown} had Earnest's tables already; nothing was changed"
        )),
    }
}

impl<'a> ServiceDatabase<'a> {
    /// The error doesn't repeat the text, which may hold a password.
    fn parse(url: &'a str) -> Result<Self, CliError> {
        match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "postgres" | "postgresql" => Ok(Self::Postgres(url)),
            "mysql" | "mariadb" => Ok(Self::MySql(url)),
            _ => sqlite_path(url).map(Self::Sqlite),
        }
    }

    fn scripts(&self) -> &'static [&'static str] {
        match self {
            Self::Sqlite(_) => &SQLITE,
            Self::Postgres(_) => &POSTGRES,
            Self::MySql(_) => &MYSQL,
        }
    }

    fn migrate(&self) -> Result<Migrated, CliError> {
        let failed = |error| CliError::Failed(format!("{error}"));
        let scripts = self.scripts();
        match self {
            Self::Sqlite(path) => migrate_sqlite(path, scripts).map_err(failed),
            Self::Postgres(url) => {
                client::block_on(async { migrate_postgres(url, scripts).await.map_err(failed) })
            }
            Self::MySql(url) => {
                client::block_on(async { migrate_mysql(url, scripts).await.map_err(failed) })
            }
        }
    }

    /// Without user and password, and without parameters, which may hold them as well.
    fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(url) | Self::MySql(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                format!("{scheme}://{place}")
            }
        }
    }
}

/// The file of a database URL.
fn sqlite_path(url: &str) -> Result<PathBuf, CliError> {
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))
        .unwrap_or(url);
    if path.contains("://") {
        return Err(CliError::Usage(
            "the URL is of no database that is known: give sqlite:PATH, postgres://… or mysql://…"
                .into(),
        ));
    }
    // sqlx's URLs may carry options, such as ?mode=rwc.
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if path.is_empty() || path == ":memory:" {
        return Err(CliError::Usage(
            "the URL names no file: give sqlite:PATH, such as sqlite:cashier.db".into(),
        ));
    }
    Ok(Path::new(path).to_owned())
}
