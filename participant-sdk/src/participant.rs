//! `earnest.v1.Participant`, as the coordinator calls it.

use std::sync::Arc;

use earnest_proto::v1::{
    CallBranchesRequest, CallBranchesResponse, CheckBackRequest, CheckBackResponse, DeliverRequest,
    DeliverResponse,
    participant_server::{Participant, ParticipantServer},
};
use tonic::{Request, Response, Status};

use crate::{branch, check_back, deliver, shared::Shared, sql::Db};

/// What one call may carry.
const MAX_CALL_BYTES: usize = 64 * 1_024 * 1_024;
/// How many messages, or calls of branches, one call may carry.
const MAX_MESSAGES: usize = 4_096;

/// Answers check-backs from the fence and hands messages to handlers. Made by
/// [`Earnest::participant_service`](crate::Earnest::participant_service).
pub struct ParticipantService<D: Db> {
    shared: Arc<Shared<D>>,
}

impl<D: Db> ParticipantService<D> {
    pub(crate) fn server(shared: Arc<Shared<D>>) -> ParticipantServer<Self> {
        ParticipantServer::new(Self { shared }).max_decoding_message_size(MAX_CALL_BYTES)
    }
}

#[tonic::async_trait]
impl<D: Db> Participant for ParticipantService<D> {
    async fn check_back(
        &self,
        request: Request<CheckBackRequest>,
    ) -> Result<Response<CheckBackResponse>, Status> {
        let answer = check_back::answer(&self.shared, request.into_inner()).await;
        Ok(Response::new(answer))
    }

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let request = request.into_inner();
        if request.messages.len() > MAX_MESSAGES {
            return Err(Status::invalid_argument(format!(
                "a call may carry {MAX_MESSAGES} messages, and this one carries {}",
                request.messages.len()
            )));
        }
        Ok(Response::new(deliver::answer(&self.shared, request).await))
    }

    async fn call_branches(
        &self,
        request: Request<CallBranchesRequest>,
    ) -> Result<Response<CallBranchesResponse>, Status> {
        let request = request.into_inner();
        if request.calls.len() > MAX_MESSAGES {
            return Err(Status::invalid_argument(format!(
                "a call may carry {MAX_MESSAGES} calls of branches, and this one carries {}",
                request.calls.len()
            )));
        }
        Ok(Response::new(branch::answer(&self.shared, request).await))
    }
}
