//! The service earnest.v1.Coordinator.

use earnest_proto::v1::{self, coordinator_server::Coordinator};
use earnest_protocol::Decision;
use earnest_store::TransactionRow;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{Calls, input, output, status};
use crate::service::{DecideInput, Recorded, ServiceError};

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Coordinator for Calls {
    async fn prepare(&self, request: Request<v1::PrepareRequest>) -> Reply<v1::PrepareResponse> {
        let (metadata, _, mut request) = request.into_parts();
        trace(&mut request.traceparent, &metadata);
        let marks = std::mem::take(&mut request.marks);
        let coordinator = &self.state.coordinator;
        let recorded = async {
            coordinator.check_marks(&input::marks(&marks)).await?;
            coordinator.prepare(input::prepare(request)?).await
        };
        let Recorded { row, created } = recorded.await.map_err(status)?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::PrepareResponse {
            transaction,
            created,
            mark: self.mark(),
        }))
    }

    async fn confirm(&self, request: Request<v1::ConfirmRequest>) -> Reply<v1::ConfirmResponse> {
        let request = request.into_inner();
        let input = DecideInput {
            id: request.id,
            decision: Decision::Confirm,
            initiator: request.initiator,
            namespace: String::new(),
            wait: input::wait(request.wait).map_err(status)?,
        };
        let row = self.decide(&request.marks, input).await?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::ConfirmResponse {
            transaction,
            mark: self.mark(),
        }))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Reply<v1::CancelResponse> {
        let request = request.into_inner();
        let input = DecideInput {
            id: request.id,
            decision: Decision::Cancel,
            initiator: request.initiator,
            namespace: request.namespace,
            wait: input::wait(request.wait).map_err(status)?,
        };
        let row = self.decide(&request.marks, input).await?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::CancelResponse {
            transaction,
            mark: self.mark(),
        }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Reply<v1::SubmitResponse> {
        let (metadata, _, mut request) = request.into_parts();
        trace(&mut request.traceparent, &metadata);
        let marks = std::mem::take(&mut request.marks);
        let coordinator = &self.state.coordinator;
        let recorded = async {
            coordinator.check_marks(&input::marks(&marks)).await?;
            coordinator.submit(input::submit(request)).await
        };
        let Recorded { row, created } = recorded.await.map_err(status)?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::SubmitResponse {
            transaction,
            created,
            mark: self.mark(),
        }))
    }

    async fn register_branches(
        &self,
        request: Request<v1::RegisterBranchesRequest>,
    ) -> Reply<v1::RegisterBranchesResponse> {
        let mut request = request.into_inner();
        let marks = std::mem::take(&mut request.marks);
        let coordinator = &self.state.coordinator;
        let registered = async {
            coordinator.check_marks(&input::marks(&marks)).await?;
            coordinator
                .register_branches(input::register(request)?)
                .await
        };
        let row = registered.await.map_err(status)?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::RegisterBranchesResponse {
            transaction,
            mark: self.mark(),
        }))
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Reply<v1::ExecuteResponse> {
        let (metadata, _, mut request) = request.into_parts();
        trace(&mut request.traceparent, &metadata);
        let marks = std::mem::take(&mut request.marks);
        let coordinator = &self.state.coordinator;
        let executed = async {
            let wait = input::wait(request.wait.take())?;
            coordinator.check_marks(&input::marks(&marks)).await?;
            coordinator.execute(input::execute(request), wait).await
        };
        let Recorded { row, created } = executed.await.map_err(status)?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::ExecuteResponse {
            transaction,
            created,
            mark: self.mark(),
        }))
    }

    async fn await_transaction(
        &self,
        request: Request<v1::AwaitTransactionRequest>,
    ) -> Reply<v1::AwaitTransactionResponse> {
        let request = request.into_inner();
        let awaited = async {
            let wait = input::wait(request.wait)?.unwrap_or(input::NO_WAIT);
            self.state
                .coordinator
                .await_transaction(&request.id, wait)
                .await
        };
        let row = awaited.await.map_err(status)?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::AwaitTransactionResponse { transaction }))
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Reply<v1::GetTransactionResponse> {
        let id = request.into_inner().id;
        let found = self.state.coordinator.get(&id).await.map_err(status)?;
        let detail = Some(output::detail(&found));
        Ok(Response::new(v1::GetTransactionResponse { detail }))
    }

    async fn list_transactions(
        &self,
        request: Request<v1::ListTransactionsRequest>,
    ) -> Reply<v1::ListTransactionsResponse> {
        let page = async {
            let input = input::list(request.into_inner())?;
            self.state.coordinator.list(input).await
        };
        let page = page.await.map_err(status)?;
        Ok(Response::new(output::page(&page)))
    }

    async fn register_service(
        &self,
        request: Request<v1::RegisterServiceRequest>,
    ) -> Reply<v1::RegisterServiceResponse> {
        let row = async {
            let input = input::service(request.into_inner())?;
            self.state.coordinator.register_service(input).await
        };
        let service = Some(output::service(&row.await.map_err(status)?));
        Ok(Response::new(v1::RegisterServiceResponse { service }))
    }

    async fn resolve_service(
        &self,
        request: Request<v1::ResolveServiceRequest>,
    ) -> Reply<v1::ResolveServiceResponse> {
        let request = request.into_inner();
        let row = self
            .state
            .coordinator
            .resolve_service(&request.namespace, &request.name);
        let service: Result<_, ServiceError> = row.await;
        let service = Some(output::service(&service.map_err(status)?));
        Ok(Response::new(v1::ResolveServiceResponse { service }))
    }
}

impl Calls {
    async fn decide(
        &self,
        marks: &[v1::Mark],
        input: DecideInput,
    ) -> Result<TransactionRow, Status> {
        let coordinator = &self.state.coordinator;
        let decided = async {
            coordinator.check_marks(&input::marks(marks)).await?;
            coordinator.decide(input).await
        };
        decided.await.map_err(status)
    }

    /// What the caller may hold against the database later.
    fn mark(&self) -> Option<v1::Mark> {
        self.state
            .coordinator
            .mark()
            .map(|mark| output::mark(&mark))
    }
}

/// The trace context of the call itself stands in where the request names none.
fn trace(traceparent: &mut String, metadata: &MetadataMap) {
    if traceparent.is_empty()
        && let Some(Ok(given)) = metadata.get("traceparent").map(|value| value.to_str())
    {
        given.clone_into(traceparent);
    }
}
