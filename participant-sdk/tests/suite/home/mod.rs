//! A database under test: how to make one, how a service uses it, and how to make it fail.

mod memory;
mod mysql;
mod postgres;
pub(crate) mod proxy;
pub(crate) mod server;
mod sqlite;

use std::future::Future;

use earnest::{Builder, Db, Earnest, Tx, sqlx};
use earnest_proto::v1::CheckBackResult;

use crate::common::{SERVICE, TOPIC, coordinator::FakeCoordinator};

/// What goes wrong with the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It has no effect.
    Before,
    /// It takes effect, and is answered with an error.
    After,
}

impl From<Cut> for proxy::Fate {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Before => Self::Before,
            Cut::After => Self::After,
        }
    }
}

/// A kind of database, with Earnest's tables and one table of the service's own.
pub(crate) trait Home: Db {
    /// What keeps one database.
    type Fixture: Send + Sync + 'static;

    /// What is answered about a transaction that another process has open.
    const OPEN_ELSEWHERE: CheckBackResult;

    /// An empty database.
    async fn create() -> Self::Fixture;

    /// Connections of the service.
    async fn pool(fixture: &Self::Fixture) -> Self::Pool;

    /// Inserts an order; a second one of the same number is an error.
    fn insert_order(
        connection: &mut Self::Connection,
        id: i64,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The orders visible from outside.
    async fn orders(fixture: &Self::Fixture) -> usize;

    /// The outcome row visible from outside.
    async fn outcome(fixture: &Self::Fixture, id: &str) -> Option<String>;

    /// The inbox rows visible from outside.
    async fn inbox_rows(fixture: &Self::Fixture) -> usize;

    /// Makes the COMMIT of this transaction, and no other, go wrong.
    fn cut(
        fixture: &Self::Fixture,
        connection: &mut Self::Connection,
        cut: Cut,
    ) -> impl Future<Output = ()> + Send;

    /// Has the database lose the transaction without the service noticing.
    fn lose(
        fixture: &Self::Fixture,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = ()> + Send;

    /// Keeps the database from being asked about outcomes.
    async fn mute(fixture: &Self::Fixture);

    /// The horizon of the fence.
    async fn horizon_us(fixture: &Self::Fixture) -> i64;

    /// Outcome rows of 1973, created at 100_000_000_000_000 + 1 to `count` microseconds.
    async fn insert_old_outcomes(fixture: &Self::Fixture, count: i64);
}

/// A database and a coordinator.
pub(crate) struct World<D: Home> {
    pub(crate) database: D::Fixture,
    pub(crate) coordinator: FakeCoordinator,
}

impl<D: Home> World<D> {
    pub(crate) async fn create() -> Self {
        Self {
            database: D::create().await,
            coordinator: FakeCoordinator::start().await,
        }
    }

    /// A service of connections of its own, as another process has them.
    pub(crate) async fn service(&self) -> Builder<D> {
        Earnest::service(SERVICE).pool(D::pool(&self.database).await)
    }

    pub(crate) async fn connect(&self, builder: Builder<D>) -> Earnest<D> {
        builder.connect(&self.coordinator.url).await.unwrap()
    }

    /// A service without handlers.
    pub(crate) async fn sender(&self) -> Earnest<D> {
        self.connect(self.service().await).await
    }

    pub(crate) async fn orders(&self) -> usize {
        D::orders(&self.database).await
    }

    pub(crate) async fn outcome(&self, id: &str) -> Option<String> {
        D::outcome(&self.database, id).await
    }
}

/// Begins, inserts order 1, and collects one message.
pub(crate) async fn placed<D: Home>(earnest: &Earnest<D>) -> Tx<D> {
    let mut tx = earnest.begin().await.unwrap();
    D::insert_order(&mut tx, 1).await.unwrap();
    tx.send(TOPIC, 1, &"order 1").unwrap();
    tx
}
