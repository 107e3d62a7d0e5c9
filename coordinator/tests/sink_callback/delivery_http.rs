//! Deliveries by POST: to services and to webhooks.

use std::{sync::Arc, time::Duration};

use earnest_protocol::{DeliveryAnswer, Ordinal};
use earnest_store::{DeliveryWork, Destination};

use crate::support::{World, http_peer, nobody, reply, to_ledger};

#[tokio::test]
async fn a_webhook_gets_the_payload_and_its_envelope() {
    let world = World::new();
    let peer = http_peer(|_| Some(reply(204, &[], ""))).await;
    let url = format!("{}/hooks/orders?from=earnest", peer.url());
    let mut work = world.delivery_work(Destination::WebhookUrl(url.clone()));
    work.message.key = "größe 50%".into();
    work.message.key_id = "k1".into();
    work.message.content_encoding = "gzip".into();
    work.message.headers = [
        ("kind".to_owned(), "a\r\nx-injected: yes".to_owned()),
        ("two words".to_owned(), "plain".to_owned()),
    ]
    .into();
    let outcome = world.deliver(std::slice::from_ref(&work)).await.remove(0);
    assert_eq!(outcome.answer, DeliveryAnswer::Ok);
    assert_eq!((outcome.code.as_str(), outcome.error.as_str()), ("ok", ""));
    assert_eq!(outcome.target, format!("webhook {url}"));

    let received = peer.received.lock().unwrap()[0].clone();
    assert_eq!(received.path, "/hooks/orders?from=earnest");
    assert_eq!(received.body, work.message.payload);
    let id = work.key.transaction.to_string();
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("earnest-transaction-id", id.as_str()),
        ("earnest-message-id", &format!("{id}/3")),
        ("earnest-namespace", "default"),
        ("earnest-subscription", "hook"),
        ("earnest-topic", "order.placed"),
        ("earnest-key", "gr%C3%B6%C3%9Fe 50%25"),
        ("earnest-key-id", "k1"),
        ("earnest-attempt", "2"),
        ("earnest-initiator", "cashier"),
        ("earnest-created-at", "2027-01-15T08:00:00.123Z"),
        ("earnest-header-kind", "a%0D%0Ax-injected: yes"),
        ("earnest-header-two%20words", "plain"),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    assert!(!received.headers.contains_key("x-injected"));
    assert!(
        received
            .header("traceparent")
            .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    );
}

#[tokio::test]
async fn a_service_is_called_beneath_its_url_and_an_opaque_payload_is_said_to_be_one() {
    let world = World::new();
    let peer = http_peer(|_| Some(reply(200, &[], ""))).await;
    world.register("ledger", &[peer.endpoint()]).await;
    let mut work = world.delivery_work(to_ledger());
    work.message.content_type = String::new();
    work.message.key = String::new();
    work.traceparent = String::new();
    let outcome = world.deliver(&[work]).await.remove(0);
    assert_eq!(outcome.answer, DeliveryAnswer::Ok);
    let received = peer.received.lock().unwrap()[0].clone();
    assert_eq!(received.path, "/earnest/v1/deliver");
    assert_eq!(received.header("content-type"), "application/octet-stream");
    assert!(!received.headers.contains_key("earnest-key"));
    assert_eq!(
        received.header("traceparent").len(),
        55,
        "a trace of its own"
    );
}

#[tokio::test]
async fn the_status_is_the_word() {
    for (status, answer, code, down) in [
        (200, DeliveryAnswer::Ok, "ok", false),
        (202, DeliveryAnswer::Ok, "ok", false),
        (409, DeliveryAnswer::Refused, "refused", false),
        (425, DeliveryAnswer::InProgress, "in-progress", false),
        (
            422,
            DeliveryAnswer::Failed("no such account".into()),
            "failed",
            false,
        ),
        (302, DeliveryAnswer::Unknown, "http-302", false),
        (400, DeliveryAnswer::Unknown, "http-400", false),
        (429, DeliveryAnswer::Unknown, "http-429", false),
        (500, DeliveryAnswer::Unknown, "http-500", false),
        (502, DeliveryAnswer::Unknown, "http-502", true),
        (503, DeliveryAnswer::Unknown, "http-503", true),
    ] {
        let world = World::new();
        let location = [("location", "/elsewhere")];
        let peer = http_peer(move |_| Some(reply(status, &location, "no such account"))).await;
        let work = world.delivery_work(Destination::WebhookUrl(peer.url()));
        let outcome = world.deliver(&[work]).await.remove(0);
        assert_eq!(outcome.answer, answer, "{status}");
        assert_eq!((outcome.code.as_str(), outcome.down), (code, down));
        assert_eq!(peer.count(), 1, "a redirect is not followed");
    }
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_answer_and_a_slow_one_costs_only_itself() {
    let world = World::new();
    let peer = http_peer(
        |received| match received.header("earnest-message-id").rsplit_once('/') {
            Some((_, "0")) => Some(reply(200, &[], "")),
            Some((_, "1")) => Some(reply(422, &[], "broken")),
            _ => None,
        },
    )
    .await;
    let mut work = world.delivery_work(Destination::WebhookUrl(peer.url()));
    Arc::make_mut(&mut work.subscription).timeout = Duration::from_secs(2);
    let batch: Vec<DeliveryWork> = (0..3)
        .map(|n| {
            let mut work = work.clone();
            work.key.ordinal = Ordinal(n);
            work
        })
        .collect();
    // The driver gives up the whole batch at the subscription's timeout; all are answered before that.
    let called = tokio::time::timeout(Duration::from_secs(20), world.deliver(&batch));
    let outcomes = called.await.unwrap();
    let codes: Vec<_> = outcomes.iter().map(|o| o.code.as_str()).collect();
    assert_eq!(codes, ["ok", "failed", "timeout"]);
    assert_eq!(outcomes[1].answer, DeliveryAnswer::Failed("broken".into()));
    assert_eq!(outcomes[2].answer, DeliveryAnswer::Unknown);
    assert!(outcomes[2].down);
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_down() {
    let world = World::new();
    let gone = nobody(earnest_store::EndpointProtocol::Http).await;
    let work = world.delivery_work(Destination::WebhookUrl(gone.url));
    let outcome = world.deliver(&[work]).await.remove(0);
    assert_eq!(outcome.answer, DeliveryAnswer::Unknown);
    assert_eq!((outcome.code.as_str(), outcome.down), ("unreachable", true));
    assert!(outcome.error.contains("refused"), "{}", outcome.error);
}
