//! A drain: nothing new, what is under way is finished, open streams don't hold it up for ever.

use std::time::Duration;

use earnest_coordinator::transport::ServerOptions;
use earnest_protocol::CheckBackAnswer;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use crate::support::{Node, Setting};

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    let node = Node::start().await;
    let id = node.parked().await;
    let path = format!("/v1/transactions/{id}/decide");
    let decide = node.post(&path, json!({ "decision": "CONFIRM" }));
    let drain = async {
        node.initiator.asked.acquire().await.unwrap().forget();
        node.draining.cancel();
        node.close_port.cancel();
        let address = node.url.strip_prefix("http://").unwrap();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        node.initiator.says(CheckBackAnswer::Committed);
    };
    let ((status, reply), ()) = tokio::join!(decide, drain);
    assert_eq!(status, 200, "{reply}");
    node.served.await.unwrap();
}

#[tokio::test]
async fn health_watchers_are_told_and_let_go() {
    let node = Node::start().await;
    let mut health = HealthClient::new(node.channel());
    let watch = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    let mut known = health.watch(watch("")).await.unwrap().into_inner();
    let mut unknown = health.watch(watch("x")).await.unwrap().into_inner();
    let first = known.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let first = unknown.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    node.draining.cancel();
    node.close_port.cancel();
    let last = known.next().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(known.next().await.is_none());
    assert!(unknown.next().await.is_none());
    node.served.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_stays_open_is_cut_off_after_the_grace() {
    let server = ServerOptions {
        grace: Duration::from_millis(50),
        ..ServerOptions::default()
    };
    let node = Node::with(Setting {
        server,
        ..Setting::default()
    })
    .await;
    let mut reflection = ServerReflectionClient::new(node.channel());
    let stream = reflection
        .server_reflection_info(tokio_stream::pending())
        .await;
    let mut stream = stream.unwrap().into_inner();
    node.close_port.cancel();
    node.served.await.unwrap();
    assert!(stream.next().await.is_none_or(|answer| answer.is_err()));
}
