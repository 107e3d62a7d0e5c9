//! grpc.health.v1: the same answer as `/readyz`.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use super::Calls;

/// The services whose health can be asked for; the empty name is the whole.
const SERVICES: [&str; 3] = ["", "earnest.v1.Coordinator", "earnest.v1.Admin"];
/// How often a watcher's answer is looked at again.
const LOOK: Duration = Duration::from_secs(2);

#[tonic::async_trait]
impl Health for Calls {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !SERVICES.contains(&service.as_str()) {
            return Err(Status::not_found(
                "no such service; ask for earnest.v1.Coordinator",
            ));
        }
        Ok(Response::new(answer(self.serving().await)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Says it whenever it changes. A draining node says so and ends the stream, so that the drain need not wait
    /// for its watchers.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = SERVICES.contains(&request.into_inner().service.as_str());
        let calls = self.clone();
        let answers = stream::unfold(None, move |before| {
            let calls = calls.clone();
            async move {
                let now = calls.next_status(known, before).await?;
                Some((Ok(answer(now)), Some(now)))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Calls {
    async fn serving(&self) -> ServingStatus {
        match self.state.readiness().await {
            Ok(_) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        }
    }

    /// The first status, or the next one that differs; `None`: the node has said that it drains.
    async fn next_status(
        &self,
        known: bool,
        before: Option<ServingStatus>,
    ) -> Option<ServingStatus> {
        let draining = &self.state.draining;
        loop {
            if draining.is_cancelled() && before.is_some_and(|b| b != ServingStatus::Serving) {
                return None;
            }
            let now = if known {
                self.serving().await
            } else {
                ServingStatus::ServiceUnknown
            };
            if before != Some(now) {
                return Some(now);
            }
            tokio::select! {
                () = draining.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
