//! A consumer that does nothing but count and acknowledge.

use std::sync::{Arc, Mutex, PoisonError};

use earnest_proto::v1::{
    BranchAnswer, BranchCall, BranchResult, CallBranchesRequest, CallBranchesResponse,
    CheckBackRequest, CheckBackResponse, DeliverRequest, DeliverResponse, DeliverResult,
    DeliveredMessage, DeliveryAnswer,
    participant_server::{Participant, ParticipantServer},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::ledger::Ledger;

/// HTTP/2 flow control, so that no batch waits for it.
pub const WINDOW: u32 = 1 << 20;
/// HTTP/2 requests of one connection at the same time: the coordinator's own bound.
const STREAMS: u32 = 1_024;

/// Counts into the ledger of the run that is on; without one it only answers.
#[derive(Clone, Default)]
pub struct Consumer {
    ledger: Arc<Mutex<Option<Arc<Ledger>>>>,
}

impl Consumer {
    /// Serves on a free port of this machine, for as long as this process lives; returns its address.
    ///
    /// On a thread of its own: a consumer is another process than the senders, and does not wait for their turn.
    pub fn serve(&self) -> anyhow::Result<String> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let server = Server::builder()
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_concurrent_streams(STREAMS)
            .add_service(ParticipantServer::new(self.clone()));
        let serve = async move {
            // Without TCP_NODELAY an answer waits for the peer's delayed acknowledgement, 40 ms.
            let incoming =
                TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
            anyhow::Ok(server.serve_with_incoming(incoming).await?)
        };
        std::thread::Builder::new()
            .name("consumer".into())
            .spawn(move || runtime.block_on(serve))?;
        Ok(url)
    }

    /// From now on deliveries are of this run.
    pub fn count_into(&self, ledger: Arc<Ledger>) {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some(ledger);
    }

    fn ledger(&self) -> Option<Arc<Ledger>> {
        self.ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[tonic::async_trait]
impl Participant for Consumer {
    async fn check_back(
        &self,
        _: Request<CheckBackRequest>,
    ) -> Result<Response<CheckBackResponse>, Status> {
        Err(Status::unimplemented("it only consumes"))
    }

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let messages = request.into_inner().messages;
        if let Some(ledger) = self.ledger() {
            let payloads = messages
                .iter()
                .filter_map(|m| m.message.as_ref().map(|m| &m.payload));
            if !ledger.arrive(payloads) {
                return Err(Status::invalid_argument("not a message of this run"));
            }
        }
        let answers = messages.into_iter().map(taken).collect();
        Ok(Response::new(DeliverResponse { answers }))
    }

    async fn call_branches(
        &self,
        request: Request<CallBranchesRequest>,
    ) -> Result<Response<CallBranchesResponse>, Status> {
        let calls = request.into_inner().calls;
        let answers = calls.into_iter().map(agreed).collect();
        Ok(Response::new(CallBranchesResponse { answers }))
    }
}

fn agreed(call: BranchCall) -> BranchAnswer {
    BranchAnswer {
        transaction_id: call.transaction_id,
        ordinal: call.ordinal,
        kind: call.kind,
        result: BranchResult::Ok.into(),
        detail: String::new(),
    }
}

fn taken(message: DeliveredMessage) -> DeliveryAnswer {
    DeliveryAnswer {
        transaction_id: message.transaction_id,
        ordinal: message.ordinal,
        subscription: message.subscription,
        result: DeliverResult::Ok.into(),
        detail: String::new(),
    }
}
