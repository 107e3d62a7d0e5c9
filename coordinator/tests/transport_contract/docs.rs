//! The commands of `docs/http.md` run as they stand, one after the other.

use std::process::Stdio;

use axum::{Router, extract::Path, http::HeaderMap, response::IntoResponse, routing::post};
use tokio::net::TcpListener;

use crate::support::Node;

/// A service as the page describes it.
async fn service(Path(call): Path<String>, headers: HeaderMap) -> impl IntoResponse {
    let id = headers["earnest-transaction-id"].clone();
    let word = match call.as_str() {
        "check-back" => Some("COMMITTED"),
        "try" | "confirm" | "cancel" => Some("OK"),
        _ => None,
    };
    if let Some(word) = word {
        let result = word.parse().expect("a header");
        [("earnest-result", result), ("earnest-transaction-id", id)].into_response()
    } else {
        assert!(headers["earnest-message-id"].to_str().is_ok());
        "".into_response()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_work() {
    let node = Node::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/earnest/v1/{call}", post(service));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let page = include_str!("../../../docs/http.md");
    let blocks = page.split("```sh\n").skip(1);
    let script: String = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let script = script
        .replace("http://127.0.0.1:7450", &node.url)
        .replace("http://127.0.0.1:8080", &format!("http://{address}"));
    let output = tokio::process::Command::new("sh")
        .args(["-euc", &script])
        .env("no_proxy", "*")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{text}\n{errors}\n(the page needs curl)"
    );
    for expected in [
        r#""phase":"PREPARED""#,
        r#""phase":"CONFIRMING""#,
        "earnest-result: COMMITTED",
        "earnest-result: OK",
        r#""branch_count":2"#,
        r#""outcome":"EXECUTED""#,
        r#""parked_effects":2"#,
        r#""paused":true"#,
        "# EOF",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(
        !text.contains("problem+json") && !text.contains(r#""hint""#),
        "{text}"
    );
}
