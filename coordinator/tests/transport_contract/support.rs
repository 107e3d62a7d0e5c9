//! A coordinator over the memory store behind a port, and clients for both wires.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use earnest_coordinator::{
    clock::Environment,
    driver::{Board, BoardDispatcher, BoardOptions, CallOutcome, Driver, DriverOptions},
    journal::{Journal, JournalOptions},
    service::{CheckBackPort, Coordinator, ServiceOptions, ServiceParts},
    telemetry::Metrics,
    transport::{self, AppState, Server, ServerOptions},
    vigil::Vigil,
};
use earnest_proto::v1::{admin_client::AdminClient, coordinator_client::CoordinatorClient};
use earnest_protocol::{CheckBackAnswer, Timestamp, TransactionId};
use earnest_store::{CheckBackWork, Clock, MemoryStore, Store};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use crate::openapi::Spec;

/// A clock that stands still until it is moved.
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn forward(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// An initiator that says what it was told to, once it is let.
pub(crate) struct Initiator {
    says: Mutex<CheckBackAnswer>,
    /// Calls that are under way.
    pub(crate) asked: Semaphore,
    /// Calls that may answer.
    pub(crate) may_answer: Semaphore,
}

impl Initiator {
    pub(crate) fn says(&self, answer: CheckBackAnswer) {
        *self.says.lock().unwrap() = answer;
        self.may_answer.add_permits(1);
    }
}

#[async_trait]
impl CheckBackPort for Initiator {
    async fn check_back(&self, _: &CheckBackWork) -> CallOutcome<CheckBackAnswer> {
        self.asked.add_permits(1);
        self.may_answer.acquire().await.unwrap().forget();
        let answer = *self.says.lock().unwrap();
        CallOutcome::answered(answer, "grpc http://cashier", "ok", "")
    }
}

/// How a node differs from the usual.
#[derive(Default)]
pub(crate) struct Setting {
    pub(crate) journal: JournalOptions,
    pub(crate) server: ServerOptions,
    /// The journal's writer is gone, as when a node has stopped.
    pub(crate) journal_closed: bool,
}

/// A served coordinator. Nothing drives its effects, so that they stand still.
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) environment: Environment,
    pub(crate) initiator: Arc<Initiator>,
    pub(crate) draining: CancellationToken,
    pub(crate) close_port: CancellationToken,
    pub(crate) served: JoinHandle<()>,
    pub(crate) http: reqwest::Client,
    spec: Spec,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with(Setting::default()).await
    }

    pub(crate) async fn with(setting: Setting) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(1_800_000_000_000_000)));
        let environment = Environment::seeded(Arc::clone(&clock) as _, 7);
        let store = Arc::new(MemoryStore::new(environment.clock()));
        let board = Arc::new(Board::new(BoardOptions::default()));
        Driver::enrol(&*store, &board, &DriverOptions::default())
            .await
            .unwrap();
        let metrics = Arc::new(Metrics::default());
        let vigil = Arc::new(Vigil::new(1, "node"));
        let start = || {
            let dispatcher = Arc::new(BoardDispatcher(Arc::clone(&board)));
            let store = Arc::clone(&store) as Arc<dyn Store>;
            let metrics = Arc::clone(&metrics);
            Journal::start(
                store,
                dispatcher,
                setting.journal,
                metrics,
                Arc::clone(&vigil),
                &TaskTracker::new(),
            )
        };
        let journal = if setting.journal_closed {
            let doomed = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let journal = {
                let _inside = doomed.enter();
                start()
            };
            doomed.shutdown_background();
            journal
        } else {
            start()
        };
        let initiator = Arc::new(Initiator {
            says: Mutex::new(CheckBackAnswer::Unknown),
            asked: Semaphore::new(0),
            may_answer: Semaphore::new(0),
        });
        let parts = ServiceParts {
            journal,
            store: Arc::clone(&store) as _,
            board: Arc::clone(&board),
            check_back: Arc::clone(&initiator) as _,
            environment: environment.clone(),
            vigil,
        };
        let (draining, close_port) = (CancellationToken::new(), CancellationToken::new());
        let app = transport::app(AppState {
            coordinator: Coordinator::new(parts, ServiceOptions::default()),
            metrics,
            board,
            draining: draining.clone(),
        });
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let server = server.with_options(setting.server);
        let url = format!("http://{}", server.address());
        Self {
            url,
            store,
            clock,
            environment,
            initiator,
            draining,
            served: tokio::spawn(server.serve(app, close_port.clone())),
            close_port,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            spec: Spec::load(),
        }
    }

    /// A new id, as an SDK makes it.
    pub(crate) fn id(&self) -> TransactionId {
        self.environment.transaction_id()
    }

    pub(crate) fn channel(&self) -> Channel {
        Channel::from_shared(self.url.clone())
            .unwrap()
            .connect_lazy()
    }

    pub(crate) fn coordinator(&self) -> CoordinatorClient<Channel> {
        CoordinatorClient::new(self.channel())
    }

    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel())
    }

    /// A request that the caller completes.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
    }

    /// A REST call; its body and reply are held to the OpenAPI document.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let reply: Value = response.json().await.unwrap();
        self.spec
            .check(method, path, body.as_ref(), (status, &media_type, &reply));
        (status, reply)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("PUT", path, Some(body)).await
    }

    /// A subscription for the topic `order.placed`.
    pub(crate) async fn subscribe(&self) {
        let body = json!({ "topic": "order.placed", "destination": { "service": "ledger" } });
        let (status, reply) = self.put("/v1/subscriptions/ledger", body).await;
        assert_eq!(status, 200, "{reply}");
    }

    /// Prepares a transaction of cashier's with one message; returns its id.
    pub(crate) async fn prepared(&self) -> String {
        let id = self.id().to_string();
        let body = json!({
            "id": id, "initiator": "cashier",
            "messages": [{ "topic": "order.placed", "payload": { "order": 1 } }],
            "options": { "allow_no_subscription": true },
        });
        let (status, reply) = self.post("/v1/transactions", body).await;
        assert_eq!(status, 201, "{reply}");
        id
    }

    /// A prepared and parked one.
    pub(crate) async fn parked(&self) -> String {
        let id = self.prepared().await;
        let (status, reply) = self
            .post(&format!("/v1/transactions/{id}/park"), json!({}))
            .await;
        assert_eq!(status, 200, "{reply}");
        id
    }
}

/// The reason and the metadata of a status, which every refusal has.
pub(crate) fn refusal(
    status: &Status,
) -> (
    String,
    std::collections::HashMap<String, String>,
    tonic::Code,
) {
    let info = status
        .get_details_error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "earnest");
    assert!(!info.metadata["hint"].is_empty());
    (info.reason, info.metadata, status.code())
}
