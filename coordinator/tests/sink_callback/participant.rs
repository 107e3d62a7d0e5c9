//! A gRPC participant of TCC that answers as it is told.

use std::sync::{Arc, Mutex};

use earnest_proto::v1::{
    self,
    participant_server::{Participant, ParticipantServer},
};
use tonic::{Request, Response, Status};

use crate::support::{Peer, serve};

type Answer = Result<v1::CallBranchesResponse, Status>;
type Script = dyn Fn(&Request<v1::CallBranchesRequest>) -> Option<Answer> + Send + Sync;

struct Scripted {
    script: Box<Script>,
    received: Arc<Mutex<Vec<v1::CallBranchesRequest>>>,
}

#[tonic::async_trait]
impl Participant for Scripted {
    async fn check_back(
        &self,
        _: Request<v1::CheckBackRequest>,
    ) -> Result<Response<v1::CheckBackResponse>, Status> {
        Err(Status::internal("not an initiator"))
    }

    async fn deliver(
        &self,
        _: Request<v1::DeliverRequest>,
    ) -> Result<Response<v1::DeliverResponse>, Status> {
        Err(Status::internal("not a consumer"))
    }

    async fn call_branches(
        &self,
        request: Request<v1::CallBranchesRequest>,
    ) -> Result<Response<v1::CallBranchesResponse>, Status> {
        self.received
            .lock()
            .unwrap()
            .push(request.get_ref().clone());
        match (self.script)(&request) {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }
}

/// One that answers with what `script` says; `None` never.
pub(crate) async fn participant(
    script: impl Fn(&Request<v1::CallBranchesRequest>) -> Option<Answer> + Send + Sync + 'static,
) -> Peer<v1::CallBranchesRequest> {
    let received = Arc::new(Mutex::new(Vec::new()));
    let scripted = Scripted {
        script: Box::new(script),
        received: Arc::clone(&received),
    };
    serve(ParticipantServer::new(scripted), received).await
}

/// The answer `result` to each call.
pub(crate) fn all(
    request: &Request<v1::CallBranchesRequest>,
    result: v1::BranchResult,
) -> v1::CallBranchesResponse {
    let answer = |call: &v1::BranchCall| v1::BranchAnswer {
        transaction_id: call.transaction_id.clone(),
        ordinal: call.ordinal,
        kind: call.kind,
        result: result.into(),
        detail: "because".into(),
    };
    v1::CallBranchesResponse {
        answers: request.get_ref().calls.iter().map(answer).collect(),
    }
}
