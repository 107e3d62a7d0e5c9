//! Stock and purse: each holds an amount for an order, and uses it or gives it back.
//!
//! A row is written for each step that runs, and no rule of the tables forbids a second one, or one that should not be. That
//! there never is one is the fence's work.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use earnest::{
    Context, Tcc, TransactionId, TryError, refuse,
    sqlite::{Earnest, Tx},
    sqlx::{self, Row, Sqlite, SqlitePool},
};
use earnest_chaos::{
    order::{HOLD, Hold, Manner, RESTOCKS, Rows},
    record::Recorder,
};
use earnest_history::{Action, BranchKey, Event};

use crate::{Args, observed};

pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS account (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        began INTEGER NOT NULL,
        free INTEGER NOT NULL,
        held INTEGER NOT NULL,
        used INTEGER NOT NULL
    );
    INSERT OR IGNORE INTO account VALUES (1, 1000000000, 1000000000, 0, 0);
    CREATE TABLE IF NOT EXISTS steps (
        number INTEGER PRIMARY KEY,
        transaction_id TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        action TEXT NOT NULL,
        amount INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS restocks (transaction_id TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL);
";

/// Of so many Confirms and Cancels, one does not succeed at first.
const UNWILLING: u8 = 8;
/// Longer than a short deadline.
const LINGER: Duration = Duration::from_millis(400);

#[derive(Clone)]
struct Home {
    name: &'static str,
    pool: SqlitePool,
    /// Trys that run, and may open a transaction of their own.
    under_way: Arc<AtomicU64>,
}

/// The reservation.
struct Holding {
    under_way: Arc<AtomicU64>,
    /// Steps that were put off once.
    put_off: Mutex<HashSet<(TransactionId, Option<u32>, Action)>>,
}

pub(crate) async fn app(
    name: &'static str,
    args: &Args,
    pool: SqlitePool,
    recorder: Arc<Recorder>,
) -> Result<Router> {
    let under_way: Arc<AtomicU64> = Arc::default();
    let holding = Holding {
        under_way: Arc::clone(&under_way),
        put_off: Mutex::default(),
    };
    let earnest = Earnest::service(name)
        .pool(pool.clone())
        .advertise(&args.advertise)
        .tcc(HOLD, holding)
        .migrate()
        .connect(&args.coordinator)
        .await?;
    let called = observed::router(earnest.participant_service(), name, recorder);
    let home = Home {
        name,
        pool,
        under_way,
    };
    Ok(Router::new()
        .route("/rows", get(rows))
        .with_state(home)
        .merge(called))
}

/// Counts as under way until it is dropped.
struct UnderWay<'a>(&'a AtomicU64);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tcc<Sqlite> for Holding {
    type Payload = Hold;

    async fn try_(&self, tx: &mut Tx, hold: &Hold) -> Result<(), TryError> {
        let _under_way = UnderWay::begin(&self.under_way);
        let branch = tx.context();
        if hold.manner == Manner::Refuse {
            return refuse("there is none left");
        }
        sqlx::query("UPDATE account SET free = free - $1, held = held + $1")
            .bind(hold.amount)
            .execute(&mut **tx)
            .await?;
        step(tx, &branch, "try", hold).await?;
        match hold.manner {
            Manner::Unwilling if self.puts_off(&branch, Action::Try) => return Err(later().into()),
            Manner::Linger => tokio::time::sleep(LINGER).await,
            Manner::Nested => {
                let key = format!("restock for {}", branch.transaction);
                sqlx::query("INSERT INTO restocks VALUES ($1, $2)")
                    .bind(tx.id().to_string())
                    .bind(&key)
                    .execute(&mut **tx)
                    .await?;
                tx.business_key(&key)?;
                tx.send(RESTOCKS, "", &key)?;
            }
            Manner::Plain | Manner::Unwilling | Manner::Refuse => {}
        }
        Ok(())
    }

    async fn confirm(&self, tx: &mut Tx, hold: &Hold) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE account SET held = held - $1, used = used + $1")
            .bind(hold.amount)
            .execute(&mut **tx)
            .await?;
        self.end(tx, Action::Confirm, hold).await
    }

    async fn cancel(&self, tx: &mut Tx, hold: &Hold) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE account SET held = held - $1, free = free + $1")
            .bind(hold.amount)
            .execute(&mut **tx)
            .await?;
        self.end(tx, Action::Cancel, hold).await
    }
}

impl Holding {
    async fn end(&self, tx: &mut Tx, action: Action, hold: &Hold) -> Result<(), sqlx::Error> {
        let branch = tx.context();
        let word = match action {
            Action::Confirm => "confirm",
            _ => "cancel",
        };
        step(tx, &branch, word, hold).await?;
        let chance = branch.transaction.as_uuid().as_bytes()[15];
        if chance.is_multiple_of(UNWILLING) && self.puts_off(&branch, action) {
            return Err(later()); // and the row is not there
        }
        Ok(())
    }

    /// Whether it is the first time.
    fn puts_off(&self, branch: &Context, action: Action) -> bool {
        let mut seen = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((branch.transaction, branch.branch, action))
    }
}

fn later() -> sqlx::Error {
    sqlx::Error::Protocol("not now".to_owned())
}

async fn step(tx: &mut Tx, branch: &Context, action: &str, hold: &Hold) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO steps (transaction_id, ordinal, action, amount) VALUES ($1, $2, $3, $4)",
    )
    .bind(branch.transaction.to_string())
    .bind(branch.branch)
    .bind(action)
    .bind(hold.amount)
    .execute(&mut **tx)
    .await
    .map(drop)
}

async fn rows(State(home): State<Home>) -> Result<Json<Rows>, (StatusCode, String)> {
    // Asked first: what ends in between is in the rows.
    let under_way = home.under_way.load(Ordering::SeqCst);
    let events = read(&home).await;
    let events = events
        .map_err(|error: sqlx::Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(Json(Rows { under_way, events }))
}

/// All tables as they were at one moment.
async fn read(home: &Home) -> Result<Vec<Event>, sqlx::Error> {
    let mut view = home.pool.begin().await?;
    let steps =
        sqlx::query("SELECT transaction_id, ordinal, action, amount FROM steps ORDER BY number")
            .fetch_all(&mut *view)
            .await?;
    let mut events = Vec::with_capacity(steps.len());
    for row in &steps {
        let action: String = row.try_get(2)?;
        events.push(Event::Step {
            key: BranchKey {
                transaction: row.try_get(0)?,
                ordinal: row.try_get(1)?,
                participant: home.name.to_owned(),
            },
            action: match action.as_str() {
                "try" => Action::Try,
                "confirm" => Action::Confirm,
                _ => Action::Cancel,
            },
            amount: row.try_get(3)?,
        });
    }
    let account = sqlx::query("SELECT began, free, held, used FROM account")
        .fetch_one(&mut *view)
        .await?;
    events.push(Event::Account {
        participant: home.name.to_owned(),
        began: account.try_get(0)?,
        free: account.try_get(1)?,
        held: account.try_get(2)?,
        used: account.try_get(3)?,
    });
    let restocks = sqlx::query("SELECT transaction_id, key FROM restocks")
        .fetch_all(&mut *view)
        .await?;
    for row in &restocks {
        events.push(Event::Committed {
            transaction: row.try_get(0)?,
            key: row.try_get(1)?,
            topics: vec![RESTOCKS.to_owned()],
            keys: Vec::new(),
            branches: Vec::new(),
        });
    }
    Ok(events)
}
