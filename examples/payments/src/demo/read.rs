//! Reads the four databases as they are on disk, whether their owner lives, stands still or is dead. Read-only: it can't
//! repair what it is there to judge.
//!
//! The tables of the services are their own; those named `earnest_…` are the SDK's; the coordinator's are in
//! coordinator/store/migrations/sqlite.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use earnest::sqlx::{
    self, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use uuid::Uuid;

use crate::{
    books::{
        Account, Books, Cashback, Cashier, Coordinator, Delivery, DeliveryState, Fence, Ledger,
        Line, Paid, Phase, Rewards, Transaction,
    },
    member::Member,
};

/// The file of a member's database.
pub(crate) fn database(data: &Path, member: Member) -> std::path::PathBuf {
    data.join(format!("{member}.db"))
}

/// Reads all four.
pub(crate) async fn books(data: &Path) -> anyhow::Result<Books> {
    Ok(Books {
        coordinator: coordinator(&mut open(data, Member::Coordinator).await?).await?,
        cashier: cashier(&mut open(data, Member::Cashier).await?).await?,
        ledger: ledger(&mut open(data, Member::Ledger).await?).await?,
        rewards: rewards(&mut open(data, Member::Rewards).await?).await?,
    })
}

async fn open(data: &Path, member: Member) -> anyhow::Result<SqliteConnection> {
    let file = database(data, member);
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .read_only(true)
        .busy_timeout(Duration::from_millis(500));
    SqliteConnection::connect_with(&options)
        .await
        .with_context(|| format!("can't read {}", file.display()))
}

async fn rows<T>(db: &mut SqliteConnection, sql: &'static str) -> anyhow::Result<Vec<T>>
where
    T: for<'r> sqlx::FromRow<'r, SqliteRow> + Send + Unpin,
{
    sqlx::query_as(sql)
        .fetch_all(db)
        .await
        .with_context(|| format!("can't run: {sql}"))
}

/// Id, phase, business key, who decided, whether it is parked, messages, answers *in progress*.
type TransactionRow = (Vec<u8>, i64, String, Option<String>, bool, u32, i64);
/// Transaction, subscription, state, key and place in its order.
type DeliveryRow = (Vec<u8>, String, i64, Option<String>, Option<i64>);

async fn coordinator(db: &mut SqliteConnection) -> anyhow::Result<Coordinator> {
    let mut coordinator = Coordinator::default();
    // One view of all tables, also while the owner is at work.
    let mut view = db.begin().await?;
    let transactions: Vec<TransactionRow> = rows(
        &mut view,
        "SELECT id, phase, business_key, decided_by, parked IS NOT NULL OR parked_effects > 0, message_count, \
         in_progress_answers FROM transactions",
    )
    .await?;
    for (id, phase, business_key, decided_by, parked, messages, in_progress) in transactions {
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
            messages,
        };
        coordinator.in_progress_answers += u64::try_from(in_progress)?;
        coordinator
            .transactions
            .insert(Uuid::from_slice(&id)?, transaction);
    }
    let deliveries: Vec<DeliveryRow> = rows(
        &mut view,
        "SELECT transaction_id, subscription, state, order_key, order_position FROM deliveries",
    )
    .await?;
    for (transaction, subscription, state, key, position) in deliveries {
        let consumer = Member::ALL
            .into_iter()
            .find(|m| m.name() == subscription)
            .with_context(|| format!("a delivery is owed to {subscription:?}"))?;
        coordinator.deliveries.push(Delivery {
            transaction: Uuid::from_slice(&transaction)?,
            consumer,
            state: match state {
                1 => DeliveryState::Pending,
                2 => DeliveryState::Done,
                3 => DeliveryState::Parked,
                other => bail!("the coordinator has a delivery in state {other}"),
            },
            order: key.zip(position),
        });
    }
    Ok(coordinator)
}

async fn cashier(db: &mut SqliteConnection) -> anyhow::Result<Cashier> {
    let mut cashier = Cashier::default();
    let mut view = db.begin().await?;
    let accounts: Vec<(String, i64, i64)> =
        rows(&mut view, "SELECT name, opened_with, balance FROM account").await?;
    for (name, opened_with, balance) in accounts {
        let account = Account {
            opened_with,
            balance,
        };
        cashier.accounts.insert(name, account);
    }
    let payments: Vec<(String, String, String, i64, String)> = rows(
        &mut view,
        "SELECT id, payer, payee, cents, transaction_id FROM payment",
    )
    .await?;
    for (id, payer, payee, cents, transaction) in payments {
        let paid = Paid {
            payer,
            payee,
            cents,
            transaction: transaction.parse()?,
        };
        cashier.payments.insert(id, paid);
    }
    let fence: Vec<(String, String)> = rows(
        &mut view,
        "SELECT transaction_id, state FROM earnest_fence WHERE kind = 'outcome'",
    )
    .await?;
    for (id, state) in fence {
        let state = match state.as_str() {
            "committed" => Fence::Committed,
            "rolled_back" => Fence::RolledBack,
            other => bail!("the cashier's fence says {other}"),
        };
        cashier.fence.insert(id.parse()?, state);
    }
    Ok(cashier)
}

async fn ledger(db: &mut SqliteConnection) -> anyhow::Result<Ledger> {
    let mut view = db.begin().await?;
    let lines: Vec<(String, String, i64)> = rows(
        &mut view,
        "SELECT payment, account, cents FROM line ORDER BY number",
    )
    .await?;
    Ok(Ledger {
        lines: lines
            .into_iter()
            .map(|(payment, account, cents)| Line {
                payment,
                account,
                cents,
            })
            .collect(),
        inbox: inbox(&mut view).await?,
    })
}

async fn rewards(db: &mut SqliteConnection) -> anyhow::Result<Rewards> {
    let mut view = db.begin().await?;
    let budget: Vec<(i64, i64)> = rows(&mut view, "SELECT total, remaining FROM budget").await?;
    let (budget, remaining) = budget.first().copied().context("rewards have no budget")?;
    let cashbacks: Vec<(String, i64)> = rows(
        &mut view,
        "SELECT payment, cents FROM cashback ORDER BY number",
    )
    .await?;
    Ok(Rewards {
        budget,
        remaining,
        cashbacks: cashbacks
            .into_iter()
            .map(|(payment, cents)| Cashback { payment, cents })
            .collect(),
        inbox: inbox(&mut view).await?,
    })
}

async fn inbox(db: &mut SqliteConnection) -> anyhow::Result<std::collections::BTreeSet<Uuid>> {
    let ids: Vec<(String,)> = rows(db, "SELECT transaction_id FROM earnest_inbox").await?;
    ids.into_iter().map(|(id,)| Ok(id.parse()?)).collect()
}
