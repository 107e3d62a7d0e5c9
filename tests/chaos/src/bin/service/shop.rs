//! The shop takes orders in its own database, has what they need held by others, and in the same transaction says that they were
//! placed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use earnest::{
    Error, branch,
    sqlite::{Earnest, Tx},
    sqlx::{self, Row, SqlitePool},
};
use earnest_chaos::{
    order::{self, Fate, HOLD, ORDERS, Order, Placed, Rows},
    record::Recorder,
};
use earnest_history::Event;
use rustix::process::{Signal, getpid, kill_process};

use crate::{Args, observed};

/// A customer who does not exist is noticed at COMMIT.
pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY);
    INSERT OR IGNORE INTO customers VALUES (1);
    CREATE TABLE IF NOT EXISTS orders (
        key TEXT NOT NULL PRIMARY KEY,
        transaction_id TEXT NOT NULL,
        customer INTEGER NOT NULL REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED,
        holds TEXT NOT NULL
    );
";

/// Longer than the coordinator waits before it checks back.
const LINGER: Duration = Duration::from_millis(700);

#[derive(Clone)]
struct Shop {
    earnest: Earnest,
    pool: SqlitePool,
    under_way: Arc<AtomicU64>,
}

pub(crate) async fn app(args: &Args, pool: SqlitePool, recorder: Arc<Recorder>) -> Result<Router> {
    let earnest = Earnest::service("shop")
        .pool(pool.clone())
        .advertise(&args.advertise)
        .migrate()
        .connect(&args.coordinator)
        .await?;
    let called = observed::router(earnest.participant_service(), "shop", recorder);
    let shop = Shop {
        earnest,
        pool,
        under_way: Arc::default(),
    };
    Ok(Router::new()
        .route("/orders", post(place))
        .route("/rows", get(rows))
        .with_state(shop)
        .merge(called))
}

/// Runs to its end even when the customer hangs up, and counts as under way until then.
async fn place(State(shop): State<Shop>, Json(order): Json<Order>) -> (StatusCode, Json<Placed>) {
    shop.under_way.fetch_add(1, Ordering::SeqCst);
    let working = tokio::spawn(async move {
        let placed = try_place(&shop.earnest, &order).await;
        shop.under_way.fetch_sub(1, Ordering::SeqCst);
        placed
    });
    let placed = working.await.unwrap_or_else(|panic| Placed {
        committed: None,
        transaction: None,
        why: panic.to_string(),
    });
    let status = match placed.committed {
        Some(true) => StatusCode::OK,
        Some(false) => StatusCode::CONFLICT,
        None => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(placed))
}

async fn try_place(earnest: &Earnest, order: &Order) -> Placed {
    let mut tx = match earnest.begin().await {
        Ok(tx) => tx,
        Err(error) => return not_placed(None, &error),
    };
    let id = tx.id().to_string();
    match work(&mut tx, order).await {
        Ok(Work::Done) => {}
        Ok(Work::Known(before)) => return placed(before),
        Ok(Work::Refused) => {
            let refused = Placed {
                committed: Some(false),
                transaction: Some(id),
                why: "the business says no".to_owned(),
            };
            return match tx.rollback().await {
                Ok(()) => refused,
                Err(error) => not_placed(refused.transaction, &error),
            };
        }
        Err(error) => return not_placed(Some(id), &error),
    }
    match tx.commit().await {
        Ok(id) => placed(id.to_string()),
        Err(error) => not_placed(Some(id), &error),
    }
}

enum Work {
    Done,
    /// It was ordered before, in this transaction.
    Known(String),
    Refused,
}

async fn work(tx: &mut Tx, order: &Order) -> Result<Work, Error> {
    let before = sqlx::query_scalar("SELECT transaction_id FROM orders WHERE key = $1")
        .bind(&order.key)
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(before) = before {
        return Ok(Work::Known(before));
    }
    if !order.holds.is_empty() {
        let branches = order.holds.iter().map(|hold| branch(&hold.at, HOLD, hold));
        tx.try_all(branches.collect::<Result<Vec<_>, _>>()?).await?;
    }
    let holds: Vec<&str> = order.holds.iter().map(|hold| hold.at.as_str()).collect();
    let customer = if order.fate == Fate::Doom { 2 } else { 1 };
    sqlx::query("INSERT INTO orders VALUES ($1, $2, $3, $4)")
        .bind(&order.key)
        .bind(tx.id().to_string())
        .bind(customer)
        .bind(holds.join(","))
        .execute(&mut **tx)
        .await?;
    match order.fate {
        Fate::Refuse => return Ok(Work::Refused),
        Fate::Linger => tokio::time::sleep(LINGER).await,
        Fate::Die => {
            let _dead = kill_process(getpid(), Signal::KILL);
            std::future::pending::<()>().await;
        }
        Fate::Commit | Fate::Poison | Fate::Doom => {}
    }
    tx.business_key(&order.key)?;
    tx.send(ORDERS, order::customer(&order.key), order)?;
    Ok(Work::Done)
}

fn placed(transaction: String) -> Placed {
    Placed {
        committed: Some(true),
        transaction: Some(transaction),
        why: String::new(),
    }
}

/// Every error but one means that nothing was committed.
fn not_placed(transaction: Option<String>, error: &Error) -> Placed {
    Placed {
        committed: match error {
            Error::OutcomeUnknown(_) => None,
            _ => Some(false),
        },
        transaction,
        why: error.to_string(),
    }
}

async fn rows(State(shop): State<Shop>) -> Result<Json<Rows>, (StatusCode, String)> {
    // Asked first: what ends in between is in the rows.
    let under_way = shop.under_way.load(Ordering::SeqCst);
    let orders = sqlx::query("SELECT key, transaction_id, holds FROM orders")
        .fetch_all(&shop.pool)
        .await;
    let events = orders.and_then(|rows| {
        let event = |row: &sqlx::sqlite::SqliteRow| {
            let key: String = row.try_get(0)?;
            let holds: String = row.try_get(2)?;
            let holds = holds.split(',').filter(|at| !at.is_empty());
            Ok(Event::Committed {
                keys: vec![order::customer(&key).to_owned()],
                key,
                transaction: row.try_get(1)?,
                topics: vec![ORDERS.to_owned()],
                branches: holds.map(str::to_owned).collect(),
            })
        };
        rows.iter().map(event).collect()
    });
    let events = events
        .map_err(|error: sqlx::Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(Json(Rows { under_way, events }))
}
