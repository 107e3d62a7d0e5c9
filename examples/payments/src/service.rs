//! How each service starts: flags, its own SQLite file, a port. The same in all of them, and none of it is about Earnest.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use axum::Router;
use earnest::sqlx::{
    self,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};
use tokio::{net::TcpListener, signal};
use tracing_subscriber::EnvFilter;

/// The flags that every service has.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service's own SQLite file; made when it is missing.
    #[arg(long)]
    pub database: PathBuf,
    /// Where the service listens, for its customers and for the coordinator.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The coordinator.
    #[arg(long, default_value = "http://127.0.0.1:7450")]
    pub coordinator: String,
}

/// Reads a flag such as `ada=5000`: whose, and how many cents.
pub fn money(text: &str) -> Result<(String, i64), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(name, cents)| Some((name.to_owned(), cents.parse().ok()?)));
    parsed.ok_or_else(|| "write it as name=cents, such as ada=5000".to_owned())
}

/// A service that has its database and its port, and is not serving yet.
pub struct Service {
    /// Its own database.
    pub pool: SqlitePool,
    /// Where others reach it, as `http://host:port`.
    pub url: String,
    listener: TcpListener,
}

impl Service {
    /// Opens the database, makes the tables of `schema`, and takes the port.
    pub async fn open(args: &Args, schema: &'static str) -> anyhow::Result<Self> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .init();
        let options = SqliteConnectOptions::new()
            .filename(&args.database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answered COMMIT must survive a power loss.
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .connect_with(options)
            .await
            .with_context(|| format!("can't open the database {}", args.database.display()))?;
        sqlx::raw_sql(schema)
            .execute(&pool)
            .await
            .context("can't make the tables")?;
        let listener = TcpListener::bind(args.listen).await.with_context(|| {
            format!(
                "can't listen on {}; is another program using it?",
                args.listen
            )
        })?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self {
            pool,
            url,
            listener,
        })
    }

    /// Serves until it is told to stop, and finishes what is under way.
    pub async fn serve(self, app: Router) -> anyhow::Result<()> {
        axum::serve(self.listener, app)
            .with_graceful_shutdown(asked_to_stop())
            .await?;
        Ok(())
    }
}

async fn asked_to_stop() {
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = terminated => {}
    }
}
