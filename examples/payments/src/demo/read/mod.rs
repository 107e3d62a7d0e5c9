//! Reads the databases as they are on disk, whether their owner lives, stands still or is dead. Read-only: it can't
//! repair what it is there to judge.
//!
//! The tables of the services are their own; those named `earnest_…` are the SDK's; the coordinator's are in
//! coordinator/store/migrations.

mod coordinator;

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use sqlx::{
    Connection, PgConnection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use uuid::Uuid;

use crate::{
    books::{Account, Books, Cashback, Cashier, Coordinator, Fence, Ledger, Line, Paid, Rewards},
    member::Member,
    store::Store,
};

/// The file of a member's database.
pub(crate) fn database(data: &Path, member: Member) -> std::path::PathBuf {
    data.join(format!("{member}.db"))
}

/// Reads all of them.
pub(crate) async fn books(data: &Path, store: &Store) -> anyhow::Result<Books> {
    Ok(Books {
        coordinator: coordinator(data, store).await?,
        cashier: cashier(&mut open(data, Member::Cashier).await?).await?,
        ledger: ledger(&mut open(data, Member::Ledger).await?).await?,
        rewards: rewards(&mut open(data, Member::Rewards).await?).await?,
    })
}

/// Reads the coordinator's.
pub(crate) async fn coordinator(data: &Path, store: &Store) -> anyhow::Result<Coordinator> {
    match store {
        Store::Sqlite => coordinator::sqlite(&mut open(data, Member::FIRST).await?).await,
        Store::Postgres(database) => {
            let mut db = PgConnection::connect_with(&database.to_read())
                .await
                .context("can't read the coordinators' PostgreSQL")?;
            coordinator::postgres(&mut db).await
        }
    }
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
