//! One coordinator node: puts the rooms together, and takes them apart in order.
//!
//! `main` and tests start the same node; only the configuration and the [`Environment`] differ. It must never
//! serve before everything behind the port is ready, and never close the journal before the last call that
//! may write to it is over.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use earnest_store::{
    Durability, MemoryStore, MySqlOptions, MySqlStore, PostgresOptions, PostgresStore,
    SqliteOptions, SqliteStore, Store, StoreError,
};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    callback::{Branches, Callbacks, ClientError, Clients, ServiceDirectory},
    clock::Environment,
    config::Database,
    connection::Listener,
    driver::{Board, BoardDispatcher, Driver, DriverParts},
    journal::Journal,
    service::{Coordinator, ServiceError, ServiceParts},
    sink::Sinks,
    telemetry::Metrics,
    threads::InnerThreads,
    transport::{self, AppState, BindError, Server, ServerOptions},
    vigil::Vigil,
};

pub use crate::config::NodeConfig;

/// How long a stop waits for the journal and the store to be let go of, once nothing more can use them.
const LET_GO: Duration = Duration::from_secs(5);

/// Why a node does not start. Nothing is served, and nothing that was kept is changed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The port can't be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The database can't be opened or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Connections to others can't be made at all.
    #[error("connections to services can't be made")]
    Clients(#[from] ClientError),
    /// A subscription or service of the configuration is not accepted.
    #[error("{what} `{name}` of the configuration: {}. {}", error.message, error.hint)]
    Configured {
        /// `subscription` or `service`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        error: Box<ServiceError>,
    },
    /// The system gives no thread.
    #[error("the journal's and the driver's threads can't be started")]
    Threads(#[source] std::io::Error),
    /// A thread ended before its work did.
    #[error("the database could not be opened: its thread failed")]
    Thread(#[from] tokio::task::JoinError),
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    durability: Durability,
    coordinator: Coordinator,
    store: Arc<dyn Store>,
    driver: Driver,
    writers: TaskTracker,
    draining: CancellationToken,
    close_port: CancellationToken,
    server: JoinHandle<()>,
    threads: InnerThreads,
}

/// What a node stands on.
pub struct Ground<L> {
    /// Its port.
    pub server: Server<L>,
    /// Its database.
    pub store: Arc<dyn Store>,
    /// How it calls services.
    pub clients: Clients,
    /// Where its journal and driver run.
    pub threads: InnerThreads,
}

impl Node {
    /// Starts everything and serves.
    pub async fn start(config: NodeConfig, environment: Environment) -> Result<Self, NodeError> {
        // The port first: a second node must not get as far as the database.
        let server = Server::bind(config.listen).await?;
        let ground = Ground {
            server,
            store: open(&config, &environment).await?,
            clients: Clients::new()?,
            threads: InnerThreads::start().map_err(NodeError::Threads)?,
        };
        Self::start_on(ground, config, environment).await
    }

    /// As [`Node::start`], on ground that was made elsewhere.
    pub async fn start_on<L: Listener>(
        ground: Ground<L>,
        mut config: NodeConfig,
        environment: Environment,
    ) -> Result<Self, NodeError> {
        if config.driver.node.is_empty() {
            config.driver.node = host_name();
        }
        let Ground {
            server,
            store,
            clients,
            threads,
        } = ground;
        let server = server.with_options(ServerOptions {
            grace: config.driver.drain,
            ..ServerOptions::default()
        });
        let address = server.address();
        let durability = store.durability().await?;

        let board = Arc::new(Board::new(config.board));
        let metrics = Arc::new(Metrics::default());
        Driver::enrol(&*store, &board, &config.driver).await?;
        let vigil = Arc::new(Vigil::new(environment.line(), &config.driver.node));
        // A loss that is known already must hold from the first call on.
        vigil.look(&*store).await?;
        let writers = TaskTracker::new();
        let dispatcher = Arc::new(BoardDispatcher(Arc::clone(&board)));
        let journal = threads.run(|| {
            Journal::start(
                Arc::clone(&store),
                dispatcher,
                config.journal,
                Arc::clone(&metrics),
                Arc::clone(&vigil),
                &writers,
            )
        });
        writers.close();

        let directory = Arc::new(ServiceDirectory::new(Arc::clone(&store)));
        let check_back = Arc::new(Callbacks::new(
            Arc::clone(&directory),
            clients.clone(),
            environment.clone(),
        ));
        let branches = Arc::new(Branches::new(
            Arc::clone(&directory),
            clients.clone(),
            environment.clone(),
            config.driver.branch_timeout,
        ));
        let delivery = Arc::new(Sinks::new(directory, clients, environment.clone()));
        let coordinator = Coordinator::new(
            ServiceParts {
                journal: journal.clone(),
                store: Arc::clone(&store),
                board: Arc::clone(&board),
                check_back: Arc::clone(&check_back) as _,
                environment: environment.clone(),
                vigil: Arc::clone(&vigil),
            },
            config.service,
        );
        put_configured(&coordinator, &config).await?;

        let parts = DriverParts {
            store: Arc::clone(&store),
            journal,
            board: Arc::clone(&board),
            check_back,
            delivery,
            branches,
            environment,
            metrics: Arc::clone(&metrics),
            vigil,
        };
        let driver = threads.run(|| Driver::start(parts, config.driver));
        let (draining, close_port) = (CancellationToken::new(), CancellationToken::new());
        let app = transport::app(AppState {
            coordinator: coordinator.clone(),
            metrics,
            board,
            draining: draining.clone(),
        });
        let server = tokio::spawn(server.serve(app, close_port.clone()));
        Ok(Self {
            address,
            durability,
            coordinator,
            store,
            driver,
            writers,
            draining,
            close_port,
            server,
            threads,
        })
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How durable a commit is, as read from the live connection.
    pub fn durability(&self) -> &Durability {
        &self.durability
    }

    /// The use cases, for tests in the same process. Let go of it before [`Node::shutdown`]: it keeps the
    /// journal open.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Returns if the port is no longer served although nobody asked for that: a fault of the node's own.
    pub async fn port_lost(&mut self) {
        let ended = (&mut self.server).await;
        tracing::error!(?ended, "the port is no longer served");
    }

    /// Drains, in order: readiness turns red; no more calls are taken, and those under way are finished;
    /// no more work is taken, and what is under way is finished; the journal writes what waits; the store closes.
    /// Each step is bounded, and what it leaves undone is in the database.
    pub async fn shutdown(self) {
        self.draining.cancel();
        self.coordinator.journal().waiters().close();
        self.close_port.cancel();
        if !self.server.is_finished()
            && let Err(error) = self.server.await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the port's task failed"
            );
        }
        self.driver.drain().await;
        drop(self.coordinator);
        if tokio::time::timeout(LET_GO, self.writers.wait())
            .await
            .is_err()
        {
            tracing::warn!("the journal is still in use; what waits in it was not acknowledged");
        }
        let store = self.store;
        let let_go = async {
            while Arc::strong_count(&store) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(LET_GO, let_go).await.is_err() {
            tracing::warn!("the database is still in use; it is closed by the end of the process");
        }
        // Closing waits for the database.
        if let Err(error) = self.threads.let_go(store).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database was not closed"
            );
        }
        tracing::info!("stopped");
    }
}

async fn open(config: &NodeConfig, environment: &Environment) -> Result<Arc<dyn Store>, NodeError> {
    let clock = environment.clock();
    match &config.database {
        Database::Memory => Ok(Arc::new(MemoryStore::new(clock))),
        Database::Sqlite(path) => {
            let options = SqliteOptions::new(path);
            let opened = spawn_blocking(move || SqliteStore::open(options, clock)).await?;
            Ok(Arc::new(opened?))
        }
        Database::Postgres(url) => {
            let options = PostgresOptions {
                writers: config.pool.writers,
                readers: config.pool.readers,
                ..PostgresOptions::new(url.expose())
            };
            Ok(Arc::new(PostgresStore::open(options).await?))
        }
        Database::MySql(url) => {
            let options = MySqlOptions {
                writers: config.pool.writers,
                readers: config.pool.readers,
                ..MySqlOptions::new(url.expose())
            };
            Ok(Arc::new(MySqlStore::open(options).await?))
        }
    }
}

/// Creates or replaces what the configuration names, and leaves all else alone. A subscription that an operator
/// has paused stays paused: a restart must not undo that.
async fn put_configured(coordinator: &Coordinator, config: &NodeConfig) -> Result<(), NodeError> {
    for input in &config.services {
        let name = input.name.clone();
        coordinator
            .register_service(input.clone())
            .await
            .map_err(|error| refused("service", name, error))?;
    }
    for input in &config.subscriptions {
        let mut input = input.clone();
        let name = input.name.clone();
        let failed = |error| refused("subscription", name.clone(), error);
        let known = coordinator
            .subscriptions(&input.namespace)
            .await
            .map_err(failed)?;
        let paused = known
            .iter()
            .any(|(row, _)| row.name.as_str() == input.name && row.paused);
        if paused && !input.paused {
            tracing::warn!(
                subscription = input.name,
                "stays paused, as it was; `earnest subscription resume` restarts it"
            );
            input.paused = true;
        }
        coordinator.put_subscription(input).await.map_err(failed)?;
    }
    Ok(())
}

fn refused(what: &'static str, name: String, error: ServiceError) -> NodeError {
    NodeError::Configured {
        what,
        name,
        error: Box::new(error),
    }
}

/// What the machine calls itself.
fn host_name() -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = of_kernel.ok().or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "node".into())
}
