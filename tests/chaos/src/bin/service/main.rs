//! The services of the chaos tests: `shop` takes orders, has what they need held, and says so to others; `stock` and `purse` hold it;
//! `books` and `mail` take what they are told.
//!
//! Each embeds the SDK as any service would, without any of its features for tests, and prints where it listens. Besides
//! its business it does two things: it writes down what it answers to the coordinator, and tells what its tables hold.

mod consumer;
mod observed;
mod participant;
mod shop;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use axum::Router;
use clap::{Parser, ValueEnum};
use earnest::sqlx::{
    self,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};
use earnest_chaos::record::Recorder;
use tokio::net::TcpListener;

/// Which business it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Shop,
    Books,
    Mail,
    Stock,
    Purse,
}

/// One service of the chaos tests.
#[derive(Parser)]
struct Args {
    #[arg(long)]
    role: Role,
    /// Its own database; made when it is missing.
    #[arg(long)]
    database: PathBuf,
    /// Where the coordinator is called.
    #[arg(long)]
    coordinator: String,
    /// Where the coordinator can call this.
    #[arg(long)]
    advertise: String,
    /// The file that it writes down what happens in.
    #[arg(long)]
    events: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter("info,earnest=debug")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let recorder = Arc::new(Recorder::create(&args.events)?);
    let pool = open(&args).await?;
    let app: Router = match args.role {
        Role::Shop => shop::app(&args, pool, recorder).await?,
        Role::Books => consumer::app("books", &args, pool, recorder).await?,
        Role::Mail => consumer::app("mail", &args, pool, recorder).await?,
        Role::Stock => participant::app("stock", &args, pool, recorder).await?,
        Role::Purse => participant::app("purse", &args, pool, recorder).await?,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    announce(&listener)?;
    axum::serve(listener, app).await?;
    Ok(())
}

/// The runner reads this line.
#[expect(clippy::print_stdout, reason = "this is what its output is for")]
fn announce(listener: &TcpListener) -> Result<()> {
    println!("listening on http://{}", listener.local_addr()?);
    Ok(())
}

async fn open(args: &Args) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(&args.database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .context("open the database")?;
    let tables = match args.role {
        Role::Shop => shop::TABLES,
        Role::Books | Role::Mail => consumer::TABLES,
        Role::Stock | Role::Purse => participant::TABLES,
    };
    sqlx::raw_sql(tables)
        .execute(&pool)
        .await
        .context("make the tables")?;
    Ok(pool)
}
