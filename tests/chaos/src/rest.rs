//! The end of a run: waits until nothing is under way, and reads what every database holds.

use std::time::Duration;

use anyhow::{Context, Result};
use earnest_history::{BranchView, DeliveryView, Event, Phase};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    member::{Member, Role},
    order::Rows,
    record::Recorder,
    stage::Stage,
};

/// Within this after the faults are over, everything has to be final or parked.
pub(crate) const BOUND: Duration = Duration::from_mins(2);
const PAGE: usize = 500;

#[derive(Deserialize)]
struct Transaction {
    id: String,
    phase: Phase,
    parked_reason: Option<String>,
    open_effects: u32,
    decided_by: Option<String>,
}

impl Transaction {
    fn is_parked(&self) -> bool {
        self.parked_reason.is_some() || (self.phase != Phase::Prepared && self.open_effects == 0)
    }

    fn is_at_rest(&self) -> bool {
        self.phase.is_final() || self.is_parked()
    }
}

/// Waits for rest. When it does not come, what is there is read all the same: the checker says what is wrong with it.
pub(crate) async fn wait(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < BOUND {
        if is_at_rest(stage).await.unwrap_or(false) {
            return Ok(());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn is_at_rest(stage: &Stage) -> Result<bool> {
    // First: what it still does may open a transaction.
    for service in stage.services() {
        if rows(stage, service).await?.under_way > 0 {
            return Ok(false);
        }
    }
    let unfinished = "&phase=PREPARED,CONFIRMING,CANCELLING";
    let unfinished = list(stage, stage.coordinator(), unfinished).await?;
    Ok(unfinished.iter().all(Transaction::is_at_rest))
}

/// Writes down what every database holds.
pub(crate) async fn read(stage: &Stage, recorder: &Recorder) -> Result<()> {
    for service in stage.services() {
        for event in rows(stage, service).await?.events {
            recorder.write(&service.name, event)?;
        }
    }
    for coordinator in stage.coordinators() {
        for transaction in list(stage, coordinator, "").await? {
            let path = format!("/v1/transactions/{}", transaction.id);
            let detail = stage
                .ask_until_answered(coordinator, &path)
                .await
                .with_context(|| format!("look at {}", transaction.id))?;
            let deliveries: Vec<DeliveryView> =
                serde_json::from_value(detail["deliveries"].clone())?;
            let branches: Vec<BranchView> = serde_json::from_value(detail["branches"].clone())?;
            let parked = transaction.is_parked();
            recorder.write(
                &coordinator.name,
                Event::View {
                    transaction: transaction.id,
                    phase: transaction.phase,
                    parked,
                    decided_by: transaction.decided_by.unwrap_or_default(),
                    deliveries,
                    branches,
                },
            )?;
        }
    }
    recorder.write("runner", Event::Rest)?;
    Ok(())
}

async fn rows(stage: &Stage, service: &Member) -> Result<Rows> {
    debug_assert_ne!(service.role, Role::Coordinator);
    let rows = stage.ask_until_answered(service, "/rows").await?;
    Ok(serde_json::from_value(rows)?)
}

async fn list(stage: &Stage, asked: &Member, filter: &str) -> Result<Vec<Transaction>> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/v1/transactions?page_size={PAGE}{filter}{token}");
        let page = stage.ask_until_answered(asked, &path).await?;
        let transactions: Vec<Transaction> = serde_json::from_value(page["transactions"].clone())?;
        all.extend(transactions);
        let Value::String(next) = &page["next_page_token"] else {
            return Ok(all);
        };
        token = format!("&page_token={next}");
    }
}
