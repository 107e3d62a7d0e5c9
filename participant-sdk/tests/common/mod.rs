//! A service under test: its SQLite file, a scripted coordinator, and the coordinator's side of the participant calls.
#![expect(
    dead_code,
    unreachable_pub,
    reason = "compiled into several test binaries, each of which uses a part of it"
)]

pub mod coordinator;

use std::time::Duration;

use earnest::Db;
use earnest::sqlite::{Builder, Earnest, Tx};
use earnest::sqlx::{self, SqlitePool, sqlite};
use earnest_proto::v1::{
    CheckBackRequest, CheckBackResponse, DeliverRequest, DeliverResult, DeliveredMessage,
    DeliveryAnswer, Message, participant_client::ParticipantClient,
};
use tempfile::TempDir;

use coordinator::FakeCoordinator;

pub const SERVICE: &str = "cashier";
pub const TOPIC: &str = "order.placed";
pub const SUBSCRIPTION: &str = "orders-to-cashier";

/// A database file with Earnest's tables and one table of the service's own.
pub struct Database {
    directory: TempDir,
    pub pool: SqlitePool,
}

impl Database {
    pub async fn create() -> Self {
        let directory = TempDir::new().unwrap();
        let pool = open(&directory, Duration::from_secs(5)).await;
        earnest::sqlite::migrate(&pool).await.unwrap();
        sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)")
            .execute(&pool)
            .await
            .unwrap();
        Self { directory, pool }
    }

    /// Connections of their own, as another process has them.
    pub async fn another_pool(&self, busy_timeout: Duration) -> SqlitePool {
        open(&self.directory, busy_timeout).await
    }

    pub async fn orders(&self) -> i64 {
        orders(&self.pool).await
    }

    /// The outcome row as it is visible from outside.
    pub async fn outcome(&self, id: &str) -> Option<String> {
        sqlx::query_scalar("SELECT state FROM earnest_fence WHERE transaction_id = ?1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .unwrap()
    }

    pub async fn inbox_rows(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM earnest_inbox")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

pub async fn orders(pool: &SqlitePool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn open(directory: &TempDir, busy_timeout: Duration) -> SqlitePool {
    let options = sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("service.db"))
        .create_if_missing(true)
        .journal_mode(sqlite::SqliteJournalMode::Wal)
        .busy_timeout(busy_timeout);
    sqlite::SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await
        .unwrap()
}

/// A service that is not yet connected.
pub fn service(database: &Database) -> Builder {
    Earnest::service(SERVICE).pool(database.pool.clone())
}

/// A connected service without handlers.
pub async fn sender(database: &Database, coordinator: &FakeCoordinator) -> Earnest {
    service(database).connect(&coordinator.url).await.unwrap()
}

/// Inserts one order into the open transaction.
pub async fn insert_order(connection: &mut sqlx::SqliteConnection, id: i64) {
    try_insert_order(connection, id).await.unwrap();
}

pub async fn try_insert_order(
    connection: &mut sqlx::SqliteConnection,
    id: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO orders (id, amount) VALUES (?1, 100)")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Begins, inserts order 1, and collects one message.
pub async fn placed(earnest: &Earnest) -> Tx {
    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 1).await;
    tx.send(TOPIC, 1, &"order 1").unwrap();
    tx
}

/// A check-back as the coordinator makes it for a transaction of `earnest`.
pub fn check_back_about<D: Db>(earnest: &earnest::Earnest<D>, id: &str) -> CheckBackRequest {
    CheckBackRequest {
        transaction_id: id.to_owned(),
        namespace: "default".to_owned(),
        service: SERVICE.to_owned(),
        resource_id: earnest.resource_id().to_owned(),
        created_at_us: coordinator::CREATED_AT_US,
        attempt: 1,
        traceparent: String::new(),
    }
}

pub async fn check_back<D: Db>(
    earnest: &earnest::Earnest<D>,
    request: CheckBackRequest,
) -> CheckBackResponse {
    ParticipantClient::new(earnest.participant_service())
        .check_back(request)
        .await
        .unwrap()
        .into_inner()
}

/// A message as the coordinator delivers it.
pub fn delivered(transaction_id: &str, payload: &str) -> DeliveredMessage {
    DeliveredMessage {
        transaction_id: transaction_id.to_owned(),
        ordinal: 0,
        namespace: "default".to_owned(),
        subscription: SUBSCRIPTION.to_owned(),
        message: Some(Message {
            topic: TOPIC.to_owned(),
            key: "17".to_owned(),
            headers: [("tenant".to_owned(), "blue".to_owned())].into(),
            payload: payload.as_bytes().to_vec().into(),
            content_type: "application/json".to_owned(),
            content_encoding: String::new(),
            key_id: String::new(),
            deliver_after_ms: 0,
        }),
        created_at_us: coordinator::CREATED_AT_US,
        attempt: 1,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        initiator: "shop".to_owned(),
    }
}

pub async fn deliver<D: Db>(
    earnest: &earnest::Earnest<D>,
    messages: Vec<DeliveredMessage>,
) -> Vec<DeliveryAnswer> {
    ParticipantClient::new(earnest.participant_service())
        .deliver(DeliverRequest { messages })
        .await
        .unwrap()
        .into_inner()
        .answers
}

/// Delivers one message and takes its answer.
pub async fn deliver_one<D: Db>(
    earnest: &earnest::Earnest<D>,
    message: DeliveredMessage,
) -> (DeliverResult, DeliveryAnswer) {
    let answers = deliver(earnest, vec![message]).await;
    let [answer] = answers.try_into().unwrap();
    (answer.result(), answer)
}

/// A clock far after every transaction's creation.
pub struct YearsLater;

impl earnest::Clock for YearsLater {
    fn unix_micros(&self) -> i64 {
        coordinator::CREATED_AT_US + 10 * 365 * 24 * 3_600 * 1_000_000
    }
}

/// Far older than any retention.
pub const TIME_OF_1973_US: i64 = 100_000_000_000_000;

/// An id made at that time.
pub fn id_of_1973(number: i64) -> String {
    format!("00174876-0000-7000-8000-{number:012}")
}

/// The same bytes and the same time for ever: two processes that make the same ids.
pub struct Repeating;

impl earnest::Chance for Repeating {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl earnest::Clock for Repeating {
    fn unix_micros(&self) -> i64 {
        coordinator::CREATED_AT_US
    }
}
