//! The coordinator's tables, in the database that a run keeps them in. Both kinds name and mean the columns alike, so one text
//! reads either.

use anyhow::{Context, bail};
use payments::{Amount, Shown};
use sqlx::{Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::{
    books::{
        Branch, BranchState, Coordinator, Delivery, DeliveryState, Lease, Part, Phase, Transaction,
    },
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

/// Transaction, ordinal, participant, action, state, payload.
type BranchRow = (Uuid, i64, String, String, i64, Vec<u8>);
const BRANCHES: &str = "SELECT b.transaction_id, CAST(b.ordinal AS bigint), b.service, c.action, CAST(b.state AS bigint), c.payload \
     FROM branches b JOIN branch_contents c ON c.transaction_id = b.transaction_id AND c.ordinal = b.ordinal";

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
    let branches = super::rows(&mut view, BRANCHES).await?;
    let deliveries = super::rows(&mut view, DELIVERIES).await?;
    coordinator(transactions, branches, deliveries)
}

pub(super) async fn postgres(db: &mut PgConnection) -> anyhow::Result<Coordinator> {
    let mut view = db
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let transactions = sqlx::query_as(TRANSACTIONS).fetch_all(&mut *view).await;
    let transactions = transactions.context("can't read the transactions")?;
    let branches = sqlx::query_as(BRANCHES).fetch_all(&mut *view).await;
    let deliveries = sqlx::query_as(DELIVERIES).fetch_all(&mut *view).await;
    coordinator(
        transactions,
        branches.context("can't read the branches")?,
        deliveries.context("can't read the deliveries")?,
    )
}

fn coordinator(
    transactions: Vec<TransactionRow>,
    branches: Vec<BranchRow>,
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
    for (transaction, ordinal, service, action, state, payload) in branches {
        let participant = Member::named(&service)
            .with_context(|| format!("a branch is at a service {service:?}"))?;
        let branch = Branch {
            part: part(participant, action, &payload)?,
            participant,
            state: match state {
                // 2 and 3 are of transactions that the coordinator tries itself, which nobody asks it for here.
                1 => BranchState::Registered,
                4 => BranchState::Pending,
                5 => BranchState::Done,
                6 => BranchState::Parked,
                other => bail!("the coordinator has a branch in state {other}"),
            },
        };
        coordinator.branches.insert((transaction, ordinal), branch);
    }
    for (transaction, subscription, state, key, position, holder, token) in deliveries {
        coordinator.deliveries.push(Delivery {
            transaction,
            consumer: Member::subscribed(&subscription)
                .with_context(|| format!("a delivery is owed to {subscription:?}"))?,
            state: match state {
                1 => DeliveryState::Pending,
                2 => DeliveryState::Done,
                3 => DeliveryState::Parked,
                other => bail!("the coordinator has a delivery in state {other}"),
            },
            // Payments and refunds have orders of their own.
            order: key
                .map(|key| format!("{subscription} of {key}"))
                .zip(position),
            lease: lease(holder, token)?,
        });
    }
    Ok(coordinator)
}

fn part(participant: Member, action: String, payload: &[u8]) -> anyhow::Result<Part> {
    let Amount { of, cents } = match participant {
        Member::Coupon => {
            let shown: Shown = serde_json::from_slice(payload)?;
            Amount {
                of: shown.code,
                cents: shown.cents,
            }
        }
        _ => serde_json::from_slice(payload)?,
    };
    Ok(Part { action, of, cents })
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
