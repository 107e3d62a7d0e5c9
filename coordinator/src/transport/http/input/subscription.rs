//! Where the messages of a topic go.

use std::time::Duration;

use earnest_protocol::RetryPolicy;
use earnest_store::Destination;
use serde::Deserialize;

use super::{Problem, one_namespace};
use crate::service::{ServiceError, SubscriptionInput};

/// A subscription.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct SubscriptionBody {
    #[serde(default)]
    namespace: String,
    topic: String,
    destination: DestinationBody,
    #[serde(default)]
    ordered: bool,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    concurrency: u32,
    #[serde(default)]
    timeout_ms: u64,
    retry: Option<RetryPolicyBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DestinationBody {
    Service(String),
    WebhookUrl(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryPolicyBody {
    initial_ms: u64,
    multiplier_milli: u32,
    cap_ms: u64,
}

impl SubscriptionBody {
    /// As the use case takes it.
    pub(in crate::transport::http) fn into_input(
        self,
        name: String,
        namespace: &str,
    ) -> Result<SubscriptionInput, Problem> {
        let destination = match self.destination {
            DestinationBody::Service(name) => Destination::Service(
                name.parse()
                    .map_err(|e| ServiceError::bad_name("destination.service", &e))?,
            ),
            DestinationBody::WebhookUrl(url) => Destination::WebhookUrl(url),
        };
        Ok(SubscriptionInput {
            namespace: one_namespace(self.namespace, namespace)?,
            name,
            topic: self.topic,
            destination,
            ordered: self.ordered,
            paused: self.paused,
            concurrency: self.concurrency,
            timeout: Duration::from_millis(self.timeout_ms),
            retry: self.retry.map(|retry| RetryPolicy {
                initial: Duration::from_millis(retry.initial_ms),
                multiplier_milli: retry.multiplier_milli,
                cap: Duration::from_millis(retry.cap_ms),
            }),
        })
    }
}
