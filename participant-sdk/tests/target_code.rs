//! The code that a service writes, over real sockets: a sender and a consumer in axum, and a consumer in tonic.

mod common;

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use earnest::{Error, TransactionId, reject, sqlite::Earnest, sqlx};
use earnest_proto::v1::{DeliverRequest, DeliverResult, participant_client::ParticipantClient};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Notify};
use tokio_stream::wrappers::TcpListenerStream;

use common::{Database, TOPIC, coordinator::FakeCoordinator, delivered};

#[derive(Deserialize, Serialize)]
struct Order {
    id: i64,
    amount: i64,
}

async fn place(
    State(earnest): State<Earnest>,
    Json(order): Json<Order>,
) -> Result<TransactionId, Error> {
    let mut tx = earnest.begin().await?;
    sqlx::query("INSERT INTO orders VALUES ($1, $2)")
        .bind(order.id)
        .bind(order.amount)
        .execute(&mut *tx)
        .await?;
    tx.send("order.placed", order.id, &order)?;
    tx.commit().await
}

async fn place_in_a_closure(
    State(earnest): State<Earnest>,
    Json(order): Json<Order>,
) -> Result<String, Error> {
    earnest
        .transaction(async |tx| {
            sqlx::query("INSERT INTO orders VALUES ($1, $2)")
                .bind(order.id)
                .bind(order.amount)
                .execute(&mut **tx)
                .await?;
            tx.send("order.placed", order.id, &order)?;
            Ok(tx.id().to_string())
        })
        .await
}

async fn http_post(address: std::net::SocketAddr, path: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_axum_service_sends_and_consumes_on_one_port() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();

    let earnest = Earnest::service("cashier")
        .pool(database.pool.clone())
        .advertise(format!("http://{address}"))
        .on("order.placed", |mut tx, order: Order| async move {
            if order.amount < 0 {
                return reject("an order's amount is never negative");
            }
            sqlx::query("INSERT INTO orders VALUES ($1, $2)")
                .bind(order.id)
                .bind(order.amount)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let app = Router::new()
        .route("/orders", post(place))
        .route("/closure", post(place_in_a_closure))
        .with_state(earnest.clone())
        .merge(earnest.router());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let answer = http_post(address, "/orders", r#"{"id":1,"amount":5}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = http_post(address, "/closure", r#"{"id":2,"amount":5}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The same order again: its own database says no, and nothing is prepared.
    let answer = http_post(address, "/orders", r#"{"id":1,"amount":5}"#).await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(!answer.contains("UNIQUE"), "{answer}");

    coordinator.called("Register").await;
    let sent: Vec<_> = coordinator
        .call_names()
        .into_iter()
        .filter(|name| *name != "Register")
        .collect();
    assert_eq!(sent, ["Prepare", "Confirm", "Prepare", "Confirm"]);

    // gRPC on the same port, without TLS.
    let mut client = ParticipantClient::connect(format!("http://{address}"))
        .await
        .unwrap();
    let id = "01890000-0000-7000-8000-000000000001";
    let request = DeliverRequest {
        messages: vec![
            delivered(id, r#"{"id":3,"amount":5}"#),
            common::delivered(
                "01890000-0000-7000-8000-000000000002",
                r#"{"id":4,"amount":-5}"#,
            ),
        ],
    };
    let answers = client.deliver(request).await.unwrap().into_inner().answers;
    let result = |id: &str| {
        let answer = answers.iter().find(|answer| answer.transaction_id == id);
        answer.unwrap().result()
    };
    assert_eq!(result(id), DeliverResult::Ok);
    assert_eq!(
        result("01890000-0000-7000-8000-000000000002"),
        DeliverResult::Failed
    );
    assert_eq!(database.orders().await, 3);

    // What nobody serves is the service's own 404.
    let answer = http_post(address, "/nothing", "{}").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_tonic_service_consumes() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handled = Arc::new(Notify::new());
    let told = Arc::clone(&handled);
    let earnest = Earnest::service("rewards")
        .pool(database.pool.clone())
        .on_delivery(TOPIC, move |tx, delivery| {
            let told = Arc::clone(&told);
            async move {
                assert_eq!(delivery.headers["tenant"], "blue");
                assert_eq!(delivery.attempt, 1);
                let order: Order = delivery.json()?;
                assert_eq!(order.amount, 5);
                drop(tx);
                told.notify_one();
                Ok(())
            }
        })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(earnest.participant_service())
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);

    let mut client = ParticipantClient::connect(format!("http://{address}"))
        .await
        .unwrap();
    let id = "01890000-0000-7000-8000-000000000001";
    let request = DeliverRequest {
        messages: vec![delivered(id, r#"{"id":3,"amount":5}"#)],
    };
    let answers = client.deliver(request).await.unwrap().into_inner().answers;
    assert_eq!(answers[0].result(), DeliverResult::Ok);
    handled.notified().await;
}
