//! Coordinators over one database go and come back, one after the other, while a service places orders: no order fails,
//! none is lost, none is delivered twice in effect.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use earnest::{
    Timeouts,
    sqlite::Earnest,
    sqlx::{
        self, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode},
    },
};
use earnest_harness::Database;
use earnest_integration::{Nodes, Order, eventually};
use tokio::task::JoinSet;

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashing-coordinator");
/// Who place orders at the same time.
const CALLERS: usize = 4;
/// Orders that are placed before the next thing happens.
const BREATH: i64 = 25;

/// A service that places orders, is told of them, and writes both down.
struct Shop {
    earnest: Earnest,
    pool: SqlitePool,
    next: AtomicI64,
    over: AtomicBool,
}

impl Shop {
    async fn open(directory: &Path, nodes: &Nodes) -> Result<Arc<Self>> {
        let options = SqliteConnectOptions::new()
            .filename(directory.join("shop.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePool::connect_with(options).await?;
        sqlx::raw_sql(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY); CREATE TABLE received (id INTEGER)",
        )
        .execute(&pool)
        .await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let earnest = Earnest::service("shop")
            .pool(pool.clone())
            .advertise(format!("http://{}", listener.local_addr()?))
            .migrate()
            // A machine may be slow; a lock that a node holds while it stands still would last longer.
            .timeouts(Timeouts {
                prepare: Duration::from_secs(5),
                ..Timeouts::default()
            })
            .on("order.placed", |mut tx, order: Order| async move {
                sqlx::query("INSERT INTO received VALUES (?1)")
                    .bind(order.id)
                    .execute(&mut *tx)
                    .await?;
                Ok(())
            })
            .connect(&nodes.urls())
            .await?;
        let app = earnest.router();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let body =
            serde_json::json!({ "topic": "order.placed", "destination": { "service": "shop" } });
        let url = format!("{}/v1/subscriptions/shop", nodes.url(0));
        let answer = reqwest::Client::new().put(url).json(&body).send().await?;
        answer.error_for_status()?;
        Ok(Arc::new(Self {
            earnest,
            pool,
            next: AtomicI64::new(1),
            over: AtomicBool::new(false),
        }))
    }

    async fn place(&self) -> Result<(), earnest::Error> {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let mut tx = self.earnest.begin().await?;
        sqlx::query("INSERT INTO orders VALUES (?1)")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.send("order.placed", id, &Order { id, doomed: false })?;
        tx.commit().await?;
        Ok(())
    }

    async fn place_until_over(self: Arc<Self>) -> Result<(), earnest::Error> {
        while !self.over.load(Ordering::SeqCst) {
            self.place().await?;
        }
        Ok(())
    }

    async fn count(&self, what: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(what).fetch_one(&self.pool).await?)
    }

    /// Waits until so many orders more were placed.
    async fn breathe(&self) -> Result<()> {
        let placed = async || self.count("SELECT count(*) FROM orders").await;
        let enough = placed().await? + BREATH;
        eventually("orders are placed", async || {
            let now = placed().await?;
            ensure!(now >= enough, "{now} of {enough}");
            Ok(())
        })
        .await
    }

    /// Waits until every order up to this one has arrived.
    async fn arrived(&self, last: i64) -> Result<()> {
        let owed =
            "SELECT count(*) FROM orders WHERE id <= ?1 AND id NOT IN (SELECT id FROM received)";
        eventually("orders have arrived", async || {
            let owed: i64 = sqlx::query_scalar(owed)
                .bind(last)
                .fetch_one(&self.pool)
                .await?;
            ensure!(owed == 0, "{owed} have not");
            Ok(())
        })
        .await
    }

    /// Every order that was placed was received, once.
    async fn received(&self) -> Result<()> {
        self.arrived(i64::MAX).await?;
        let received = self.count("SELECT count(*) FROM received").await?;
        let placed = self.count("SELECT count(*) FROM orders").await?;
        ensure!(received == placed, "{received} received of {placed}");
        Ok(())
    }
}

/// Orders are placed all the while that `disturb` is at work.
async fn under_load(
    database: Database,
    count: usize,
    disturb: impl AsyncFnOnce(&mut Nodes, &Shop) -> Result<()>,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut nodes = Nodes::start(PROGRAM, database.url(), count).await?;
    let shop = Shop::open(directory.path(), &nodes).await?;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(Arc::clone(&shop).place_until_over());
    }
    shop.breathe().await?;
    let disturbed = disturb(&mut nodes, &shop).await;
    shop.over.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    disturbed?;
    shop.received().await
}

async fn rolling_restart(database: Database) -> Result<()> {
    under_load(database, 3, async |nodes, shop| {
        for at in 0..3 {
            nodes.node(at).stop().await?;
            shop.breathe().await?;
            nodes.again(at).await?;
            shop.breathe().await?;
        }
        Ok(())
    })
    .await
}

async fn kills(database: Database) -> Result<()> {
    under_load(database, 2, async |nodes, shop| {
        for at in [0, 1, 0] {
            nodes.node(at).kill().await?;
            shop.breathe().await?;
            nodes.again(at).await?;
            shop.breathe().await?;
        }
        Ok(())
    })
    .await
}

async fn standstill(database: Database) -> Result<()> {
    under_load(database, 3, async |nodes, shop| {
        nodes.node(0).signal("STOP").await?;
        // Its lease runs out and the others take over what it had begun, while orders go on.
        let before = shop.count("SELECT max(id) FROM orders").await?;
        shop.arrived(before).await?;
        shop.breathe().await?;
        nodes.node(0).signal("CONT").await?;
        shop.breathe().await
    })
    .await
}

/// The same over each database that nodes can share.
macro_rules! over {
    ($database:ident) => {
        mod $database {
            use anyhow::Result;

            #[tokio::test(flavor = "multi_thread")]
            async fn p2_p13_rolling_restart_of_three_nodes_fails_no_call() -> Result<()> {
                super::rolling_restart(earnest_harness::$database().await).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn p2_p11_nodes_that_are_killed_fail_no_call_and_lose_nothing() -> Result<()> {
                super::kills(earnest_harness::$database().await).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn p10_p11_node_that_stands_still_past_its_lease_fails_no_call() -> Result<()> {
                super::standstill(earnest_harness::$database().await).await
            }
        }
    };
}

over!(postgres);
over!(mariadb);
