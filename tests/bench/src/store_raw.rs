//! The store by itself, one batch after the other: what the journal could reach if nothing stood in front of it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use earnest_protocol::{
    ContentHash, Decision, Message, Name, Options as Treatment, RetryPolicy, Settled, Timestamp,
    Topic,
};
use earnest_store::{
    Admission, Command, Decide, DeliverySettled, Destination, Durability, LeaseGrant, Line,
    MySqlOptions, MySqlStore, NewTransaction, PostgresOptions, PostgresStore, SqliteOptions,
    SqliteStore, Store, SubscriptionRow, Target, Work,
};
use tokio::time::Instant;

use crate::{
    clock::{Ids, SystemClock},
    coordinator::Site,
    database::Database,
    latency::{Latencies, Window},
    ledger::PAYLOAD,
};

/// What came of it.
pub struct Raw {
    /// One entry per transaction, of the time that its batches took.
    pub transactions: Latencies,
    pub durability: Durability,
}

/// Prepares and confirms in batches of `size`; with `settle` also ends the delivery that each owes.
pub async fn run(
    site: &Site,
    database: &Database,
    size: usize,
    settle: bool,
    warm_up: Duration,
    window: Duration,
) -> anyhow::Result<Raw> {
    let directory = site.fresh_directory()?;
    let store = open(database, directory.path()).await?;
    let durability = store.durability().await?;
    let work = Batches::new(store, size).await?;
    let mut work = Box::new(work);
    let window = Window::from_now(warm_up, window);
    let mut transactions = Latencies::default();
    while Instant::now() < window.until {
        let began = Instant::now();
        work.write(settle).await?;
        let ended = Instant::now();
        if window.contains(ended) {
            for _ in 0..size {
                transactions.record(ended - began);
            }
        }
    }
    // Closing waits for the database.
    tokio::task::spawn_blocking(move || drop(work)).await?;
    Ok(Raw {
        transactions,
        durability,
    })
}

async fn open(database: &Database, directory: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let url = match database {
        Database::File => {
            let options = SqliteOptions::new(directory.join(database.name()));
            let open = move || SqliteStore::open(options, Arc::new(SystemClock));
            return Ok(Arc::new(tokio::task::spawn_blocking(open).await??));
        }
        Database::Server(_) | Database::Named(_) => database.name(),
    };
    if url.starts_with("mysql") {
        return Ok(Arc::new(MySqlStore::open(MySqlOptions::new(url)).await?));
    }
    Ok(Arc::new(
        PostgresStore::open(PostgresOptions::new(url)).await?,
    ))
}

struct Batches {
    store: Arc<dyn Store>,
    grant: LeaseGrant,
    size: usize,
    ids: Ids,
    namespace: Name,
    initiator: Name,
    topic: Topic,
    payload: Bytes,
}

impl Batches {
    async fn new(store: Arc<dyn Store>, size: usize) -> anyhow::Result<Self> {
        let epoch = store.enrol("bench", Duration::from_hours(1)).await?;
        let namespace = Name::default_namespace();
        let topic: Topic = "bench.message".parse()?;
        let subscription = SubscriptionRow {
            name: "bench-consumer".parse()?,
            namespace: namespace.clone(),
            topic: topic.clone(),
            destination: Destination::Service("bench-consumer".parse()?),
            ordered: false,
            paused: false,
            concurrency: 64,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            updated_at: Timestamp::from_micros(0),
        };
        store.put_subscription(subscription).await?;
        Ok(Self {
            store,
            grant: LeaseGrant {
                epoch,
                admission: Arc::new(AdmitAll),
                line: Line::default(),
            },
            size,
            ids: Ids::seeded(1),
            namespace,
            initiator: "bench-sender".parse()?,
            topic,
            payload: Bytes::from(vec![b'x'; PAYLOAD]),
        })
    }

    async fn write(&mut self, settle: bool) -> anyhow::Result<()> {
        let news: Vec<_> = (0..self.size).map(|_| self.transaction()).collect();
        let confirms: Vec<_> = news.iter().map(|new| self.confirm(new)).collect();
        let prepares: Vec<_> = news
            .into_iter()
            .map(|new| Command::Prepare(Box::new(new)))
            .collect();
        self.apply(&prepares).await?;
        let leased = self.apply(&confirms).await?;
        if settle {
            let ends: Vec<_> = leased.into_iter().filter_map(end).collect();
            self.apply(&ends).await?;
        }
        Ok(())
    }

    async fn apply(&self, commands: &[Command]) -> anyhow::Result<Vec<Work>> {
        let applied = self.store.apply(commands, self.grant.clone()).await?;
        for result in applied.results {
            if let Err(rejection) = result {
                bail!("the store refused a command: {rejection}");
            }
        }
        (applied.leased.len() <= self.size)
            .then_some(applied.leased)
            .context("more was leased than is owed")
    }

    fn transaction(&mut self) -> NewTransaction {
        let message = Message {
            topic: self.topic.clone(),
            key: String::new(),
            headers: std::collections::BTreeMap::new(),
            payload: self.payload.clone(),
            content_type: String::new(),
            content_encoding: String::new(),
            key_id: String::new(),
        };
        let messages = vec![message];
        let options = Treatment::default();
        let content = ContentHash::of(
            &self.namespace,
            &self.initiator,
            "",
            "",
            &options,
            &messages,
            &[],
        );
        NewTransaction {
            id: self.ids.next_id(),
            namespace: self.namespace.clone(),
            initiator: self.initiator.clone(),
            resource_id: String::new(),
            business_key: String::new(),
            options,
            content,
            messages,
            branches: vec![],
            traceparent: String::new(),
        }
    }

    fn confirm(&self, new: &NewTransaction) -> Command {
        Command::Decide(Decide {
            id: new.id,
            decision: Decision::Confirm,
            initiator: Some(self.initiator.clone()),
            namespace: self.namespace.clone(),
        })
    }
}

fn end(work: Work) -> Option<Command> {
    match work {
        Work::Delivery(work) => Some(Command::DeliverySettled(Box::new(DeliverySettled {
            key: work.key,
            token: work.token,
            settled: Settled::Done,
            note: None,
        }))),
        Work::CheckBack(_) | Work::Branch(_) => None,
    }
}

struct AdmitAll;

impl Admission for AdmitAll {
    fn admits(&self, _: &Target) -> bool {
        true
    }
}
