//! Reads the databases as they are on disk, whether their owner lives, stands still or is dead. Read-only: it can't
//! repair what it is there to judge.
//!
//! The tables of the services are their own; those named `earnest_…` are the SDK's; the coordinator's are in
//! coordinator/store/migrations.

mod coordinator;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use sqlx::{
    Connection, MySqlConnection, PgConnection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use uuid::Uuid;

use crate::{
    books::{
        Account, Books, BranchId, Cashier, Coordinator, Coupon, Credit, Done, Entry, Fence, Ledger,
        Line, Reserved, Rewards, Sum,
    },
    member::Member,
    store::{Server, Store},
};

/// The file of a member's database.
pub(crate) fn database(data: &Path, member: Member) -> std::path::PathBuf {
    data.join(format!("{member}.db"))
}

/// Reads all of them.
pub(crate) async fn books(data: &Path, store: &Store) -> anyhow::Result<Books> {
    let mut books = Books {
        coordinator: coordinator(data, store).await?,
        cashier: cashier(&mut open(data, Member::Cashier).await?).await?,
        ledger: ledger(&mut open(data, Member::Ledger).await?).await?,
        rewards: rewards(&mut open(data, Member::Rewards).await?).await?,
        ..Books::default()
    };
    for member in Member::PARTICIPANTS {
        let mut db = open(data, member).await?;
        let mut view = db.begin().await?;
        match member {
            Member::Account => books.accounts = accounts(&mut view).await?,
            Member::Credit => books.credit = credit(&mut view).await?,
            _ => books.coupons = coupons(&mut view).await?,
        }
        books.branches.insert(member, branches(&mut view).await?);
    }
    Ok(books)
}

/// Reads the coordinator's.
pub(crate) async fn coordinator(data: &Path, store: &Store) -> anyhow::Result<Coordinator> {
    match store {
        Store::Sqlite => coordinator::sqlite(&mut open(data, Member::FIRST).await?).await,
        Store::Server(database) => match database.to_read() {
            Server::Postgres(server) => {
                let mut db = PgConnection::connect_with(&server)
                    .await
                    .context("can't read the coordinators' PostgreSQL")?;
                coordinator::postgres(&mut db).await
            }
            Server::Mysql(server) => {
                let mut db = MySqlConnection::connect_with(&server)
                    .await
                    .context("can't read the coordinators' MySQL")?;
                coordinator::mysql(&mut db).await
            }
        },
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
    let done: Vec<(String, String, Option<String>, String)> = rows(
        &mut view,
        "SELECT id, payment, refunds, transaction_id FROM done",
    )
    .await?;
    for (id, payment, refunds, transaction) in done {
        let done = Done {
            payment: serde_json::from_str(&payment)?,
            refunds,
            transaction: transaction.parse()?,
        };
        cashier.done.insert(id, done);
    }
    let refused: Vec<(String, String)> = rows(&mut view, "SELECT id, reason FROM refused").await?;
    cashier.refused = refused.into_iter().collect();
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

async fn accounts(db: &mut SqliteConnection) -> anyhow::Result<BTreeMap<String, Account>> {
    let accounts: Vec<(String, i64, i64, i64)> =
        rows(db, "SELECT name, opened_with, free, frozen FROM account").await?;
    let account = |(name, opened_with, free, frozen)| {
        let account = Account {
            opened_with,
            free,
            frozen,
        };
        (name, account)
    };
    Ok(accounts.into_iter().map(account).collect())
}

async fn credit(db: &mut SqliteConnection) -> anyhow::Result<BTreeMap<String, Credit>> {
    let lines: Vec<(String, i64, i64, i64, i64)> = rows(
        db,
        "SELECT customer, most, used, reserved, repaying FROM line_of_credit",
    )
    .await?;
    let line = |(customer, most, used, reserved, repaying)| {
        let credit = Credit {
            most,
            used,
            reserved,
            repaying,
        };
        (customer, credit)
    };
    Ok(lines.into_iter().map(line).collect())
}

async fn coupons(db: &mut SqliteConnection) -> anyhow::Result<BTreeMap<String, Coupon>> {
    let coupons: Vec<(String, i64, String)> =
        rows(db, "SELECT code, cents, state FROM coupon").await?;
    let coupon = |(code, cents, state)| (code, Coupon { cents, state });
    Ok(coupons.into_iter().map(coupon).collect())
}

async fn branches(db: &mut SqliteConnection) -> anyhow::Result<BTreeMap<BranchId, Reserved>> {
    let fence: Vec<(String, String, String)> = rows(
        db,
        "SELECT transaction_id, party, state FROM earnest_fence WHERE kind = 'branch'",
    )
    .await?;
    let mut branches = BTreeMap::new();
    for (id, ordinal, state) in fence {
        let reserved = match state.as_str() {
            "tried" => Reserved::Tried,
            "confirmed" => Reserved::Confirmed,
            "cancelled" => Reserved::Cancelled,
            other => bail!("a participant's fence says {other}"),
        };
        branches.insert((id.parse()?, ordinal.parse()?), reserved);
    }
    Ok(branches)
}

async fn ledger(db: &mut SqliteConnection) -> anyhow::Result<Ledger> {
    let mut view = db.begin().await?;
    let lines: Vec<(String, String, String, i64)> = rows(
        &mut view,
        "SELECT day, document, account, cents FROM line ORDER BY number",
    )
    .await?;
    let sums: Vec<(String, String, i64, i64)> =
        rows(&mut view, "SELECT day, account, lines, cents FROM roll_up").await?;
    Ok(Ledger {
        lines: lines
            .into_iter()
            .map(|(day, document, account, cents)| Line {
                day,
                document,
                account,
                cents,
            })
            .collect(),
        roll_up: sums
            .into_iter()
            .map(|(day, account, lines, cents)| ((day, account), Sum { lines, cents }))
            .collect(),
        inbox: inbox(&mut view).await?,
    })
}

async fn rewards(db: &mut SqliteConnection) -> anyhow::Result<Rewards> {
    let mut view = db.begin().await?;
    let budget: Vec<(i64, i64)> = rows(&mut view, "SELECT total, remaining FROM budget").await?;
    let (budget, remaining) = budget.first().copied().context("rewards have no budget")?;
    let journal: Vec<(String, String, String, i64)> = rows(
        &mut view,
        "SELECT payment, payer, why, cents FROM journal ORDER BY number",
    )
    .await?;
    Ok(Rewards {
        budget,
        remaining,
        journal: journal
            .into_iter()
            .map(|(payment, payer, why, cents)| Entry {
                payment,
                payer,
                why,
                cents,
            })
            .collect(),
        inbox: inbox(&mut view).await?,
    })
}

async fn inbox(db: &mut SqliteConnection) -> anyhow::Result<BTreeSet<Uuid>> {
    let ids: Vec<(String,)> = rows(db, "SELECT transaction_id FROM earnest_inbox").await?;
    ids.into_iter().map(|(id,)| Ok(id.parse()?)).collect()
}
