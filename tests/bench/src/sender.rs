//! A service with the SDK and a SQLite file of its own. Its local transactions are durable too, and SQLite has one writer at
//! a time, so its own database is the limit, whatever the coordinator could take.

use anyhow::Context;
use earnest::{
    sqlite::Earnest,
    sqlx::{
        self, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};

use crate::coordinator::Site;

/// The service; its database goes with it.
pub struct Sender {
    pub earnest: Earnest,
    /// What its live connection says.
    pub durability: String,
    _directory: TempDir,
}

impl Sender {
    pub async fn start(site: &Site, coordinator: &str) -> anyhow::Result<Self> {
        let directory = site.fresh_directory()?;
        let options = SqliteConnectOptions::new()
            .filename(directory.path().join("sender.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        let durability = durability(&pool).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let earnest = Earnest::service("bench-sender")
            .pool(pool)
            .migrate()
            .advertise(format!("http://{}", listener.local_addr()?))
            .connect(coordinator)
            .await
            .context("the SDK does not connect")?;
        let server = Server::builder().add_service(earnest.participant_service());
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(server.serve_with_incoming(incoming));
        Ok(Self {
            earnest,
            durability,
            _directory: directory,
        })
    }
}

async fn durability(pool: &SqlitePool) -> anyhow::Result<String> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(pool)
        .await?;
    let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(pool)
        .await?;
    Ok(format!(
        "journal_mode={mode} synchronous={level} (2 is full)"
    ))
}
