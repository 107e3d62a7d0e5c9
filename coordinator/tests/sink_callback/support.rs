//! Ports over a memory store, work for them, and servers that answer as they are told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use earnest_coordinator::{
    callback::{Branches, Callbacks, Clients, ServiceDirectory},
    clock::{Environment, SystemClock},
    driver::{BranchPort, CallOutcome, DeliveryPort},
    service::CheckBackPort,
    sink::Sinks,
};
use earnest_proto::v1::{
    self,
    participant_server::{Participant, ParticipantServer},
};
use earnest_protocol::{
    BranchAnswer, BranchCall, CheckBackAnswer, DeliveryAnswer, LeaseToken, Name, Options, Ordinal,
    RetryPolicy, Timestamp, TransactionId,
};
use earnest_store::{
    Branch, BranchKey, BranchWork, CheckBackWork, DeliveryKey, DeliveryWork, Destination, Endpoint,
    EndpointProtocol, MemoryStore, Message, RegistryStore, ServiceRow, SubscriptionRow,
};
use http::{HeaderMap, Method};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::Status;

pub(crate) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// For one attempt of a branch, at all instances.
const TIME: Duration = Duration::from_secs(2);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The ports, and what they resolve by.
pub(crate) struct World {
    store: Arc<MemoryStore>,
    environment: Environment,
    callbacks: Callbacks,
    branches: Branches,
    sinks: Sinks,
}

impl World {
    pub(crate) fn new() -> Self {
        let environment = Environment::seeded(Arc::new(SystemClock), 7);
        let store = Arc::new(MemoryStore::new(environment.clock()));
        let directory = Arc::new(ServiceDirectory::new(Arc::clone(&store) as _));
        let clients = Clients::new().unwrap();
        Self {
            store,
            callbacks: Callbacks::new(Arc::clone(&directory), clients.clone(), environment.clone()),
            branches: Branches::new(
                Arc::clone(&directory),
                clients.clone(),
                environment.clone(),
                TIME,
            ),
            sinks: Sinks::new(directory, clients, environment.clone()),
            environment,
        }
    }

    /// Makes `endpoints` those of the service.
    pub(crate) async fn register(&self, service: &str, endpoints: &[Endpoint]) {
        let row = ServiceRow {
            namespace: Name::default_namespace(),
            name: name(service),
            endpoints: endpoints.to_vec(),
            updated_at: self.environment.now(),
        };
        self.store.put_service(row, true).await.unwrap();
    }

    pub(crate) fn check_back_work(&self) -> CheckBackWork {
        CheckBackWork {
            id: self.environment.transaction_id(),
            token: LeaseToken::NONE,
            namespace: Name::default_namespace(),
            initiator: name("cashier"),
            resource_id: "db-1".into(),
            created_at: Timestamp::from_micros(1_800_000_000_123_456),
            attempt: 2,
            options: Options::default(),
            traceparent: TRACE.into(),
        }
    }

    pub(crate) async fn check_back(&self, work: &CheckBackWork) -> CallOutcome<CheckBackAnswer> {
        self.callbacks.check_back(work).await
    }

    /// A call of a branch at the service `account`.
    pub(crate) fn branch_work(&self, call: BranchCall) -> BranchWork {
        BranchWork {
            key: BranchKey {
                transaction: self.environment.transaction_id(),
                ordinal: Ordinal(3),
            },
            token: LeaseToken::NONE,
            call,
            branch: Branch {
                service: name("account"),
                action: name("debit"),
                resource_id: "db-1".into(),
                payload: Bytes::from_static(b"{\"cents\":7}"),
                content_type: "application/json".into(),
            },
            namespace: Name::default_namespace(),
            initiator: name("cashier"),
            created_at: Timestamp::from_micros(1_800_000_000_123_456),
            attempt: 2,
            traceparent: TRACE.into(),
        }
    }

    pub(crate) async fn call(&self, batch: &[BranchWork]) -> Vec<CallOutcome<BranchAnswer>> {
        let outcomes = self.branches.call(batch).await;
        assert_eq!(outcomes.len(), batch.len());
        outcomes
    }

    /// A message of the subscription `hook` to `destination`.
    pub(crate) fn delivery_work(&self, destination: Destination) -> DeliveryWork {
        let subscription = SubscriptionRow {
            namespace: Name::default_namespace(),
            name: name("hook"),
            topic: "order.placed".parse().unwrap(),
            destination,
            ordered: false,
            paused: false,
            concurrency: 64,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            updated_at: Timestamp::from_micros(0),
        };
        DeliveryWork {
            key: DeliveryKey {
                transaction: self.environment.transaction_id(),
                ordinal: Ordinal(3),
                subscription: Some(name("hook")),
            },
            token: LeaseToken::NONE,
            message: Message {
                topic: "order.placed".parse().unwrap(),
                key: "7".into(),
                headers: [("kind".into(), "test".into())].into(),
                payload: Bytes::from_static(b"{\"order\":7}"),
                content_type: "application/json".into(),
                content_encoding: String::new(),
                key_id: String::new(),
            },
            subscription: Arc::new(subscription),
            initiator: name("cashier"),
            created_at: Timestamp::from_micros(1_800_000_000_123_456),
            decided_at: Timestamp::from_micros(1_800_000_000_200_000),
            attempt: 2,
            traceparent: TRACE.into(),
        }
    }

    pub(crate) async fn deliver(&self, batch: &[DeliveryWork]) -> Vec<CallOutcome<DeliveryAnswer>> {
        let outcomes = self.sinks.deliver(batch).await;
        assert_eq!(outcomes.len(), batch.len());
        outcomes
    }
}

pub(crate) fn to_ledger() -> Destination {
    Destination::Service(name("ledger"))
}

/// What an HTTP server was sent.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().unwrap()
    }
}

/// A running server; its port is closed when it is dropped.
pub(crate) struct Peer<T> {
    pub(crate) address: SocketAddr,
    protocol: EndpointProtocol,
    pub(crate) received: Arc<Mutex<Vec<T>>>,
    task: JoinHandle<()>,
}

impl<T> Drop for Peer<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> Peer<T> {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: self.url(),
            protocol: self.protocol,
            resource_id: String::new(),
        }
    }

    /// With the database behind it.
    pub(crate) fn over(&self, resource_id: &str) -> Endpoint {
        Endpoint {
            resource_id: resource_id.into(),
            ..self.endpoint()
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

/// An HTTP server that answers with `answer`; `None` never.
pub(crate) async fn http_peer(
    answer: impl Fn(&Received) -> Option<Response> + Clone + Send + Sync + 'static,
) -> Peer<Received> {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&received);
    let handle = move |request: Request| {
        let (kept, answer) = (Arc::clone(&kept), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let received = Received {
                method: parts.method,
                path: parts.uri.to_string(),
                headers: parts.headers,
                body: axum::body::to_bytes(body, 1 << 24).await.unwrap(),
            };
            kept.lock().unwrap().push(received.clone());
            match answer(&received) {
                Some(response) => response,
                None => std::future::pending().await,
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(handle);
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Peer {
        address,
        protocol: EndpointProtocol::Http,
        received,
        task,
    }
}

/// A reply with a status, headers and a body.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(body.to_owned())).unwrap()
}

type CheckBackScript =
    dyn Fn(&v1::CheckBackRequest) -> Result<v1::CheckBackResponse, Status> + Send + Sync;
type DeliverScript =
    dyn Fn(&v1::DeliverRequest) -> Result<v1::DeliverResponse, Status> + Send + Sync;

struct Scripted {
    check_back: Box<CheckBackScript>,
    deliver: Box<DeliverScript>,
    received: Arc<Mutex<Vec<v1::DeliverRequest>>>,
}

#[tonic::async_trait]
impl Participant for Scripted {
    async fn check_back(
        &self,
        request: tonic::Request<v1::CheckBackRequest>,
    ) -> Result<tonic::Response<v1::CheckBackResponse>, Status> {
        (self.check_back)(&request.into_inner()).map(tonic::Response::new)
    }

    async fn deliver(
        &self,
        request: tonic::Request<v1::DeliverRequest>,
    ) -> Result<tonic::Response<v1::DeliverResponse>, Status> {
        let request = request.into_inner();
        self.received.lock().unwrap().push(request.clone());
        (self.deliver)(&request).map(tonic::Response::new)
    }

    async fn call_branches(
        &self,
        _: tonic::Request<v1::CallBranchesRequest>,
    ) -> Result<tonic::Response<v1::CallBranchesResponse>, Status> {
        Err(Status::internal("not a participant of TCC"))
    }
}

pub(crate) async fn serve<P: Participant, T>(
    server: ParticipantServer<P>,
    received: Arc<Mutex<Vec<T>>>,
) -> Peer<T> {
    let routes = tonic::service::Routes::new(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = routes.into_axum_router();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Peer {
        address,
        protocol: EndpointProtocol::Grpc,
        received,
        task,
    }
}

async fn grpc_peer(
    check_back: Box<CheckBackScript>,
    deliver: Box<DeliverScript>,
) -> Peer<v1::DeliverRequest> {
    let received = Arc::new(Mutex::new(Vec::new()));
    let scripted = Scripted {
        check_back,
        deliver,
        received: Arc::clone(&received),
    };
    serve(ParticipantServer::new(scripted), received).await
}

/// A gRPC initiator.
pub(crate) async fn initiator(
    script: impl Fn(&v1::CheckBackRequest) -> Result<v1::CheckBackResponse, Status>
    + Send
    + Sync
    + 'static,
) -> Peer<v1::DeliverRequest> {
    let no = |_: &_| Err(Status::internal("not a consumer"));
    grpc_peer(Box::new(script), Box::new(no)).await
}

/// A gRPC consumer.
pub(crate) async fn consumer(
    script: impl Fn(&v1::DeliverRequest) -> Result<v1::DeliverResponse, Status> + Send + Sync + 'static,
) -> Peer<v1::DeliverRequest> {
    let no = |_: &_| Err(Status::internal("not an initiator"));
    grpc_peer(Box::new(no), Box::new(script)).await
}

/// An answer to one delivered message.
pub(crate) fn answer(
    message: &v1::DeliveredMessage,
    result: v1::DeliverResult,
) -> v1::DeliveryAnswer {
    v1::DeliveryAnswer {
        transaction_id: message.transaction_id.clone(),
        ordinal: message.ordinal,
        subscription: message.subscription.clone(),
        result: result.into(),
        detail: "because".into(),
    }
}

/// An endpoint that nobody listens at.
pub(crate) async fn nobody(protocol: EndpointProtocol) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint {
        url: format!("http://{}", listener.local_addr().unwrap()),
        protocol,
        resource_id: String::new(),
    }
}

/// The id that a received check-back asks about.
pub(crate) fn asked_about(received: &Received) -> TransactionId {
    received.header("earnest-transaction-id").parse().unwrap()
}
