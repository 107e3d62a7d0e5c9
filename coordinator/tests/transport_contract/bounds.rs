//! What the port bounds: sizes, time, connections, the address itself.

use std::time::Duration;

use earnest_coordinator::transport::{BindError, Server, ServerOptions};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Node, Setting};

#[tokio::test]
async fn oversized_bodies_are_refused_declared_or_not() {
    let node = Node::start().await;
    let body = vec![b' '; 6 << 20];
    let request = node.request("POST", "/v1/transactions");
    let request = request.header("content-type", "application/json");
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.status(), 413);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "TOO_LARGE");

    // Chunked: its size is not known before it comes.
    let mut stream = TcpStream::connect(node.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let head = "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..6 {
        // The server may answer and close before all is sent.
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut reply = vec![0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, b"HTTP/1.1 413");
}

#[tokio::test]
async fn bounds_of_a_transaction_are_kept() {
    let node = Node::start().await;
    let message = json!({ "topic": "t" });
    let large = json!({ "topic": "t", "payload": "x".repeat(1 << 20) });
    for messages in [json!([large]), json!(vec![message; 101])] {
        let body = json!({ "initiator": "a", "messages": messages });
        let (status, problem) = node.post("/v1/transactions", body).await;
        assert_eq!((status, &problem["code"]), (413, &json!("TOO_LARGE")));
    }
    // As large as is allowed, in the wider of the two encodings.
    let message = json!({ "topic": "t", "payload_base64": "A".repeat((1 << 20) / 3 * 4) });
    let body = json!({
        "initiator": "a", "messages": [message, message, message],
        "options": { "allow_no_subscription": true },
    });
    assert_eq!(node.post("/v1/transactions", body).await.0, 201);
}

#[tokio::test]
async fn oversized_headers_are_refused() {
    let node = Node::start().await;
    let request = node.request("GET", "/v1/services");
    let response = request
        .header("x-large", "x".repeat(300 << 10))
        .send()
        .await;
    // Answered with 431, or cut off before all was sent.
    assert!(response.is_err() || response.is_ok_and(|r| r.status() == 431));
    assert_eq!(node.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_call_that_takes_longer_than_the_caller_waits_is_retryable() {
    let node = Node::start().await;
    let id = node.parked().await;
    let request = node.request("POST", &format!("/v1/transactions/{id}/decide"));
    let request = request.header("grpc-timeout", "20m");
    let response = request.json(&json!({ "decision": "CANCEL" })).send().await;
    let response = response.unwrap();
    assert_eq!(response.status(), 503);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "UNAVAILABLE");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let server = ServerOptions {
        connections: 1,
        ..ServerOptions::default()
    };
    let node = Node::with(Setting {
        server,
        ..Setting::default()
    })
    .await;
    let address = node.url.strip_prefix("http://").unwrap();
    let first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    second.write_all(head).await.unwrap();
    let mut reply = vec![0; 15];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut reply));
    assert!(early.await.is_err(), "answered although there is no place");
    drop(first);
    second.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_silent_connection_gives_its_place_back() {
    let server = ServerOptions {
        connections: 1,
        patience: Duration::from_millis(500),
        ..ServerOptions::default()
    };
    let node = Node::with(Setting {
        server,
        ..Setting::default()
    })
    .await;
    let address = node.url.strip_prefix("http://").unwrap();
    for sent in [
        b"".as_slice(),
        b"P",
        b"PRI * HTTP/2.0",
        b"GET / HTTP/1.1\r\n",
    ] {
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(sent).await.unwrap();
        assert_eq!(node.get("/healthz").await.0, 200, "after {sent:?}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_said_with_what_to_do() {
    let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Server::bind(first.address()).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains(&first.address().to_string()) && text.contains("--listen"));
}
