//! A coordinator in this process that does as the script says, and remembers what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use earnest_proto::v1::{
    self, AwaitTransactionRequest, AwaitTransactionResponse, CancelRequest, CancelResponse,
    ConfirmRequest, ConfirmResponse, Endpoint, EndpointProtocol, ExecuteRequest, ExecuteResponse,
    GetTransactionRequest, GetTransactionResponse, ListTransactionsRequest,
    ListTransactionsResponse, Phase, PrepareRequest, PrepareResponse, RegisterBranchesRequest,
    RegisterBranchesResponse, RegisterServiceRequest, RegisterServiceResponse,
    ResolveServiceRequest, ResolveServiceResponse, SubmitRequest, SubmitResponse,
    coordinator_server::{Coordinator, CoordinatorServer},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The coordinator's time of every transaction.
pub const CREATED_AT_US: i64 = 1_800_000_000_000_000;

/// What it was asked, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Prepare(PrepareRequest),
    Confirm(ConfirmRequest),
    Cancel(CancelRequest),
    Register(RegisterServiceRequest),
    RegisterBranches(RegisterBranchesRequest),
    Execute(ExecuteRequest),
}

impl Call {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare(_) => "Prepare",
            Self::Confirm(_) => "Confirm",
            Self::Cancel(_) => "Cancel",
            Self::Register(_) => "Register",
            Self::RegisterBranches(_) => "RegisterBranches",
            Self::Execute(_) => "Execute",
        }
    }
}

/// What it does with one call, instead of answering well.
#[derive(Clone, Debug)]
pub enum Mishap {
    /// The call never arrives: nothing is done, nothing answered.
    RequestLost,
    /// It is done, and the answer never arrives.
    ReplyLost,
    /// It is done, and the connection breaks.
    ReplyBroken,
    /// It is refused.
    Refused(Status),
    /// It is answered as if the transaction stood there.
    Stands(Phase),
}

type Watcher = Box<dyn Fn(&Call) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

#[derive(Default)]
struct State {
    phases: HashMap<String, Phase>,
    mishaps: HashMap<&'static str, VecDeque<Mishap>>,
    services: HashMap<String, Vec<Endpoint>>,
    /// What Execute comes to, in turn.
    executed: VecDeque<v1::Transaction>,
}

struct Inner {
    state: Mutex<State>,
    calls: watch::Sender<Vec<Call>>,
    watcher: Option<Watcher>,
}

pub struct FakeCoordinator {
    pub url: String,
    inner: Arc<Inner>,
}

/// A refusal as the coordinator words it.
pub fn refusal(code: Code, reason: &str, retryable: bool) -> Status {
    let metadata: HashMap<String, String> = [
        ("retryable".to_owned(), retryable.to_string()),
        ("hint".to_owned(), "do otherwise".to_owned()),
    ]
    .into();
    let details = ErrorDetails::with_error_info(reason, "earnest", metadata);
    Status::with_error_details(code, "the script says no", details)
}

impl FakeCoordinator {
    pub async fn start() -> Self {
        Self::start_watched(None).await
    }

    /// `watcher` runs when a call arrives, before it is answered.
    pub async fn start_watched(watcher: Option<Watcher>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, watcher)
    }

    /// An address where nobody listens yet.
    pub async fn free_address() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        Self::serve(TcpListener::bind(address).await.unwrap(), None)
    }

    fn serve(listener: TcpListener, watcher: Option<Watcher>) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            calls: watch::Sender::new(Vec::new()),
            watcher,
        });
        let server = tonic::transport::Server::builder()
            .add_service(CoordinatorServer::new(Service(Arc::clone(&inner))))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Self { url, inner }
    }

    /// The next call of this name goes wrong; said several times, the next several.
    pub fn mishap(&self, call: &'static str, mishap: Mishap) {
        let mut state = self.inner.state.lock().unwrap();
        state.mishaps.entry(call).or_default().push_back(mishap);
    }

    /// A participant is found here.
    pub fn knows(&self, service: &str, url: &str, resource_id: &str) {
        let endpoint = Endpoint {
            url: url.to_owned(),
            protocol: EndpointProtocol::Grpc.into(),
            resource_id: resource_id.to_owned(),
        };
        let mut state = self.inner.state.lock().unwrap();
        state
            .services
            .entry(service.to_owned())
            .or_default()
            .push(endpoint);
    }

    /// What the next Execute comes to.
    pub fn executes(&self, transaction: v1::Transaction) {
        self.inner
            .state
            .lock()
            .unwrap()
            .executed
            .push_back(transaction);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.borrow().clone()
    }

    pub fn call_names(&self) -> Vec<&'static str> {
        self.calls().iter().map(Call::name).collect()
    }

    pub fn phase(&self, id: &str) -> Option<Phase> {
        self.inner.state.lock().unwrap().phases.get(id).copied()
    }

    /// Waits until a call of this name has come.
    pub async fn called(&self, name: &str) {
        self.called_times(name, 1).await;
    }

    /// Waits until as many calls of this name have come.
    pub async fn called_times(&self, name: &str, times: usize) {
        let mut calls = self.inner.calls.subscribe();
        let came = calls.wait_for(|calls| {
            let of_this_name = calls.iter().filter(|call| call.name() == name);
            of_this_name.count() >= times
        });
        tokio::time::timeout(Duration::from_secs(20), came)
            .await
            .unwrap_or_else(|_| panic!("no {name} came"))
            .unwrap();
    }
}

struct Service(Arc<Inner>);

impl Service {
    /// Notes the call and does what the script says; `act` is what it does when nothing goes wrong.
    async fn play<A>(
        &self,
        call: Call,
        id: &str,
        act: impl FnOnce(&mut State) -> Result<A, Status>,
        stands: impl FnOnce(Phase) -> A,
    ) -> Result<Response<A>, Status> {
        let name = call.name();
        if let Some(watcher) = &self.0.watcher {
            watcher(&call).await;
        }
        let (mishap, acted) = {
            let mut state = self.0.state.lock().unwrap();
            let mishap = state.mishaps.get_mut(name).and_then(VecDeque::pop_front);
            let acted = match &mishap {
                None | Some(Mishap::ReplyLost | Mishap::ReplyBroken) => Some(act(&mut state)),
                Some(Mishap::Stands(phase)) => {
                    state.phases.insert(id.to_owned(), *phase);
                    Some(Ok(stands(*phase)))
                }
                Some(Mishap::RequestLost | Mishap::Refused(_)) => None,
            };
            (mishap, acted)
        };
        self.0.calls.send_modify(|calls| calls.push(call));
        match (mishap, acted) {
            (Some(Mishap::RequestLost | Mishap::ReplyLost), _) => std::future::pending().await,
            (Some(Mishap::ReplyBroken), _) => Err(Status::unavailable("broken")),
            (Some(Mishap::Refused(status)), _) => Err(status),
            (_, Some(answer)) => answer.map(Response::new),
            (_, None) => unreachable!("an unacted call is lost or refused"),
        }
    }
}

fn transaction(id: &str, phase: Phase) -> v1::Transaction {
    v1::Transaction {
        id: id.to_owned(),
        phase: phase.into(),
        created_at_us: CREATED_AT_US,
        ..v1::Transaction::default()
    }
}

fn decide(state: &mut State, id: &str, decision: Phase) -> Result<(), Status> {
    match state.phases.get(id) {
        None if decision == Phase::Confirmed => Err(refusal(Code::NotFound, "NOT_FOUND", false)),
        None | Some(Phase::Prepared) => {
            state.phases.insert(id.to_owned(), decision);
            Ok(())
        }
        Some(phase) if *phase == decision => Ok(()),
        Some(_) => Err(refusal(Code::FailedPrecondition, "DECIDED", false)),
    }
}

#[tonic::async_trait]
impl Coordinator for Service {
    async fn prepare(
        &self,
        request: Request<PrepareRequest>,
    ) -> Result<Response<PrepareResponse>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let reply = |phase| PrepareResponse {
            transaction: Some(transaction(&id, phase)),
            created: true,
            mark: None,
        };
        let act = |state: &mut State| {
            let phase = *state.phases.entry(id.clone()).or_insert(Phase::Prepared);
            Ok(reply(phase))
        };
        self.play(Call::Prepare(request), &id, act, reply).await
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let reply = |phase| ConfirmResponse {
            transaction: Some(transaction(&id, phase)),
            mark: None,
        };
        let act = |state: &mut State| {
            decide(state, &id, Phase::Confirmed).map(|()| reply(Phase::Confirmed))
        };
        self.play(Call::Confirm(request), &id, act, reply).await
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelResponse>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let reply = |phase| CancelResponse {
            transaction: Some(transaction(&id, phase)),
            mark: None,
        };
        let act = |state: &mut State| {
            decide(state, &id, Phase::Cancelled).map(|()| reply(Phase::Cancelled))
        };
        self.play(Call::Cancel(request), &id, act, reply).await
    }

    async fn register_service(
        &self,
        request: Request<RegisterServiceRequest>,
    ) -> Result<Response<RegisterServiceResponse>, Status> {
        let call = Call::Register(request.into_inner());
        let reply = || RegisterServiceResponse { service: None };
        self.play(call, "", |_| Ok(reply()), |_| reply()).await
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Err(Status::unimplemented("the SDK does not submit"))
    }

    async fn get_transaction(
        &self,
        _: Request<GetTransactionRequest>,
    ) -> Result<Response<GetTransactionResponse>, Status> {
        Err(Status::unimplemented("the SDK does not ask"))
    }

    async fn list_transactions(
        &self,
        _: Request<ListTransactionsRequest>,
    ) -> Result<Response<ListTransactionsResponse>, Status> {
        Err(Status::unimplemented("the SDK does not list"))
    }

    async fn resolve_service(
        &self,
        request: Request<ResolveServiceRequest>,
    ) -> Result<Response<ResolveServiceResponse>, Status> {
        let name = request.into_inner().name;
        let state = self.0.state.lock().unwrap();
        let endpoints = state
            .services
            .get(&name)
            .ok_or_else(|| refusal(Code::NotFound, "NOT_FOUND", false))?;
        let service = v1::Service {
            name: name.clone(),
            namespace: "default".to_owned(),
            endpoints: endpoints.clone(),
            updated_at_us: CREATED_AT_US,
        };
        Ok(Response::new(ResolveServiceResponse {
            service: Some(service),
        }))
    }

    async fn register_branches(
        &self,
        request: Request<RegisterBranchesRequest>,
    ) -> Result<Response<RegisterBranchesResponse>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let reply = |phase| RegisterBranchesResponse {
            transaction: Some(transaction(&id, phase)),
            mark: None,
        };
        let act = |state: &mut State| match state.phases.get(&id) {
            None => Err(refusal(Code::NotFound, "NOT_FOUND", false)),
            Some(Phase::Prepared) => Ok(reply(Phase::Prepared)),
            Some(_) => Err(refusal(Code::FailedPrecondition, "DECIDED", false)),
        };
        self.play(Call::RegisterBranches(request), &id, act, reply)
            .await
    }

    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let reply = |phase| ExecuteResponse {
            transaction: Some(transaction(&id, phase)),
            created: true,
            mark: None,
        };
        let act = |state: &mut State| {
            let executed = state.executed.pop_front().unwrap_or_default();
            Ok(ExecuteResponse {
                transaction: Some(v1::Transaction {
                    id: id.clone(),
                    ..executed
                }),
                ..reply(Phase::Confirmed)
            })
        };
        self.play(Call::Execute(request), &id, act, reply).await
    }

    async fn await_transaction(
        &self,
        _: Request<AwaitTransactionRequest>,
    ) -> Result<Response<AwaitTransactionResponse>, Status> {
        Err(Status::unimplemented("the SDK does not wait by itself"))
    }
}
