//! What can be done to a database that is a server: to its sessions, its locks, and the wire to it.

use std::future::Future;
use std::time::Duration;

use earnest::Db;

use super::{
    Home,
    proxy::{Fate, Proxy},
};

/// A database on a real server, the service's wire to it, and a way around that.
pub(crate) struct Served<D: Db> {
    pub(crate) database: earnest_harness::Database,
    pub(crate) proxy: Proxy,
    /// The test's own connections.
    pub(crate) outside: D::Pool,
}

/// A server, as far as tests have to handle it.
pub(crate) trait Server: Home<Fixture = Served<Self>> {
    /// Statements that set a session's isolation level; the first leaves the server's default.
    const LEVELS: &'static [&'static str];

    /// A setting under which an answered COMMIT may be lost, as the SDK names it.
    const FORGETFUL: &'static str;

    /// What a test holds open in a transaction of its own.
    type Held: Send;

    /// Connections of the service, each prepared by a statement.
    async fn pool_with(served: &Served<Self>, prepare: &'static str) -> Self::Pool;

    /// Connections of a user who may do what the printed SQL grants, and insert orders.
    async fn pool_of_granted_user(served: &Served<Self>) -> Self::Pool;

    /// A new, empty database, without Earnest's tables, and connections to it.
    async fn bare_pools(count: usize) -> Vec<Self::Pool>;

    /// How many rows there are about the database itself.
    async fn resources(pool: &Self::Pool) -> i64;

    /// Decides what becomes of this connection's next COMMIT.
    fn mark(connection: &mut Self::Connection, fate: Fate) -> impl Future<Output = ()> + Send;

    /// Ends the session of this connection from outside, and waits until it is gone.
    async fn kill(served: &Served<Self>, connection: &mut Self::Connection);

    /// Whether some session of this database waits for a lock.
    async fn is_waiting(served: &Served<Self>) -> bool;

    /// Runs the connection into a deadlock that it loses.
    async fn deadlock(served: &Served<Self>, connection: &mut Self::Connection);

    /// A purge of everything up to and including this time, about to commit.
    async fn purge_halfway(served: &Served<Self>, up_to_us: i64) -> Self::Held;

    /// The same, of a message that was taken a moment before.
    async fn taken_and_purged_halfway(served: &Served<Self>, id: &str, up_to_us: i64)
    -> Self::Held;

    /// Commits it.
    async fn finish(held: Self::Held);

    /// Leaves a savepoint open.
    async fn leave_savepoint(connection: &mut Self::Connection);

    /// Inserts an order in a nested transaction, and ends that.
    async fn nest(connection: &mut Self::Connection, order: i64, keep: bool);

    /// A service's connections while the server has [`Server::FORGETFUL`] set, and `look` at them.
    async fn while_forgetful<F: Future<Output = ()>>(
        served: &Served<Self>,
        look: impl FnOnce(Self::Pool) -> F,
    );
}

/// Waits until a session waits for a lock.
pub(crate) async fn until_waiting<D: Server>(served: &Served<D>) {
    let looking = async {
        while !D::is_waiting(served).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), looking).await;
    waited.expect("a session waits for a lock");
}

/// The grants that a migration's own comments ask for, given to `user`.
pub(crate) fn grants(schema: &str, user: &str) -> String {
    let grants = schema.lines().filter_map(|line| line.strip_prefix("--   "));
    let grants = grants.filter(|line| line.starts_with("GRANT"));
    grants.map(|grant| grant.replace("cashier", user)).collect()
}

/// A name for a user of this database.
pub(crate) fn user_of<D: Db>(served: &Served<D>) -> String {
    let (_, path) = served.database.url().rsplit_once('/').unwrap();
    let name = path.split('?').next().unwrap();
    format!("{name}_user")
}
