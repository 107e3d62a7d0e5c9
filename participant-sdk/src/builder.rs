//! Describes a service before it is connected: what it is called, where it keeps its rows, what it handles.

use std::{
    collections::HashSet,
    future::Future,
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::Duration,
};

use earnest_proto::v1::{OnBudgetSpent, Options, Outcome};
use serde::de::DeserializeOwned;
use tokio::{sync::Semaphore, task::JoinSet};
use tonic::transport::Channel;

use crate::{
    background,
    clock::{Chance, Clock, SystemChance, SystemClock},
    coordinator::{self, Coordinator},
    earnest::Earnest,
    error::{Error, SetupError},
    handler::{self, Delivery, Handler, HandlerError},
    message,
    open::OpenTransactions,
    participants::Participants,
    shared::{Shared, Timeouts},
    sql::{Db, Resource, SCHEMA_VERSION, Tables},
    tcc::{self, Reservation, Tcc},
    tx::Tx,
};

/// A service with a name; [`Named::pool`] comes next.
#[must_use = "call .pool(…) next"]
pub struct Named<D: Db> {
    name: String,
    database: PhantomData<fn() -> D>,
}

impl<D: Db> Named<D> {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            database: PhantomData,
        }
    }

    /// The service's own database: the one that its business rows are in.
    pub fn pool(self, pool: D::Pool) -> Builder<D> {
        Builder {
            service: self.name,
            pool,
            namespace: "default".to_owned(),
            advertise: None,
            handlers: Vec::new(),
            tcc: Vec::new(),
            participants: Participants::default(),
            handlers_at_once: D::HANDLERS_AT_ONCE,
            check_after: Duration::ZERO,
            allow_no_subscription: false,
            timeouts: Timeouts::default(),
            retention: Some(Duration::from_hours(30 * 24)),
            migrate: false,
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance::default()),
        }
    }
}

/// A service with a name and a database; [`Builder::connect`] makes an [`Earnest`] of it.
#[must_use = "call .connect(…) last"]
pub struct Builder<D: Db> {
    service: String,
    pool: D::Pool,
    namespace: String,
    advertise: Option<String>,
    handlers: Vec<(String, Handler<D>)>,
    tcc: Vec<(String, Arc<dyn Reservation<D>>)>,
    participants: Participants,
    handlers_at_once: usize,
    check_after: Duration,
    allow_no_subscription: bool,
    timeouts: Timeouts,
    retention: Option<Duration>,
    migrate: bool,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl<D: Db> Builder<D> {
    /// Where the coordinator can call this instance, as `http://host:port`. Told to it in the background at every start.
    ///
    /// Without it, the coordinator must know the service from its own configuration, or from other instances.
    pub fn advertise(mut self, url: impl Into<String>) -> Self {
        self.advertise = Some(url.into());
        self
    }

    /// Handles the messages of a topic, each in a local transaction: `|mut tx, order: Order| async move { … Ok(()) }`.
    ///
    /// The payload is read as JSON; one that can't be read is parked. `Ok(())` commits what the handler did together
    /// with the inbox row, so that its effect happens once; `?` rolls back, and the message comes again later;
    /// [`reject`](crate::reject) rolls back and parks it.
    pub fn on<P, F, Fut>(mut self, topic: impl Into<String>, handle: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        F: Fn(Tx<D>, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.handlers
            .push((topic.into(), handler::of_payload(handle)));
        self
    }

    /// As [`Builder::on`], for a handler that wants the payload's bytes, headers, key, id or attempt as well.
    pub fn on_delivery<F, Fut>(mut self, topic: impl Into<String>, handle: F) -> Self
    where
        F: Fn(Tx<D>, Delivery) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.handlers
            .push((topic.into(), handler::of_delivery(handle)));
        self
    }

    /// Takes part in TCC: reservations of this kind, under the name that initiators call them by.
    pub fn tcc(mut self, action: impl Into<String>, tcc: impl Tcc<D>) -> Self {
        self.tcc.push((action.into(), tcc::of(tcc)));
        self
    }

    /// How to reach an instance of a participant whose Try is called, by the URL that it has registered: with TLS, by a proxy, over a
    /// simulated network. By default a plain connection.
    pub fn reach(
        mut self,
        reach: impl Fn(&str) -> Option<Channel> + Send + Sync + 'static,
    ) -> Self {
        self.participants = Participants::reached_by(Arc::new(reach));
        self
    }

    /// How many handlers run at the same time for one call of the coordinator. Default: 1 on SQLite, which has one
    /// writer at a time.
    pub fn handlers_at_once(mut self, handlers: usize) -> Self {
        self.handlers_at_once = handlers;
        self
    }

    /// The namespace that scopes the names of services, topics and subscriptions. Default: `default`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long after Prepare the coordinator asks what became of a transaction, when nobody told it.
    /// Default: the coordinator's, 10 s.
    pub fn check_after(mut self, after: Duration) -> Self {
        self.check_after = after;
        self
    }

    /// Accept messages whose topic nobody subscribed to; they go nowhere. By default they are refused at commit.
    pub fn allow_no_subscription(mut self) -> Self {
        self.allow_no_subscription = true;
        self
    }

    /// How long to wait for others.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long to remember local transactions and messages. Default: 30 days. `None` remembers for ever.
    ///
    /// A call about something older is refused instead of guessed, so keep more than the longest time that work may
    /// wait for a person.
    pub fn retention(mut self, retention: impl Into<Option<Duration>>) -> Self {
        self.retention = retention.into();
        self
    }

    /// Creates Earnest's tables while connecting, where they are missing.
    pub fn migrate(mut self) -> Self {
        self.migrate = true;
        self
    }

    /// Another clock, for tests and simulation.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of random bytes, for tests and simulation.
    pub fn chance(mut self, chance: impl Chance) -> Self {
        self.chance = Arc::new(chance);
        self
    }

    /// Connects: checks the settings and the database, and starts to register in the background.
    ///
    /// `endpoints` is the coordinator's address, `http://host:port`, or several of them separated by commas. It need not
    /// be up: calls reconnect by themselves.
    pub async fn connect(self, endpoints: impl AsRef<str>) -> Result<Earnest<D>, Error> {
        let channels = coordinator::channels(endpoints.as_ref())?;
        self.connect_over(channels).await
    }

    /// As [`Builder::connect`], over channels that were made elsewhere (with TLS, a proxy, a simulated network).
    pub async fn connect_over(
        self,
        channels: impl IntoIterator<Item = Channel>,
    ) -> Result<Earnest<D>, Error> {
        let channels: Vec<Channel> = channels.into_iter().collect();
        self.check(&channels)?;
        let resource = self.resource().await?;
        for gap in D::durability_gaps(&self.pool)
            .await
            .map_err(SetupError::Database)?
        {
            tracing::warn!(service = self.service, "{gap}");
        }
        let coordinator = Coordinator::new(channels, Arc::clone(&self.chance));
        let options = self.options();
        let shared = Arc::new(Shared {
            service: self.service,
            namespace: self.namespace,
            resource_id: resource.id,
            pool: self.pool,
            coordinator,
            options,
            timeouts: self.timeouts,
            clock: self.clock,
            chance: self.chance,
            handlers: self.handlers.into_iter().collect(),
            tcc: self.tcc.into_iter().collect(),
            handlers_at_once: self.handlers_at_once,
            participants: self.participants,
            open: OpenTransactions::default(),
            turns: D::ONE_WRITER.then(|| Arc::new(Semaphore::new(1))),
            background: Mutex::new(JoinSet::new()),
        });
        if let Some(url) = self.advertise {
            shared.in_background(background::register(Arc::downgrade(&shared), url));
        }
        if let Some(retention) = self.retention {
            shared.in_background(background::keep_purging(Arc::downgrade(&shared), retention));
        }
        Ok(Earnest { shared })
    }

    fn check(&self, channels: &[Channel]) -> Result<(), SetupError> {
        let topics = self.handlers.iter().map(|(topic, _)| ("topic", topic));
        let actions = self.tcc.iter().map(|(action, _)| ("action", action));
        let names = [("service", &self.service), ("namespace", &self.namespace)];
        for (what, name) in names.into_iter().chain(topics).chain(actions) {
            if !message::is_name(name) {
                return Err(SetupError::InvalidName {
                    what,
                    name: name.clone(),
                });
            }
        }
        let mut seen = HashSet::new();
        for (topic, _) in &self.handlers {
            if !seen.insert(topic) {
                return Err(SetupError::DuplicateHandler(topic.clone()));
            }
        }
        let mut seen = HashSet::new();
        for (action, _) in &self.tcc {
            if !seen.insert(action) {
                return Err(SetupError::DuplicateAction(action.clone()));
            }
        }
        if let Some(url) = &self.advertise {
            coordinator::check_url("the advertised address", url)?;
        }
        let out_of_range = |what, expected| Err(SetupError::OutOfRange { what, expected });
        if channels.is_empty() {
            return out_of_range("the number of coordinator endpoints", "at least 1");
        }
        if self.handlers_at_once == 0 {
            return out_of_range("handlers_at_once", "at least 1");
        }
        let timeouts = [
            self.timeouts.prepare,
            self.timeouts.decide,
            self.timeouts.fence,
            self.timeouts.try_,
            self.timeouts.turn,
        ];
        if timeouts.iter().any(Duration::is_zero) {
            return out_of_range("every timeout", "longer than zero");
        }
        Ok(())
    }

    fn options(&self) -> Options {
        Options {
            check_after_ms: u64::try_from(self.check_after.as_millis()).unwrap_or(u64::MAX),
            outcome: Outcome::Local.into(),
            on_budget_spent: OnBudgetSpent::Park.into(),
            check_back_budget: 0,
            allow_no_subscription: self.allow_no_subscription,
        }
    }

    async fn resource(&self) -> Result<Resource, SetupError> {
        if self.migrate {
            D::migrate(&self.pool).await.map_err(SetupError::Database)?;
        }
        match D::tables(&self.pool).await.map_err(SetupError::Database)? {
            Tables::Missing(tables) => Err(SetupError::TablesMissing {
                missing: tables.join(", "),
            }),
            Tables::Present(resource) if resource.schema_version > SCHEMA_VERSION => {
                Err(SetupError::NewerTables {
                    found: resource.schema_version,
                    known: SCHEMA_VERSION,
                })
            }
            Tables::Present(resource) => Ok(resource),
        }
    }
}
