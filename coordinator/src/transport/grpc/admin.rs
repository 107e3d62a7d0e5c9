//! The service earnest.v1.Admin.

use earnest_proto::v1::{self, admin_server::Admin};
use tonic::{Request, Response, Status};

use super::{Calls, input, output, status};

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Admin for Calls {
    async fn put_subscription(
        &self,
        request: Request<v1::PutSubscriptionRequest>,
    ) -> Reply<v1::PutSubscriptionResponse> {
        let row = async {
            let input = input::subscription(request.into_inner())?;
            self.state.coordinator.put_subscription(input).await
        };
        let subscription = Some(output::subscription(&row.await.map_err(status)?));
        Ok(Response::new(v1::PutSubscriptionResponse { subscription }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<v1::ListSubscriptionsRequest>,
    ) -> Reply<v1::ListSubscriptionsResponse> {
        let namespace = request.into_inner().namespace;
        let rows = self.state.coordinator.subscriptions(&namespace).await;
        let rows = rows.map_err(status)?;
        let subscriptions = rows.iter().map(output::subscription_status).collect();
        Ok(Response::new(v1::ListSubscriptionsResponse {
            subscriptions,
        }))
    }

    async fn delete_subscription(
        &self,
        request: Request<v1::DeleteSubscriptionRequest>,
    ) -> Reply<v1::DeleteSubscriptionResponse> {
        let v1::DeleteSubscriptionRequest { namespace, name } = request.into_inner();
        let coordinator = &self.state.coordinator;
        let deleted = coordinator.delete_subscription(&namespace, &name).await;
        let deleted = deleted.map_err(status)?;
        Ok(Response::new(v1::DeleteSubscriptionResponse { deleted }))
    }

    async fn pause_subscription(
        &self,
        request: Request<v1::PauseSubscriptionRequest>,
    ) -> Reply<v1::PauseSubscriptionResponse> {
        let v1::PauseSubscriptionRequest {
            namespace,
            name,
            paused,
        } = request.into_inner();
        let coordinator = &self.state.coordinator;
        let row = coordinator
            .pause_subscription(&namespace, &name, paused)
            .await;
        let subscription = Some(output::subscription(&row.map_err(status)?));
        Ok(Response::new(v1::PauseSubscriptionResponse {
            subscription,
        }))
    }

    async fn list_services(
        &self,
        request: Request<v1::ListServicesRequest>,
    ) -> Reply<v1::ListServicesResponse> {
        let namespace = request.into_inner().namespace;
        let rows = self.state.coordinator.services(&namespace).await;
        let services = rows.map_err(status)?.iter().map(output::service).collect();
        Ok(Response::new(v1::ListServicesResponse { services }))
    }

    async fn delete_service(
        &self,
        request: Request<v1::DeleteServiceRequest>,
    ) -> Reply<v1::DeleteServiceResponse> {
        let v1::DeleteServiceRequest { namespace, name } = request.into_inner();
        let coordinator = &self.state.coordinator;
        let deleted = coordinator.delete_service(&namespace, &name).await;
        let deleted = deleted.map_err(status)?;
        Ok(Response::new(v1::DeleteServiceResponse { deleted }))
    }

    async fn retry_transaction(
        &self,
        request: Request<v1::RetryTransactionRequest>,
    ) -> Reply<v1::RetryTransactionResponse> {
        let v1::RetryTransactionRequest { id, actor } = request.into_inner();
        let retried = self.state.coordinator.retry(&id, &actor).await;
        let (row, made_due) = retried.map_err(status)?;
        let transaction = Some(output::transaction(&row));
        Ok(Response::new(v1::RetryTransactionResponse {
            transaction,
            made_due,
        }))
    }

    async fn park_transaction(
        &self,
        request: Request<v1::ParkTransactionRequest>,
    ) -> Reply<v1::ParkTransactionResponse> {
        let v1::ParkTransactionRequest { id, reason, actor } = request.into_inner();
        let row = self.state.coordinator.park(&id, &reason, &actor).await;
        let transaction = Some(output::transaction(&row.map_err(status)?));
        Ok(Response::new(v1::ParkTransactionResponse { transaction }))
    }

    async fn get_database(
        &self,
        _: Request<v1::GetDatabaseRequest>,
    ) -> Reply<v1::GetDatabaseResponse> {
        let found = self.state.coordinator.database().await.map_err(status)?;
        let database = Some(output::database(&found));
        Ok(Response::new(v1::GetDatabaseResponse { database }))
    }

    async fn accept_database_loss(
        &self,
        request: Request<v1::AcceptDatabaseLossRequest>,
    ) -> Reply<v1::AcceptDatabaseLossResponse> {
        let v1::AcceptDatabaseLossRequest { actor, reason } = request.into_inner();
        let accepted = self.state.coordinator.accept_losses(&actor, &reason).await;
        let (found, accepted) = accepted.map_err(status)?;
        Ok(Response::new(v1::AcceptDatabaseLossResponse {
            database: Some(output::database(&found)),
            accepted: accepted.iter().map(output::loss).collect(),
        }))
    }

    async fn decide_transaction(
        &self,
        request: Request<v1::DecideTransactionRequest>,
    ) -> Reply<v1::DecideTransactionResponse> {
        let row = async {
            let input = input::operator_decides(request.into_inner())?;
            self.state.coordinator.operator_decides(input).await
        };
        let transaction = Some(output::transaction(&row.await.map_err(status)?));
        Ok(Response::new(v1::DecideTransactionResponse { transaction }))
    }
}
