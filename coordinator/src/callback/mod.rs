//! Asks initiators about their local transactions, over gRPC or HTTP.
//!
//! Also holds what every call to a service needs: where it lives ([`ServiceDirectory`]), the connections
//! ([`Clients`]), and the trace context. It must never decide anything: what is not a typed word from the
//! right participant about the right transaction is *unknown* (DESIGN §3.3).

mod branch;
mod clients;
mod directory;
mod grpc;
mod http;
mod reply;
mod trace;

use std::sync::Arc;

use async_trait::async_trait;
use earnest_protocol::CheckBackAnswer;
use earnest_store::{CheckBackWork, Endpoint, EndpointProtocol};

pub use branch::{Branches, branch_answer_of};
pub use clients::{ClientError, Clients};
pub use directory::{Resolved, ServiceDirectory};
pub use http::answer_of;
pub(crate) use http::beneath;
pub(crate) use reply::{Failure, Reply, chain};
pub(crate) use trace::child_traceparent;

use crate::{clock::Environment, driver::CallOutcome, service::CheckBackPort};

/// The check-back port over registered services.
pub struct Callbacks {
    directory: Arc<ServiceDirectory>,
    clients: Clients,
    environment: Environment,
}

impl Callbacks {
    /// Resolves by `directory`, calls through `clients`; `environment` gives the span ids.
    pub fn new(
        directory: Arc<ServiceDirectory>,
        clients: Clients,
        environment: Environment,
    ) -> Self {
        Self {
            directory,
            clients,
            environment,
        }
    }

    async fn ask(&self, endpoint: &Endpoint, work: &CheckBackWork) -> CallOutcome<CheckBackAnswer> {
        let traceparent = child_traceparent(&work.traceparent, &self.environment);
        match endpoint.protocol {
            EndpointProtocol::Grpc => grpc::ask(&self.clients, endpoint, work, traceparent).await,
            EndpointProtocol::Http => http::ask(&self.clients, endpoint, work, traceparent).await,
        }
    }
}

#[async_trait]
impl CheckBackPort for Callbacks {
    /// Asks one instance after the other until one knows: another instance may hold the database that did the
    /// work, and asking is harmless.
    async fn check_back(&self, work: &CheckBackWork) -> CallOutcome<CheckBackAnswer> {
        let endpoints = match self
            .directory
            .resolve(&work.namespace, &work.initiator)
            .await
        {
            Resolved::Endpoints(endpoints) => endpoints,
            Resolved::Nowhere { code, problem } => {
                let target = format!("service {}", work.initiator);
                return CallOutcome::down(CheckBackAnswer::Unknown, target, code, problem);
            }
        };
        let mut unknown: Option<CallOutcome<CheckBackAnswer>> = None;
        for endpoint in &endpoints {
            let trial = self.directory.try_endpoint(endpoint);
            let outcome = self.ask(endpoint, work).await;
            trial.ended(!outcome.down);
            if outcome.answer != CheckBackAnswer::Unknown {
                return outcome;
            }
            // An instance that answered says more about the trouble than one that is gone.
            if unknown
                .as_ref()
                .is_none_or(|before| before.down || !outcome.down)
            {
                unknown = Some(outcome);
            }
        }
        unknown.unwrap_or_else(|| {
            let target = format!("service {}", work.initiator);
            CallOutcome::down(
                CheckBackAnswer::Unknown,
                target,
                "no-endpoint",
                "it has no endpoint",
            )
        })
    }
}
