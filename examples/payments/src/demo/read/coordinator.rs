//! The coordinator's tables, in the database that a run keeps them in. All kinds name and mean the columns alike, so one text
//! reads each of them; MySQL alone has to be told which bytes are text, and those are in braces.

use anyhow::{Context, bail};
use payments::{Amount, Shown};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, SqliteConnection};
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
    i16,
    String,
    Option<String>,
    bool,
    i64,
    i64,
    Option<String>,
    i64,
);
const TRANSACTIONS: &str = "SELECT t.id, t.phase, {t.business_key}, t.decided_by, \
     t.parked IS NOT NULL OR t.parked_effects > 0, t.message_count, t.in_progress_answers, n.name, t.token \
     FROM transactions t LEFT JOIN nodes n ON n.epoch = t.holder";

/// Transaction, ordinal, participant, action, state, payload.
type BranchRow = (Uuid, i64, String, String, i16, Vec<u8>);
const BRANCHES: &str = "SELECT b.transaction_id, b.ordinal, {b.service}, {c.action}, b.state, c.payload \
     FROM branches b JOIN branch_contents c ON c.transaction_id = b.transaction_id AND c.ordinal = b.ordinal";

/// Transaction, subscription, state, key and place in its order, holder and token of the lease.
type DeliveryRow = (
    Uuid,
    String,
    i16,
    Option<String>,
    Option<i64>,
    Option<String>,
    i64,
);
const DELIVERIES: &str = "SELECT d.transaction_id, {d.subscription}, d.state, {d.order_key}, d.order_position, \
     n.name, d.token FROM deliveries d LEFT JOIN nodes n ON n.epoch = d.holder";

pub(super) async fn sqlite(db: &mut SqliteConnection) -> anyhow::Result<Coordinator> {
    // One view of all tables, also while the owner is at work.
    let mut view = db.begin().await?;
    let transactions = sqlx::query_as(plain(TRANSACTIONS))
        .fetch_all(&mut *view)
        .await;
    let branches = sqlx::query_as(plain(BRANCHES)).fetch_all(&mut *view).await;
    let deliveries = sqlx::query_as(plain(DELIVERIES))
        .fetch_all(&mut *view)
        .await;
    read(transactions, branches, deliveries)
}

pub(super) async fn postgres(db: &mut PgConnection) -> anyhow::Result<Coordinator> {
    let mut view = db
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let transactions = sqlx::query_as(plain(TRANSACTIONS))
        .fetch_all(&mut *view)
        .await;
    let branches = sqlx::query_as(plain(BRANCHES)).fetch_all(&mut *view).await;
    let deliveries = sqlx::query_as(plain(DELIVERIES))
        .fetch_all(&mut *view)
        .await;
    read(transactions, branches, deliveries)
}

pub(super) async fn mysql(db: &mut MySqlConnection) -> anyhow::Result<Coordinator> {
    // Each session's level is REPEATABLE READ, unless the server was told otherwise.
    let mut view = db
        .begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        .await?;
    let transactions = sqlx::query_as(told(TRANSACTIONS))
        .fetch_all(&mut *view)
        .await;
    let branches = sqlx::query_as(told(BRANCHES)).fetch_all(&mut *view).await;
    let deliveries = sqlx::query_as(told(DELIVERIES)).fetch_all(&mut *view).await;
    read(transactions, branches, deliveries)
}

/// As SQLite and PostgreSQL take it.
fn plain(sql: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.replace(['{', '}'], ""))
}

/// As MySQL takes it.
fn told(sql: &str) -> AssertSqlSafe<String> {
    let begun = sql.replace('{', "CONVERT(");
    AssertSqlSafe(begun.replace('}', " USING utf8mb4)"))
}

fn read(
    transactions: sqlx::Result<Vec<TransactionRow>>,
    branches: sqlx::Result<Vec<BranchRow>>,
    deliveries: sqlx::Result<Vec<DeliveryRow>>,
) -> anyhow::Result<Coordinator> {
    coordinator(
        transactions.context("can't read the transactions")?,
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
