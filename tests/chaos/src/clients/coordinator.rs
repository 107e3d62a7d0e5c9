//! The coordinator's REST interface, as clients without an SDK call it.

use std::time::Duration;

use anyhow::Result;
use earnest_history::{Call, DeliveryView, Event, Phase, Reason};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Clients;
use crate::order::{HOLD, Hold, POSTS};

/// The word under which clients decide about their own transactions.
const INITIATOR: &str = "client";
/// How often a call is repeated that brought nothing.
const TRIES: u32 = 20;

/// How long an Execute waits for its end; less than a caller does.
const WAIT_MS: u32 = 1_000;

/// What an answer taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The call did what it says, or had done so before.
    Ok,
    /// It changed nothing.
    Refused,
    /// It may have done anything.
    Nothing,
}

#[derive(Deserialize)]
struct Answer {
    transaction: Option<Transaction>,
    #[serde(default)]
    deliveries: Vec<DeliveryView>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Transaction {
    phase: Phase,
}

/// One who calls one coordinator.
#[derive(Clone, Copy)]
pub(super) struct Caller<'c> {
    pub(super) clients: &'c Clients,
    pub(super) who: &'c str,
    pub(super) coordinator: &'c str,
    pub(super) patience: Duration,
}

/// What can be asked about a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'a> {
    /// Records a message of this content; nobody can be asked about it, so time cancels it.
    Prepare {
        content: &'a str,
        check_after_ms: u32,
    },
    /// Prepares and confirms.
    Submit {
        content: &'a str,
    },
    /// Has the coordinator run the Trys of these, and waits for what they decide.
    Execute {
        content: &'a str,
        holds: &'a [Hold],
        deadline_ms: u32,
    },
    Confirm,
    Cancel,
    Look,
}

impl Caller<'_> {
    /// Asks once.
    pub(super) async fn ask(&self, id: &str, ask: Ask<'_>) -> Result<Told> {
        let transaction = id.to_owned();
        let topics = vec![POSTS.to_owned()];
        let decide = json!({ "initiator": INITIATOR });
        let (call, path, body) = match ask {
            Ask::Prepare {
                content,
                check_after_ms,
            } => (
                Call::Prepare {
                    transaction,
                    content: content.to_owned(),
                    topics,
                },
                String::new(),
                json!({
                    "id": id,
                    "initiator": INITIATOR,
                    "messages": messages(content),
                    "options": { "outcome": "NONE", "check_after_ms": check_after_ms },
                }),
            ),
            Ask::Submit { content } => (
                Call::Submit {
                    transaction,
                    content: content.to_owned(),
                    topics,
                },
                "/submit".to_owned(),
                json!({ "id": id, "initiator": INITIATOR, "messages": messages(content) }),
            ),
            Ask::Execute {
                content,
                holds,
                deadline_ms,
            } => (
                Call::Execute {
                    transaction,
                    content: content.to_owned(),
                    topics,
                    branches: holds.iter().map(|hold| hold.at.clone()).collect(),
                },
                "/execute".to_owned(),
                json!({
                    "id": id,
                    "initiator": INITIATOR,
                    "messages": messages(content),
                    "branches": holds.iter().map(branch).collect::<Vec<_>>(),
                    "deadline_ms": deadline_ms,
                    "wait_ms": WAIT_MS,
                }),
            ),
            Ask::Confirm => (
                Call::Confirm { transaction },
                format!("/{id}/confirm"),
                decide,
            ),
            Ask::Cancel => (
                Call::Cancel { transaction },
                format!("/{id}/cancel"),
                decide,
            ),
            Ask::Look => {
                let url = format!("{}/v1/transactions/{id}", self.coordinator);
                let look = self.clients.http.get(url);
                return self.send(Call::Look { transaction }, look).await;
            }
        };
        self.post(call, &path, &body).await
    }

    /// Repeats a call until it is answered.
    pub(super) async fn ask_until_told(&self, id: &str, ask: Ask<'_>) -> Result<Told> {
        for _ in 0..TRIES {
            let told = self.ask(id, ask).await?;
            if told != Told::Nothing || self.clients.is_stopped() {
                return Ok(told);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(Told::Nothing)
    }

    async fn post(&self, call: Call, path: &str, body: &Value) -> Result<Told> {
        let url = format!("{}/v1/transactions{path}", self.coordinator);
        self.send(call, self.clients.http.post(url).json(body))
            .await
    }

    async fn send(&self, call: Call, request: reqwest::RequestBuilder) -> Result<Told> {
        let told = self
            .clients
            .call(self.who, call, self.patience, request, read)
            .await?;
        Ok(told.unwrap_or(Told::Nothing))
    }
}

fn branch(hold: &Hold) -> Value {
    json!({ "service": hold.at, "action": HOLD, "payload": hold })
}

fn messages(content: &str) -> Value {
    json!([{ "topic": POSTS, "payload": content }])
}

fn read(op: u64, status: u16, body: &[u8]) -> (Event, Told) {
    let unknown = |why: String| (Event::Unknown { op, why }, Told::Nothing);
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => return unknown(format!("status {status}: {error}")),
    };
    let phase = answer.transaction.map(|transaction| transaction.phase);
    if (200..300).contains(&status) {
        let event = Event::Ok {
            op,
            transaction: None,
            phase,
            deliveries: answer.deliveries,
        };
        return (event, Told::Ok);
    }
    let (reason, decision) = match answer.code.as_deref() {
        Some("DECIDED") => (Reason::Decided, phase.and_then(Phase::decision)),
        Some("ID_REUSED") => (Reason::OtherContent, None),
        Some("NOT_FOUND") => (Reason::NotFound, None),
        code => return unknown(format!("status {status}, {}", code.unwrap_or("no code"))),
    };
    let event = Event::Fail {
        op,
        reason,
        transaction: None,
        decision,
    };
    (event, Told::Refused)
}
