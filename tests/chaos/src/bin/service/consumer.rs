//! Books and mail: each writes one row for every message that it takes.
//!
//! No rule of their tables forbids a second row for one message. That there never is one is the inbox's work.

use std::sync::Arc;

use anyhow::Result;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use earnest::{
    Delivery, HandlerError, reject,
    sqlite::{Earnest, Tx},
    sqlx::{self, Row, SqlitePool},
};
use earnest_chaos::{
    order::{Fate, ORDERS, Order, POSTS, RESTOCKS, Rows},
    record::Recorder,
};
use earnest_history::{DeliveryKey, Event};

use crate::{Args, observed};

pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS effects (
        number INTEGER PRIMARY KEY,
        transaction_id TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        subscription TEXT NOT NULL,
        content TEXT NOT NULL
    );
";

/// Of so many messages, one is not taken at first.
const UNWILLING: u8 = 16;

pub(crate) async fn app(
    name: &'static str,
    args: &Args,
    pool: SqlitePool,
    recorder: Arc<Recorder>,
) -> Result<Router> {
    let earnest = Earnest::service(name)
        .pool(pool.clone())
        .advertise(&args.advertise)
        .on_delivery(ORDERS, move |tx, delivery: Delivery| async move {
            let order: Order = serde_json::from_slice(&delivery.payload)?;
            if order.fate == Fate::Poison && name == "books" {
                return reject("the books have no line for this");
            }
            take(tx, &delivery, &order.key).await
        })
        .on_delivery(POSTS, text)
        .on_delivery(RESTOCKS, text)
        .migrate()
        .connect(&args.coordinator)
        .await?;
    let called = observed::router(earnest.participant_service(), name, recorder);
    Ok(Router::new()
        .route("/rows", get(rows))
        .with_state(pool)
        .merge(called))
}

/// A message that is its content.
async fn text(tx: Tx, delivery: Delivery) -> Result<(), HandlerError> {
    let content: String = serde_json::from_slice(&delivery.payload)?;
    take(tx, &delivery, &content).await
}

async fn take(mut tx: Tx, delivery: &Delivery, content: &str) -> Result<(), HandlerError> {
    sqlx::query(
        "INSERT INTO effects (transaction_id, ordinal, subscription, content) VALUES ($1, $2, $3, $4)",
    )
    .bind(delivery.id.transaction.to_string())
    .bind(delivery.id.ordinal)
    .bind(&delivery.subscription)
    .bind(content)
    .execute(&mut *tx)
    .await?;
    let chance = delivery.id.transaction.as_uuid().as_bytes()[15];
    if delivery.attempt == 1 && chance.is_multiple_of(UNWILLING) {
        return Err(HandlerError::retry("not now")); // and the row is not there
    }
    Ok(())
}

async fn rows(State(pool): State<SqlitePool>) -> Result<Json<Rows>, (StatusCode, String)> {
    const READ: &str =
        "SELECT transaction_id, ordinal, subscription, content FROM effects ORDER BY number";
    let effects = sqlx::query(READ).fetch_all(&pool).await;
    let events = effects.and_then(|rows| {
        let event = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Event::Effect {
                key: DeliveryKey {
                    transaction: row.try_get(0)?,
                    ordinal: row.try_get(1)?,
                    subscription: row.try_get(2)?,
                },
                content: row.try_get(3)?,
            })
        };
        rows.iter().map(event).collect()
    });
    let events = events
        .map_err(|error: sqlx::Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(Json(Rows {
        under_way: 0,
        events,
    }))
}
