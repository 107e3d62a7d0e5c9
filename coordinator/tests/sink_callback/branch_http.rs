//! Branches over HTTP: a status decides nothing without the result header and the echoed id.

use axum::response::Response;
use earnest_protocol::{BranchAnswer, BranchCall, Ordinal};
use serde_json::{Value, json};

use crate::support::{Peer, Received, World, asked_about, http_peer, reply};

async fn called(
    answer: impl Fn(&Received) -> Option<Response> + Clone + Send + Sync + 'static,
) -> (World, Peer<Received>) {
    let world = World::new();
    let peer = http_peer(answer).await;
    world.register("account", &[peer.endpoint()]).await;
    (world, peer)
}

fn typed(received: &Received, status: u16, word: &str, body: &str) -> Response {
    let id = asked_about(received).to_string();
    let headers = [("Earnest-Result", word), ("Earnest-Transaction-Id", &id)];
    reply(status, &headers, body)
}

fn envelope(peer: &Peer<Received>) -> Value {
    serde_json::from_slice(&peer.received.lock().unwrap()[0].body).unwrap()
}

#[tokio::test]
async fn a_typed_word_with_the_echoed_id_counts() {
    let because = || "because".to_owned();
    let json = r#"{"reason": "because", "more": 1}"#;
    for (status, word, body, answer, code) in [
        (200, "OK", "", BranchAnswer::Ok, "ok"),
        (
            200,
            "REFUSED",
            "because",
            BranchAnswer::Refused(because()),
            "refused",
        ),
        (
            409,
            "REFUSED",
            json,
            BranchAnswer::Refused(because()),
            "refused",
        ),
        (
            425,
            "IN_PROGRESS",
            "busy",
            BranchAnswer::InProgress,
            "in-progress",
        ),
        (
            422,
            "FAILED",
            json,
            BranchAnswer::Failed(because()),
            "failed",
        ),
        (
            200,
            "UNKNOWN",
            "another database",
            BranchAnswer::Unknown,
            "unknown",
        ),
    ] {
        let (world, peer) = called(move |received| Some(typed(received, status, word, body))).await;
        let work = world.branch_work(BranchCall::Cancel);
        let outcome = world.call(std::slice::from_ref(&work)).await.remove(0);
        assert_eq!((&outcome.answer, outcome.code.as_str()), (&answer, code));
        assert!(!outcome.down);
        assert_eq!(outcome.target, format!("http {}", peer.url()));

        let received = peer.received.lock().unwrap()[0].clone();
        assert_eq!(received.method, "POST");
        assert_eq!(received.path, "/earnest/v1/cancel");
        assert_eq!(received.header("earnest-branch"), "3");
        assert_eq!(received.header("earnest-attempt"), "2");
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-";
        assert!(received.header("traceparent").starts_with(trace));
        let expected = json!({
            "transaction_id": work.key.transaction.to_string(),
            "ordinal": 3,
            "namespace": "default",
            "service": "account",
            "action": "debit",
            "resource_id": "db-1",
            "initiator": "cashier",
            "created_at": "2027-01-15T08:00:00.123Z",
            "created_at_us": 1_800_000_000_123_456_i64,
            "attempt": 2,
            "content_type": "application/json",
            "payload": { "cents": 7 },
        });
        assert_eq!(envelope(&peer), expected);
    }
}

#[tokio::test]
async fn each_call_has_its_path_and_what_is_not_json_goes_as_bytes() {
    for (call, path) in [
        (BranchCall::Try, "/earnest/v1/try"),
        (BranchCall::Confirm, "/earnest/v1/confirm"),
        (BranchCall::Cancel, "/earnest/v1/cancel"),
    ] {
        let (world, peer) = called(|received| Some(typed(received, 200, "OK", ""))).await;
        let mut work = world.branch_work(call);
        work.branch.payload = vec![0xff, 0].into();
        world.call(&[work]).await;
        assert_eq!(peer.received.lock().unwrap()[0].path, path);
        let envelope = envelope(&peer);
        assert_eq!(envelope["payload_base64"], "/wA=");
        assert_eq!(envelope.get("payload"), None);
    }
}

#[tokio::test]
async fn p6_a_catch_all_page_decides_nothing() {
    for (status, body, down) in [
        (200, "OK", false),
        (200, r#"{"result":"OK"}"#, false),
        (204, "", false),
        (302, "", false),
        (404, "no such path", false),
        (409, "a proxy's own conflict", false),
        (422, "a framework's own validation", false),
        (500, "", false),
        (503, "", true),
    ] {
        let (world, _peer) = called(move |_| Some(reply(status, &[], body))).await;
        let work = world.branch_work(BranchCall::Confirm);
        let outcome = world.call(&[work]).await.remove(0);
        assert_eq!(outcome.answer, BranchAnswer::Unknown, "{status}");
        assert_eq!(outcome.down, down, "{status}");
    }
}

#[tokio::test]
async fn t3_a_missing_other_or_double_header_decides_nothing() {
    type Make = fn(String) -> Vec<(&'static str, String)>;
    const RESULT: &str = "Earnest-Result";
    const ID: &str = "Earnest-Transaction-Id";
    let other = "01890a5d-ac96-774b-bcce-b302099a8057";
    let cases: [Make; 6] = [
        |_| vec![(RESULT, "OK".into())],
        |_| vec![(RESULT, "OK".into()), (ID, "another's".into())],
        |id| vec![(ID, id)],
        |id| vec![(RESULT, "ok".into()), (ID, id)],
        // A check-back's word.
        |id| vec![(RESULT, "COMMITTED".into()), (ID, id)],
        |id| vec![(RESULT, "OK".into()), (RESULT, "FAILED".into()), (ID, id)],
    ];
    for (n, make) in cases.into_iter().enumerate() {
        let (world, _peer) = called(move |received| {
            let headers = make(asked_about(received).to_string());
            let value = |text: &'_ str| text.replace("another's", other);
            let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, value(v))).collect();
            let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
            Some(reply(200, &headers, ""))
        })
        .await;
        let work = world.branch_work(BranchCall::Confirm);
        let outcome = world.call(&[work]).await.remove(0);
        assert_eq!(outcome.answer, BranchAnswer::Unknown, "case {n}");
        assert_eq!(outcome.code, "bad-answer", "case {n}");
    }
    // OK beside an error's status says two things at once.
    let (world, _peer) = called(|received| Some(typed(received, 500, "OK", ""))).await;
    let work = world.branch_work(BranchCall::Confirm);
    assert_eq!(world.call(&[work]).await[0].answer, BranchAnswer::Unknown);
}

#[tokio::test]
async fn p12_one_branch_that_hangs_loses_no_other_ones_answer() {
    let (world, _peer) = called(|received| {
        let hangs = received.header("earnest-branch") == "7";
        (!hangs).then(|| typed(received, 200, "OK", ""))
    })
    .await;
    let mut batch = [BranchCall::Confirm; 2].map(|call| world.branch_work(call));
    batch[0].key.ordinal = Ordinal(7);
    let outcomes = world.call(&batch).await;
    assert_eq!(outcomes[0].answer, BranchAnswer::Unknown);
    assert_eq!(outcomes[0].code, "timeout");
    assert_eq!(outcomes[1].answer, BranchAnswer::Ok);
}
