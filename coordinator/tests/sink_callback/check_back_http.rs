//! M1: a status decides nothing without the result header and the echoed id.

use earnest_protocol::CheckBackAnswer;
use serde_json::Value;

use crate::support::{Peer, Received, World, asked_about, http_peer, reply};

async fn asked(
    answer: impl Fn(&Received) -> Option<axum::response::Response> + Clone + Send + Sync + 'static,
) -> (World, Peer<Received>) {
    let world = World::new();
    let peer = http_peer(answer).await;
    world.register("cashier", &[peer.endpoint()]).await;
    (world, peer)
}

#[tokio::test]
async fn a_typed_word_with_the_echoed_id_counts() {
    for (word, answer, code) in [
        ("COMMITTED", CheckBackAnswer::Committed, "ok"),
        ("ROLLED_BACK", CheckBackAnswer::RolledBack, "ok"),
        ("IN_PROGRESS", CheckBackAnswer::InProgress, "in-progress"),
        ("UNKNOWN", CheckBackAnswer::Unknown, "unknown"),
    ] {
        let (world, peer) = asked(move |received| {
            let id = asked_about(received).to_string();
            let headers = [("Earnest-Result", word), ("Earnest-Transaction-Id", &id)];
            Some(reply(200, &headers, ""))
        })
        .await;
        let work = world.check_back_work();
        let outcome = world.check_back(&work).await;
        assert_eq!((outcome.answer, outcome.code.as_str()), (answer, code));
        assert!(!outcome.down);
        assert_eq!(outcome.target, format!("http {}", peer.url()));

        let received = peer.received.lock().unwrap()[0].clone();
        assert_eq!(received.method, "POST");
        assert_eq!(received.path, "/earnest/v1/check-back");
        assert_eq!(received.header("earnest-attempt"), "2");
        let trace = received.header("traceparent");
        assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(
            !trace.contains("00f067aa0ba902b7"),
            "it is a span of its own"
        );
        let question: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(question["transaction_id"], work.id.to_string());
        assert_eq!(question["service"], "cashier");
        assert_eq!(question["resource_id"], "db-1");
        assert_eq!(question["created_at"], "2027-01-15T08:00:00.123Z");
        assert_eq!(question["created_at_us"], 1_800_000_000_123_456_i64);
        assert_eq!(question["attempt"], 2);
    }
}

#[tokio::test]
async fn m1_a_catch_all_200_decides_nothing() {
    for body in [
        "",
        "COMMITTED",
        r#"{"result":"COMMITTED"}"#,
        "<html>ok</html>",
    ] {
        let (world, _peer) = asked(move |_| Some(reply(200, &[], body))).await;
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
        assert_eq!((outcome.code.as_str(), outcome.down), ("bad-answer", false));
        assert!(outcome.error.contains("Earnest-Transaction-Id"));
    }
}

#[tokio::test]
async fn m1_a_missing_other_or_double_header_decides_nothing() {
    type Make = fn(&str) -> Vec<(&'static str, String)>;
    let cases: [Make; 6] = [
        // No echo, as from a cache or a stub.
        |_| vec![("Earnest-Result", "COMMITTED".into())],
        // Another transaction's answer.
        |_| {
            vec![
                ("Earnest-Result", "COMMITTED".into()),
                (
                    "Earnest-Transaction-Id",
                    "01890a5d-ac96-774b-bcce-b302099a8057".into(),
                ),
            ]
        },
        |id| vec![("Earnest-Transaction-Id", id.into())],
        |id| {
            vec![
                ("Earnest-Result", "committed".into()),
                ("Earnest-Transaction-Id", id.into()),
            ]
        },
        // A delivery's word.
        |id| {
            vec![
                ("Earnest-Result", "OK".into()),
                ("Earnest-Transaction-Id", id.into()),
            ]
        },
        |id| {
            vec![
                ("Earnest-Result", "COMMITTED".into()),
                ("Earnest-Result", "ROLLED_BACK".into()),
                ("Earnest-Transaction-Id", id.into()),
            ]
        },
    ];
    for make in cases {
        let (world, _peer) = asked(move |received| {
            let headers = make(&asked_about(received).to_string());
            let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
            Some(reply(200, &headers, ""))
        })
        .await;
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
        assert_eq!(outcome.code, "bad-answer");
    }
}

#[tokio::test]
async fn m1_another_status_decides_nothing_whatever_its_headers() {
    for (status, down) in [
        (201, false),
        (302, false),
        (404, false),
        (500, false),
        (502, true),
        (503, true),
    ] {
        let (world, peer) = asked(move |received| {
            let id = asked_about(received).to_string();
            let headers = [
                ("Earnest-Result", "COMMITTED"),
                ("Earnest-Transaction-Id", &id),
                ("Location", "/elsewhere"),
            ];
            Some(reply(status, &headers, "trouble"))
        })
        .await;
        let outcome = world.check_back(&world.check_back_work()).await;
        assert_eq!(outcome.answer, CheckBackAnswer::Unknown);
        assert_eq!(outcome.code, format!("http-{status}"));
        assert_eq!((outcome.error.as_str(), outcome.down), ("trouble", down));
        assert_eq!(peer.count(), 1, "a redirect is not followed");
    }
}

#[tokio::test]
async fn an_endless_body_is_read_to_its_bound_only() {
    let (world, _peer) = asked(|_| {
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::convert::Infallible>(axum::body::Bytes::from_static(&[b'x'; 4096]))
        });
        let body = axum::body::Body::from_stream(endless);
        Some(
            axum::response::Response::builder()
                .status(500)
                .body(body)
                .unwrap(),
        )
    })
    .await;
    let outcome = world.check_back(&world.check_back_work()).await;
    assert_eq!(outcome.code, "http-500");
    assert!(outcome.error.len() < 2_048);
}
