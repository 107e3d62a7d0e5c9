//! Connecting: mistakes are found at once and named, and a coordinator that is away is waited for.

mod common;

use std::time::Duration;

use earnest::{
    Error, SetupError, Timeouts,
    sqlite::{self, Earnest, Tx},
    sqlx::{self, SqlitePool},
};
use earnest_proto::v1::EndpointProtocol;

use common::{
    Database, TOPIC,
    coordinator::{Call, FakeCoordinator, Mishap},
    insert_order, sender, service,
};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

fn setup_error(result: Result<Earnest, Error>) -> SetupError {
    match result {
        Err(Error::Setup(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn missing_tables_are_named_with_the_remedy_and_migrate_makes_them() {
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let error = setup_error(
        Earnest::service("s")
            .pool(pool.clone())
            .connect(NOWHERE)
            .await,
    );
    let text = error.to_string();
    assert!(matches!(error, SetupError::TablesMissing { .. }), "{text}");
    assert!(text.contains("earnest_fence"), "{text}");
    assert!(text.contains("earnest sdk migrate"), "{text}");

    let earnest = Earnest::service("s")
        .pool(pool.clone())
        .migrate()
        .connect(NOWHERE)
        .await
        .unwrap();
    let resource_id = earnest.resource_id().to_owned();
    assert_eq!(resource_id.len(), 32);
    // Again, and again by hand: the database stays the one it is.
    sqlite::migrate(&pool).await.unwrap();
    sqlx::raw_sql(sqlite::SCHEMA).execute(&pool).await.unwrap();
    let earnest = Earnest::service("s").pool(pool).connect(NOWHERE).await;
    assert_eq!(earnest.unwrap().resource_id(), resource_id);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let database = Database::create().await;
    sqlx::query("UPDATE earnest_resource SET schema_version = 99")
        .execute(&database.pool)
        .await
        .unwrap();
    let error = setup_error(service(&database).connect(NOWHERE).await);
    assert!(
        matches!(error, SetupError::NewerTables { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn mistakes_in_the_settings_are_named() {
    let database = Database::create().await;
    let pool = &database.pool;
    let handler = |_tx: Tx, (): ()| async { Ok(()) };
    let named = |name: &str| Earnest::service(name).pool(pool.clone());
    let no_time = Timeouts {
        decide: Duration::ZERO,
        ..Timeouts::default()
    };
    let mistakes = [
        (named(""), NOWHERE, "service"),
        (named("my service"), NOWHERE, "my service"),
        (named("s").namespace(""), NOWHERE, "namespace"),
        (named("s").on("", handler), NOWHERE, "topic"),
        (named("s").on("t", handler).on("t", handler), NOWHERE, "`t`"),
        (
            named("s").advertise("localhost:80"),
            NOWHERE,
            "localhost:80",
        ),
        (named("s").handlers_at_once(0), NOWHERE, "handlers_at_once"),
        (named("s").timeouts(no_time), NOWHERE, "timeout"),
        (named("s"), "127.0.0.1:7450", "http://host:port"),
        (named("s"), "https://127.0.0.1:7450", "TLS"),
        (named("s"), "", "coordinator's address"),
    ];
    for (builder, endpoints, named) in mistakes {
        let text = setup_error(builder.connect(endpoints).await).to_string();
        assert!(text.contains(named), "{named}: {text}");
    }
}

#[tokio::test]
async fn a_coordinator_that_is_down_is_registered_with_once_it_is_up() {
    let database = Database::create().await;
    let address = FakeCoordinator::free_address().await;
    let timeouts = Timeouts {
        prepare: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let earnest = service(&database)
        .advertise("http://127.0.0.1:8080")
        .timeouts(timeouts)
        .connect(format!("http://{address}"))
        .await
        .unwrap();
    // Until then nothing is lost, and nothing committed.
    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 1).await;
    tx.send(TOPIC, 1, &1).unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("earnest serve"),
        "{error}"
    );
    assert_eq!(database.orders().await, 0);

    let coordinator = FakeCoordinator::start_at(address).await;
    coordinator.called("Register").await;
    let calls = coordinator.calls();
    let Some(Call::Register(register)) = calls.iter().find(|call| call.name() == "Register") else {
        unreachable!("it was called")
    };
    assert_eq!(register.name, common::SERVICE);
    assert_eq!(register.namespace, "default");
    assert_eq!(register.endpoints[0].url, "http://127.0.0.1:8080");
    assert_eq!(register.endpoints[0].protocol(), EndpointProtocol::Grpc);
    assert!(!register.replace);
}

#[tokio::test]
async fn the_second_endpoint_answers_when_the_first_does_not() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .connect(format!("{NOWHERE}, {}", coordinator.url))
        .await
        .unwrap();
    for _ in 0..2 {
        let mut tx = earnest.begin().await.unwrap();
        tx.send(TOPIC, "", &1).unwrap();
        tx.commit().await.unwrap();
    }
    let expected = ["Prepare", "Confirm", "Prepare", "Confirm"];
    assert_eq!(coordinator.call_names(), expected);
}

#[tokio::test]
async fn old_rows_are_purged_in_batches_and_young_ones_stay() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = sender(&database, &coordinator).await;
    // Ids and times of 1973: far older than any retention.
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
         INSERT INTO earnest_fence SELECT printf('00174876-0000-7000-8000-%012d', i), 'outcome', '', 'committed', \
         100000000000000 + i FROM n",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 1).await;
    let young = tx.commit().await.unwrap().to_string();

    let day = Duration::from_hours(24);
    assert_eq!(earnest.purge(day).await.unwrap(), 1_000);
    assert_eq!(earnest.purge(day).await.unwrap(), 0);
    assert_eq!(database.outcome(&young).await.as_deref(), Some("committed"));
    let horizon: i64 = sqlx::query_scalar("SELECT horizon_us FROM earnest_resource")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(horizon, 100_000_000_001_001);
}

#[tokio::test]
async fn a_lost_registration_is_repeated() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    coordinator.mishap("Register", Mishap::ReplyBroken);
    let _earnest = service(&database)
        .advertise("http://127.0.0.1:8080")
        .connect(&coordinator.url)
        .await
        .unwrap();
    coordinator.called_times("Register", 2).await;
}
