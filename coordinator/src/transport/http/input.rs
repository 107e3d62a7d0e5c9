//! Bodies as callers write them. Unknown fields are refused by name.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use earnest_protocol::{Decision, InitiatorOutcome, OnBudgetSpent, RetryPolicy};
use earnest_store::{Destination, Endpoint, EndpointProtocol};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Problem;
use crate::service::{
    BranchInput, MessageInput, OptionsInput, PrepareInput, RegisterInput, ServiceError,
    ServiceInput, SubscriptionInput, Until, WaitInput,
};

/// Prepare.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrepareBody {
    id: Option<String>,
    #[serde(default)]
    namespace: String,
    initiator: String,
    #[serde(default)]
    resource_id: String,
    #[serde(default)]
    business_key: String,
    #[serde(default)]
    messages: Vec<MessageBody>,
    #[serde(default)]
    branches: Vec<BranchBody>,
    #[serde(default)]
    options: OptionsBody,
    #[serde(default)]
    traceparent: String,
}

/// Submit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitBody {
    id: Option<String>,
    #[serde(default)]
    namespace: String,
    initiator: String,
    #[serde(default)]
    business_key: String,
    #[serde(default)]
    messages: Vec<MessageBody>,
    #[serde(default)]
    traceparent: String,
    #[serde(default)]
    allow_no_subscription: bool,
}

/// Execute.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteBody {
    id: Option<String>,
    #[serde(default)]
    namespace: String,
    initiator: String,
    #[serde(default)]
    business_key: String,
    #[serde(default)]
    branches: Vec<BranchBody>,
    #[serde(default)]
    messages: Vec<MessageBody>,
    #[serde(default)]
    traceparent: String,
    #[serde(default)]
    deadline_ms: u64,
    #[serde(default)]
    allow_no_subscription: bool,
    wait_ms: Option<u64>,
    #[serde(default)]
    until: Option<UntilWord>,
}

/// Further branches and messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    #[serde(default)]
    initiator: String,
    #[serde(default)]
    branches: Vec<BranchBody>,
    #[serde(default)]
    messages: Vec<MessageBody>,
}

/// One reservation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BranchBody {
    /// Its place; only where it is added to others.
    ordinal: Option<u32>,
    service: String,
    action: String,
    #[serde(default)]
    resource_id: String,
    #[serde(default, deserialize_with = "given")]
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    #[serde(default)]
    content_type: String,
}

/// What is waited for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum UntilWord {
    /// The decision.
    Decision,
    /// The final phase.
    Final,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageBody {
    /// Its place; only where it is added to others.
    ordinal: Option<u32>,
    topic: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// As written: the text itself is the payload, so that a repeated call is recognised.
    #[serde(default, deserialize_with = "given")]
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    content_encoding: String,
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    deliver_after_ms: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OptionsBody {
    check_after_ms: u64,
    outcome: Option<OutcomeWord>,
    on_budget_spent: Option<BudgetWord>,
    check_back_budget: u32,
    allow_no_subscription: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum OutcomeWord {
    Local,
    Asked,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum BudgetWord {
    Park,
    Cancel,
}

/// Confirm and Cancel.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecideBody {
    pub(super) initiator: String,
    pub(super) namespace: String,
    pub(super) wait_ms: Option<u64>,
    pub(super) until: Option<UntilWord>,
}

/// What an operator says of themselves.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetryBody {
    pub(super) actor: String,
}

/// Park.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ParkBody {
    pub(super) reason: String,
    pub(super) actor: String,
}

/// An operator's decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorDecideBody {
    decision: DecisionWord,
    #[serde(default)]
    pub(super) force: bool,
    #[serde(default)]
    pub(super) actor: String,
    #[serde(default)]
    pub(super) reason: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum DecisionWord {
    Confirm,
    Cancel,
}

/// A service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceBody {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    endpoints: Vec<EndpointBody>,
    #[serde(default)]
    replace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointBody {
    url: String,
    #[serde(default)]
    resource_id: String,
    protocol: Option<ProtocolWord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ProtocolWord {
    Grpc,
    Http,
}

/// A subscription.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionBody {
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

impl PrepareBody {
    /// As the use case takes it; `trace` is the trace context of the call itself.
    pub(super) fn into_input(self, trace: &str) -> Result<PrepareInput, Problem> {
        let options = self.options;
        Ok(PrepareInput {
            id: self.id,
            namespace: self.namespace,
            initiator: self.initiator,
            resource_id: self.resource_id,
            business_key: self.business_key,
            messages: messages(self.messages)?,
            branches: branches(self.branches)?,
            options: OptionsInput {
                check_after: match options.check_after_ms {
                    0 => None,
                    ms => Some(Duration::from_millis(ms)),
                },
                outcome: options.outcome.map(|word| match word {
                    OutcomeWord::Local => InitiatorOutcome::Local,
                    OutcomeWord::Asked => InitiatorOutcome::Asked,
                    OutcomeWord::None => InitiatorOutcome::None,
                }),
                on_budget_spent: options.on_budget_spent.map(|word| match word {
                    BudgetWord::Park => OnBudgetSpent::Park,
                    BudgetWord::Cancel => OnBudgetSpent::Cancel,
                }),
                check_back_budget: match options.check_back_budget {
                    0 => None,
                    budget => Some(budget),
                },
                allow_no_subscription: options.allow_no_subscription,
            },
            traceparent: or(self.traceparent, trace),
        })
    }
}

impl SubmitBody {
    /// As the use case takes it; `trace` is the trace context of the call itself.
    pub(super) fn into_input(self, trace: &str) -> Result<PrepareInput, Problem> {
        Ok(PrepareInput {
            id: self.id,
            namespace: self.namespace,
            initiator: self.initiator,
            resource_id: String::new(),
            business_key: self.business_key,
            messages: messages(self.messages)?,
            branches: vec![],
            options: OptionsInput {
                allow_no_subscription: self.allow_no_subscription,
                ..OptionsInput::default()
            },
            traceparent: or(self.traceparent, trace),
        })
    }
}

impl OperatorDecideBody {
    /// What is decided.
    pub(super) fn decision(&self) -> Decision {
        match self.decision {
            DecisionWord::Confirm => Decision::Confirm,
            DecisionWord::Cancel => Decision::Cancel,
        }
    }
}

impl ServiceBody {
    /// As the use case takes it. Who registers over HTTP is taken to speak it.
    pub(super) fn into_input(self, name: String, namespace: &str) -> Result<ServiceInput, Problem> {
        let endpoint = |endpoint: EndpointBody| Endpoint {
            url: endpoint.url,
            protocol: match endpoint.protocol {
                Some(ProtocolWord::Grpc) => EndpointProtocol::Grpc,
                Some(ProtocolWord::Http) | None => EndpointProtocol::Http,
            },
            resource_id: endpoint.resource_id,
        };
        Ok(ServiceInput {
            namespace: one_namespace(self.namespace, namespace)?,
            name,
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            replace: self.replace,
        })
    }
}

impl SubscriptionBody {
    /// As the use case takes it.
    pub(super) fn into_input(
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

/// The namespace stands in the body or in the query; twice only when it is the same.
fn one_namespace(body: String, query: &str) -> Result<String, Problem> {
    if !body.is_empty() && !query.is_empty() && body != query {
        return Err(Problem::invalid(
            "namespace: the body and the query name different ones",
            "give it once",
        ));
    }
    Ok(or(body, query))
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() {
        other.to_owned()
    } else {
        text
    }
}

fn messages(bodies: Vec<MessageBody>) -> Result<Vec<MessageInput>, Problem> {
    let message = |(n, body): (usize, MessageBody)| {
        unplaced(&format!("messages[{n}]"), body.ordinal)?;
        message(&format!("messages[{n}]"), body)
    };
    bodies.into_iter().enumerate().map(message).collect()
}

fn branches(bodies: Vec<BranchBody>) -> Result<Vec<BranchInput>, Problem> {
    let branch = |(n, body): (usize, BranchBody)| {
        unplaced(&format!("branches[{n}]"), body.ordinal)?;
        branch(&format!("branches[{n}]"), body)
    };
    bodies.into_iter().enumerate().map(branch).collect()
}

fn message(field: &str, body: MessageBody) -> Result<MessageInput, Problem> {
    let (payload, natural_type) = payload(field, body.payload, body.payload_base64)?;
    Ok(MessageInput {
        topic: body.topic,
        key: body.key,
        headers: body.headers,
        payload,
        content_type: or(body.content_type, natural_type),
        content_encoding: body.content_encoding,
        key_id: body.key_id,
        deliver_after: Duration::from_millis(body.deliver_after_ms),
    })
}

fn branch(field: &str, body: BranchBody) -> Result<BranchInput, Problem> {
    let (payload, natural_type) = payload(field, body.payload, body.payload_base64)?;
    Ok(BranchInput {
        service: body.service,
        action: body.action,
        resource_id: body.resource_id,
        payload,
        content_type: or(body.content_type, natural_type),
    })
}

/// The bytes, and the media type that they have by themselves.
fn payload(
    field: &str,
    json: Option<Box<RawValue>>,
    base64: Option<String>,
) -> Result<(Bytes, &'static str), Problem> {
    match (json, base64) {
        (Some(_), Some(_)) => Err(Problem::invalid(
            format!("{field} has both payload and payload_base64"),
            "give JSON as payload, or bytes as payload_base64",
        )),
        (Some(json), None) => {
            let text: Box<str> = Box::<RawValue>::into(json);
            Ok((Bytes::from(String::from(text)), "application/json"))
        }
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text).map_err(|error| {
                Problem::invalid(
                    format!("{field}.payload_base64: {error}"),
                    "give standard base64 with padding",
                )
            })?;
            Ok((Bytes::from(bytes), ""))
        }
        (None, None) => Ok((Bytes::new(), "")),
    }
}

/// Prepare numbers its own.
fn unplaced(field: &str, ordinal: Option<u32>) -> Result<(), Problem> {
    match ordinal {
        None => Ok(()),
        Some(_) => Err(Problem::invalid(
            format!("{field} has an ordinal"),
            "leave it out: they are numbered from 0 in their order",
        )),
    }
}

fn placed(field: &str, ordinal: Option<u32>) -> Result<u32, Problem> {
    ordinal.ok_or_else(|| {
        Problem::invalid(
            format!("{field} has no ordinal"),
            "number on from those that the transaction has",
        )
    })
}

/// A wait as a body says it; no `wait_ms`: none.
pub(super) fn wait(wait_ms: Option<u64>, until: Option<UntilWord>) -> Option<WaitInput> {
    let until = match until.unwrap_or(UntilWord::Final) {
        UntilWord::Decision => Until::Decision,
        UntilWord::Final => Until::FinalPhase,
    };
    let at_most = Duration::from_millis(wait_ms?);
    Some(WaitInput { until, at_most })
}

impl ExecuteBody {
    /// As the use case takes it; `trace` is the trace context of the call itself.
    pub(super) fn into_input(
        self,
        trace: &str,
    ) -> Result<(PrepareInput, Option<WaitInput>), Problem> {
        let input = PrepareInput {
            id: self.id,
            namespace: self.namespace,
            initiator: self.initiator,
            resource_id: String::new(),
            business_key: self.business_key,
            messages: messages(self.messages)?,
            branches: branches(self.branches)?,
            options: OptionsInput {
                check_after: match self.deadline_ms {
                    0 => None,
                    ms => Some(Duration::from_millis(ms)),
                },
                allow_no_subscription: self.allow_no_subscription,
                ..OptionsInput::default()
            },
            traceparent: or(self.traceparent, trace),
        };
        Ok((input, wait(self.wait_ms, self.until)))
    }
}

impl RegisterBody {
    /// As the use case takes it.
    pub(super) fn into_input(self, id: String) -> Result<RegisterInput, Problem> {
        let branch = |(n, body): (usize, BranchBody)| {
            let field = format!("branches[{n}]");
            Ok((placed(&field, body.ordinal)?, branch(&field, body)?))
        };
        let message = |(n, body): (usize, MessageBody)| {
            let field = format!("messages[{n}]");
            Ok((placed(&field, body.ordinal)?, message(&field, body)?))
        };
        Ok(RegisterInput {
            id,
            initiator: self.initiator,
            branches: self
                .branches
                .into_iter()
                .enumerate()
                .map(branch)
                .collect::<Result<_, Problem>>()?,
            messages: self
                .messages
                .into_iter()
                .enumerate()
                .map(message)
                .collect::<Result<_, Problem>>()?,
        })
    }
}

/// `null` is a payload too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}
