//! Writes down what the service answers to the coordinator, at the wire and before the answer leaves.
//!
//! The SDK's own service is called through its own client, in this process: what is seen is what any coordinator would see.

use std::sync::Arc;

use earnest::{Db, ParticipantService};
use earnest_chaos::record::Recorder;
use earnest_history::{
    Action, BranchAnswer, BranchKey, CheckBackAnswer, DeliveryAnswer, DeliveryKey, Event,
};
use earnest_proto::v1::{
    BranchCallKind, BranchResult, CallBranchesRequest, CallBranchesResponse, CheckBackRequest,
    CheckBackResponse, CheckBackResult, DeliverRequest, DeliverResponse, DeliverResult,
    participant_client::ParticipantClient,
    participant_server::{Participant, ParticipantServer},
};
use tonic::{Request, Response, Status};

type Service<D> = ParticipantServer<ParticipantService<D>>;

/// The SDK's service with somebody who writes along.
struct Observed<D: Db> {
    service: ParticipantClient<Service<D>>,
    name: &'static str,
    recorder: Arc<Recorder>,
}

/// The router that a coordinator calls.
pub(crate) fn router<D: Db>(
    service: Service<D>,
    name: &'static str,
    recorder: Arc<Recorder>,
) -> axum::Router {
    let observed = Observed {
        service: ParticipantClient::new(service),
        name,
        recorder,
    };
    tonic::service::Routes::new(ParticipantServer::new(observed))
        .into_axum_router()
        .reset_fallback()
}

#[tonic::async_trait]
impl<D: Db> Participant for Observed<D> {
    async fn check_back(
        &self,
        request: Request<CheckBackRequest>,
    ) -> Result<Response<CheckBackResponse>, Status> {
        let response = self.service.clone().check_back(request).await?;
        let said = response.get_ref();
        self.write(Event::CheckBack {
            transaction: said.transaction_id.clone(),
            answer: match said.result() {
                CheckBackResult::Committed => CheckBackAnswer::Committed,
                CheckBackResult::RolledBack => CheckBackAnswer::RolledBack,
                CheckBackResult::InProgress => CheckBackAnswer::InProgress,
                CheckBackResult::Unspecified => CheckBackAnswer::Unknown,
            },
        })?;
        Ok(response)
    }

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let response = self.service.clone().deliver(request).await?;
        for said in &response.get_ref().answers {
            self.write(Event::Delivery {
                key: DeliveryKey {
                    transaction: said.transaction_id.clone(),
                    ordinal: said.ordinal,
                    subscription: said.subscription.clone(),
                },
                answer: match said.result() {
                    DeliverResult::Ok => DeliveryAnswer::Ok,
                    DeliverResult::Failed => DeliveryAnswer::Failed,
                    DeliverResult::Unspecified
                    | DeliverResult::Refused
                    | DeliverResult::InProgress => DeliveryAnswer::Unknown,
                },
            })?;
        }
        Ok(response)
    }

    async fn call_branches(
        &self,
        request: Request<CallBranchesRequest>,
    ) -> Result<Response<CallBranchesResponse>, Status> {
        let response = self.service.clone().call_branches(request).await?;
        for said in &response.get_ref().answers {
            self.write(Event::Branch {
                key: BranchKey {
                    transaction: said.transaction_id.clone(),
                    ordinal: said.ordinal,
                    participant: self.name.to_owned(),
                },
                action: match said.kind() {
                    BranchCallKind::Try => Action::Try,
                    BranchCallKind::Confirm => Action::Confirm,
                    BranchCallKind::Cancel => Action::Cancel,
                    BranchCallKind::Unspecified => continue,
                },
                answer: match said.result() {
                    BranchResult::Ok => BranchAnswer::Ok,
                    BranchResult::Refused => BranchAnswer::Refused,
                    BranchResult::Failed => BranchAnswer::Failed,
                    BranchResult::Unspecified | BranchResult::InProgress => BranchAnswer::Unknown,
                },
            })?;
        }
        Ok(response)
    }
}

impl<D: Db> Observed<D> {
    /// An answer that can't be written down is not given.
    fn write(&self, event: Event) -> Result<(), Status> {
        self.recorder
            .write(self.name, event)
            .map_err(|error| Status::internal(format!("the history can't be written: {error}")))
    }
}
