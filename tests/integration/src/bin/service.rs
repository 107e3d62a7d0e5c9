//! A service that takes orders, tells others of them, and counts what it is told; built to die at named steps of
//! the SDK.
//!
//! `crashing-service NAME LISTEN DATABASE COORDINATOR`

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use earnest::{
    sqlite::Earnest,
    sqlx::{
        self, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use earnest_integration::Order;

/// An order that is `doomed` names a customer who does not exist: the database finds out at COMMIT.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY);
    INSERT OR IGNORE INTO customers VALUES (1);
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY,
        transaction_id TEXT NOT NULL,
        customer INTEGER NOT NULL REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED
    );
    CREATE TABLE IF NOT EXISTS received (order_id INTEGER NOT NULL);
";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let (name, listen, database, coordinator) = (
        next("NAME")?,
        next("LISTEN")?,
        next("DATABASE")?,
        next("COORDINATOR")?,
    );
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let earnest = Earnest::service(&name)
        .pool(pool)
        .advertise(format!("http://{listen}"))
        .migrate()
        .on("order.placed", |mut tx, order: Order| async move {
            sqlx::query("INSERT INTO received VALUES (?1)")
                .bind(order.id)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
        .connect(&coordinator)
        .await?;
    let app = Router::new()
        .route("/orders", post(place))
        .route("/ready", get(async || "ready"))
        .with_state(earnest.clone())
        .merge(earnest.router());
    axum::serve(tokio::net::TcpListener::bind(&listen).await?, app).await?;
    Ok(())
}

async fn place(
    State(earnest): State<Earnest>,
    Json(order): Json<Order>,
) -> Result<String, (StatusCode, String)> {
    try_place(&earnest, &order)
        .await
        .map_err(|error| (StatusCode::CONFLICT, error.to_string()))
}

async fn try_place(earnest: &Earnest, order: &Order) -> Result<String, earnest::Error> {
    let mut tx = earnest.begin().await?;
    let customer = if order.doomed { 2 } else { 1 };
    let id = tx.id().to_string();
    sqlx::query("INSERT INTO orders VALUES (?1, ?2, ?3)")
        .bind(order.id)
        .bind(&id)
        .bind(customer)
        .execute(&mut *tx)
        .await?;
    tx.business_key(order.id)?;
    tx.send("order.placed", order.id, order)?;
    tx.commit().await?;
    Ok(id)
}
