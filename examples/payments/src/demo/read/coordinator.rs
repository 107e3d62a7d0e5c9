//! The coordinator's tables, in the database that a run keeps them in. Both kinds name and mean the columns alike, so one text
//! reads either.

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::{
    books::{Coordinator, Delivery, DeliveryState, Lease, Phase, Transaction},
    member::Member,
};

/// Id, phase, business key, who decided, whether it is parked, messages, answers *in progress*, holder and token of the
/// check-back's lease.
type TransactionRow = (
    Uuid,
    i64,
    String,
    Option<String>,
    bool,
    i64,
    i64,
    Option<String>,
    i64,
);
const TRANSACTIONS: &str = "SELECT t.id, CAST(t.phase AS bigint), t.business_key, t.decided_by, \
     t.parked IS NOT NULL OR t.parked_effects > 0, t.message_count, t.in_progress_answers, n.name, t.token \
     FROM transactions t LEFT JOIN nodes n ON n.epoch = t.holder";

/// Transaction, subscription, state, key and place in its order, holder and token of the lease.
type DeliveryRow = (
    Uuid,
    String,
    i64,
    Option<String>,
    Option<i64>,
    Option<String>,
    i64,
);
const DELIVERIES: &str = "SELECT d.transaction_id, d.subscription, CAST(d.state AS bigint), d.order_key, d.order_position, \
     n.name, d.token FROM deliveries d LEFT JOIN nodes n ON n.epoch = d.holder";

pub(super) async fn sqlite(db: &mut SqliteConnection) -> anyhow::Result<Coordinator> {
    // One view of all tables, also while the owner is at work.
    let mut view = db.begin().await?;
    let transactions = super::rows(&mut view, TRANSACTIONS).await?;
    let deliveries = super::rows(&mut view, DELIVERIES).await?;
    coordinator(transactions, deliveries)
}

pub(super) async fn postgres(db: &mut PgConnection) -> anyhow::Result<Coordinator> {
    let mut view = db
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let transactions = sqlx::query_as(TRANSACTIONS).fetch_all(&mut *view).await;
    let transactions = transactions.context("can't read the transactions")?;
    let deliveries = sqlx::query_as(DELIVERIES).fetch_all(&mut *view).await;
    coordinator(
        transactions,
        deliveries.context("can't read the deliveries")?,
    )
}

fn coordinator(
    transactions: Vec<TransactionRow>,
    deliveries: Vec<DeliveryRow>,
) -> anyhow::Result<Coordinator> {
    let mut coordinator = Coordinator::default();
    for (id, phase, business_key, decided_by, parked, messages, in_progress, holder, token) in
        transactions
    {
        let transaction = Transaction {
            phase: match phase {
                1 => Phase::Prepared,
                2 => Phase::Confirming,
                3 => Phase::Confirmed,
                4 => Phase::Cancelling,
                5 => Phase::Cancelled,
                other => bail!("the coordinator has a transaction in phase {other}"),
            },
            business_key,
            decided_by,
            parked,
            messages: u32::try_from(messages)?,
            lease: lease(holder, token)?,
        };
        coordinator.in_progress_answers += u64::try_from(in_progress)?;
        coordinator.transactions.insert(id, transaction);
    }
    for (transaction, subscription, state, key, position, holder, token) in deliveries {
        coordinator.deliveries.push(Delivery {
            transaction,
            consumer: Member::named(&subscription)
                .with_context(|| format!("a delivery is owed to {subscription:?}"))?,
            state: match state {
                1 => DeliveryState::Pending,
                2 => DeliveryState::Done,
                3 => DeliveryState::Parked,
                other => bail!("the coordinator has a delivery in state {other}"),
            },
            order: key.zip(position),
            lease: lease(holder, token)?,
        });
    }
    Ok(coordinator)
}

fn lease(holder: Option<String>, token: i64) -> anyhow::Result<Lease> {
    let known = |node: String| {
        Member::named(&node).with_context(|| format!("something is leased to a node {node:?}"))
    };
    Ok(Lease {
        holder: holder.map(known).transpose()?,
        token,
    })
}
