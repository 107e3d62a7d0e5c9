//! Reads all databases at rest and says which promise is broken, by the names of INVARIANTS: M1 an effect implies a commit,
//! M2 a commit implies an effect, M5 nothing acknowledged is lost, K2 one effect each.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use earnest::sqlx::{self, Row, SqlitePool, sqlite::SqliteConnectOptions};

use crate::Stage;

/// What was found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Local transactions that committed.
    pub committed: usize,
    /// Transactions that the coordinator cancelled.
    pub cancelled: usize,
    /// Decisions made by check-back.
    pub by_check_back: usize,
}

/// Checks everything; the stage is at rest and the coordinator runs.
pub async fn check(stage: &Stage) -> Result<Tally> {
    let orders = orders(&stage.sender.database).await?;
    let received = received(&stage.consumer.database).await?;
    let transactions = stage.coordinator.transactions().await?;
    let mut tally = Tally {
        committed: orders.len(),
        ..Tally::default()
    };
    let mut phases = HashMap::new();
    for transaction in &transactions {
        let id = transaction["id"]
            .as_str()
            .context("a transaction without id")?;
        let phase = transaction["phase"]
            .as_str()
            .context("a transaction without phase")?;
        phases.insert(id, phase);
        tally.cancelled += usize::from(phase == "CANCELLED");
        tally.by_check_back += usize::from(transaction["decided_by"] == "check-back");
        match phase {
            "CONFIRMED" => ensure!(
                orders.values().any(|of| of == id),
                "M1: {id} is confirmed and did not commit"
            ),
            "CANCELLED" => ensure!(
                !orders.values().any(|of| of == id),
                "M2: {id} committed and is cancelled"
            ),
            other => bail!("V1: {id} is still {other}"),
        }
    }
    for (order, transaction) in &orders {
        ensure!(
            phases.get(transaction.as_str()) == Some(&"CONFIRMED"),
            "M5: order {order} committed, and the coordinator does not know {transaction} as confirmed"
        );
        let effects = received.get(order).copied().unwrap_or(0);
        ensure!(
            effects != 0,
            "M2: order {order} committed and had no effect"
        );
        ensure!(effects == 1, "K2: order {order} had {effects} effects");
    }
    for order in received.keys() {
        ensure!(
            orders.contains_key(order),
            "M1: order {order} had an effect and did not commit"
        );
    }
    Ok(tally)
}

/// Order → transaction id.
async fn orders(database: &Path) -> Result<HashMap<i64, String>> {
    let rows = sqlx::query("SELECT id, transaction_id FROM orders")
        .fetch_all(&open(database).await?)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Order → how often it was received.
async fn received(database: &Path) -> Result<HashMap<i64, i64>> {
    let sql = "SELECT order_id, count(*) FROM received GROUP BY order_id";
    let rows = sqlx::query(sql).fetch_all(&open(database).await?).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

async fn open(database: &Path) -> Result<SqlitePool> {
    Ok(SqlitePool::connect_with(SqliteConnectOptions::new().filename(database)).await?)
}
