//! A participant in any language: it speaks HTTP alone. An initiator with the SDK calls its Try, and the coordinator what follows.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use earnest::{Error, Timeouts, branch, sqlite::Earnest, sqlx::SqlitePool};
use earnest_integration::{Programs, Stage, eventually};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PROGRAMS: Programs = Programs {
    coordinator: env!("CARGO_BIN_EXE_crashing-coordinator"),
    service: env!("CARGO_BIN_EXE_crashing-service"),
};

/// What came: the call, its headers, its body.
type Came = Arc<Mutex<Vec<(String, HeaderMap, Value)>>>;

/// Answers as docs/http.md says. A first Try is answered as a proxy would.
async fn answer(
    State(came): State<Came>,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let first = {
        let mut came = came.lock().unwrap();
        came.push((call.clone(), headers.clone(), body.clone()));
        came.len() == 1
    };
    if first {
        return "welcome".into_response();
    }
    let result = |word| {
        [
            (
                "earnest-transaction-id",
                headers["earnest-transaction-id"]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            ),
            ("earnest-result", word),
        ]
    };
    if call == "try" && body["payload"]["cents"] == 13 {
        let no = json!({ "reason": "not that number" }).to_string();
        return (StatusCode::CONFLICT, result("REFUSED".to_owned()), no).into_response();
    }
    (result("OK".to_owned()), "").into_response()
}

async fn participant() -> Result<(String, Came)> {
    let came = Came::default();
    let app = Router::new()
        .route("/app/earnest/v1/{call}", post(answer))
        .with_state(Arc::clone(&came));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/app/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((url, came))
}

fn calls(came: &Came) -> Vec<String> {
    let came = came.lock().unwrap();
    came.iter().map(|(call, ..)| call.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn t5_an_initiator_reserves_at_a_participant_that_speaks_http() -> Result<()> {
    let mut stage = Stage::set(PROGRAMS)?;
    stage.coordinator.start(None).await?;
    let (url, came) = participant().await?;
    let endpoints = json!({ "endpoints": [{ "url": url, "protocol": "HTTP" }] });
    let register = format!("{}/v1/services/account", stage.coordinator.url());
    let registered = reqwest::Client::new().put(register).json(&endpoints).send();
    registered.await?.error_for_status()?;

    let database = format!(
        "sqlite:{}?mode=rwc",
        stage.directory().join("shop.db").display()
    );
    let shop = Earnest::service("shop")
        .pool(SqlitePool::connect(&database).await?)
        .advertise("http://127.0.0.1:9")
        .migrate()
        .timeouts(Timeouts {
            try_: Duration::from_secs(10),
            ..Timeouts::default()
        })
        .connect(&stage.coordinator.url())
        .await?;
    let debit = |cents: i64| branch("account", "debit", &json!({ "account": 7, "cents": cents }));
    let tx = shop.reserve().branch(debit(12)?).begin().await?;
    ensure!(
        calls(&came) == ["try", "try"],
        "a page says nothing: {:?}",
        calls(&came)
    );
    let id = tx.commit().await?.to_string();
    eventually("it is confirmed", async || {
        ensure!(
            calls(&came) == ["try", "try", "confirm"],
            "{:?}",
            calls(&came)
        );
        Ok(())
    })
    .await?;
    {
        let came = came.lock().unwrap();
        let [_, (_, headers, tried), (_, as_headers, confirmed)] = came.as_slice() else {
            panic!("asserted above")
        };
        ensure!(tried["transaction_id"] == id.as_str(), "{tried}");
        // Whoever calls, the words are the same.
        let (mut tried, mut confirmed) = (tried.clone(), confirmed.clone());
        ensure!(tried["attempt"].take() == 2 && confirmed["attempt"].take() == 1);
        ensure!(tried == confirmed, "{tried}\n{confirmed}");
        for name in ["earnest-transaction-id", "earnest-branch", "content-type"] {
            ensure!(headers[name] == as_headers[name], "{name}");
        }
        ensure!(headers["earnest-attempt"] == "2" && headers.contains_key("traceparent"));
    }

    let refused = shop.reserve().branch(debit(13)?).begin().await.err();
    let is_no = |error: &Error| matches!(error, Error::Refused { service, reason } if service == "account" && reason == "not that number");
    ensure!(refused.as_ref().is_some_and(is_no), "{refused:?}");
    eventually("it is cancelled", async || {
        ensure!(
            calls(&came).last().is_some_and(|call| call == "cancel"),
            "{:?}",
            calls(&came)
        );
        Ok(())
    })
    .await
}
