//! Hands messages on: gRPC push, HTTP service, webhook.
//!
//! A sink says what the destination answered and nothing more: *delivered* is the destination's own word for
//! this very message, never a guess (K1). It must never know SQL.

mod grpc;
mod header;
mod http;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use earnest_protocol::DeliveryAnswer;
use earnest_store::{DeliveryWork, Destination, Endpoint, EndpointProtocol};
use futures_util::future::join_all;

use crate::{
    callback::{Clients, Resolved, ServiceDirectory},
    clock::Environment,
    driver::{CallOutcome, DeliveryPort},
};

/// How one delivery went.
type Outcome = CallOutcome<DeliveryAnswer>;

/// The delivery port over all kinds of destination.
pub struct Sinks {
    directory: Arc<ServiceDirectory>,
    caller: Caller,
}

/// What every kind calls with.
#[derive(Clone)]
struct Caller {
    clients: Clients,
    environment: Environment,
}

/// What became of a message at one endpoint.
enum Handed {
    /// This is the outcome.
    Settled(Outcome),
    /// The endpoint can't have seen it: another may take it.
    Unsent(Outcome),
}

impl Handed {
    fn into_outcome(self) -> Outcome {
        match self {
            Self::Settled(outcome) | Self::Unsent(outcome) => outcome,
        }
    }
}

impl Sinks {
    /// Resolves services by `directory`, calls through `clients`; `environment` gives the span ids.
    pub fn new(
        directory: Arc<ServiceDirectory>,
        clients: Clients,
        environment: Environment,
    ) -> Self {
        Self {
            directory,
            caller: Caller {
                clients,
                environment,
            },
        }
    }

    /// Tries one instance after the other; a message that one of them may have seen goes to no other in this
    /// attempt.
    async fn to_endpoints(&self, endpoints: &[Endpoint], batch: &[DeliveryWork]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = batch.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..batch.len()).collect();
        for endpoint in endpoints {
            let trial = self.directory.try_endpoint(endpoint);
            let works: Vec<&DeliveryWork> = left.iter().map(|n| &batch[*n]).collect();
            let handed = match endpoint.protocol {
                EndpointProtocol::Grpc => grpc::deliver(&self.caller, endpoint, &works).await,
                EndpointProtocol::Http => http::to_service(&self.caller, endpoint, &works).await,
            };
            let mut unsent = Vec::new();
            for (n, handed) in left.into_iter().zip(handed) {
                if matches!(handed, Handed::Unsent(_)) {
                    unsent.push(n);
                }
                outcomes[n] = Some(handed.into_outcome());
            }
            trial.ended(outcomes.iter().flatten().any(|outcome| !outcome.down));
            left = unsent;
            if left.is_empty() {
                break;
            }
        }
        let no_answer = |(outcome, work): (Option<Outcome>, &DeliveryWork)| {
            outcome.unwrap_or_else(|| nowhere(work, "no-endpoint", "there is no endpoint to try"))
        };
        outcomes.into_iter().zip(batch).map(no_answer).collect()
    }
}

#[async_trait]
impl DeliveryPort for Sinks {
    async fn deliver(&self, batch: &[DeliveryWork]) -> Vec<Outcome> {
        let Some(first) = batch.first() else {
            return vec![];
        };
        match &first.subscription.destination {
            Destination::Service(name) => {
                let namespace = &first.subscription.namespace;
                match self.directory.resolve(namespace, name).await {
                    Resolved::Endpoints(endpoints) => self.to_endpoints(&endpoints, batch).await,
                    Resolved::Nowhere { code, problem } => batch
                        .iter()
                        .map(|work| nowhere(work, code, &problem))
                        .collect(),
                }
            }
            Destination::WebhookUrl(url) => {
                let posts = batch
                    .iter()
                    .map(|work| http::to_webhook(&self.caller, url, work));
                join_all(posts)
                    .await
                    .into_iter()
                    .map(Handed::into_outcome)
                    .collect()
            }
        }
    }
}

fn nowhere(work: &DeliveryWork, code: &str, problem: &str) -> Outcome {
    let target = work.subscription.destination.to_string();
    CallOutcome::down(DeliveryAnswer::Unknown, target, code, problem)
}

/// How long one call may take: a little less than the driver waits for the batch, so that what has been answered
/// by then is not lost with what has not.
fn time_for_a_call(work: &DeliveryWork) -> Duration {
    work.subscription.timeout.mul_f64(0.95)
}
