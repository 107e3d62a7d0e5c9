//! Requests as the use cases take them. An enum value that this version doesn't know is refused: taking it for
//! the default would do something else than was asked.

use std::time::Duration;

use earnest_proto::v1;
use earnest_protocol::{Decision, InitiatorOutcome, OnBudgetSpent, Phase, RetryPolicy, Timestamp};
use earnest_store::{Destination, Endpoint, EndpointProtocol, Mark};

use crate::service::{
    BranchInput, ListInput, MessageInput, OperatorDecideInput, OptionsInput, PrepareInput,
    RegisterInput, ServiceError, ServiceInput, SubscriptionInput, Until, WaitInput,
};

type Result<T> = std::result::Result<T, ServiceError>;

pub(super) fn marks(marks: &[v1::Mark]) -> Vec<Mark> {
    let mark = |mark: &v1::Mark| Mark {
        incarnation: mark.incarnation,
        line: mark.line,
        batches: mark.batches,
        at: Timestamp::from_micros(mark.at_us),
    };
    marks.iter().map(mark).collect()
}

pub(super) fn prepare(request: v1::PrepareRequest) -> Result<PrepareInput> {
    Ok(PrepareInput {
        id: given(request.id),
        namespace: request.namespace,
        initiator: request.initiator,
        resource_id: request.resource_id,
        business_key: request.business_key,
        messages: messages(request.messages),
        branches: branches(request.branches),
        options: options(request.options.unwrap_or_default())?,
        traceparent: request.traceparent,
    })
}

pub(super) fn submit(request: v1::SubmitRequest) -> PrepareInput {
    PrepareInput {
        id: given(request.id),
        namespace: request.namespace,
        initiator: request.initiator,
        resource_id: String::new(),
        business_key: request.business_key,
        messages: messages(request.messages),
        branches: vec![],
        options: OptionsInput {
            allow_no_subscription: request.allow_no_subscription,
            ..OptionsInput::default()
        },
        traceparent: request.traceparent,
    }
}

pub(super) fn execute(request: v1::ExecuteRequest) -> PrepareInput {
    PrepareInput {
        id: given(request.id),
        namespace: request.namespace,
        initiator: request.initiator,
        resource_id: String::new(),
        business_key: request.business_key,
        messages: messages(request.messages),
        branches: branches(request.branches),
        options: OptionsInput {
            check_after: match request.deadline_ms {
                0 => None,
                ms => Some(Duration::from_millis(ms)),
            },
            allow_no_subscription: request.allow_no_subscription,
            ..OptionsInput::default()
        },
        traceparent: request.traceparent,
    }
}

pub(super) fn register(request: v1::RegisterBranchesRequest) -> Result<RegisterInput> {
    let placed = |placed: v1::PlacedBranch| {
        let missing = || ServiceError::invalid("branches.branch", "it is missing");
        let branch = placed.branch.ok_or_else(missing)?;
        Ok((placed.ordinal, branches(vec![branch]).remove(0)))
    };
    let placed_message = |placed: v1::PlacedMessage| {
        let missing = || ServiceError::invalid("messages.message", "it is missing");
        let message = placed.message.ok_or_else(missing)?;
        Ok((placed.ordinal, messages(vec![message]).remove(0)))
    };
    Ok(RegisterInput {
        id: request.id,
        initiator: request.initiator,
        branches: request
            .branches
            .into_iter()
            .map(placed)
            .collect::<Result<_>>()?,
        messages: request
            .messages
            .into_iter()
            .map(placed_message)
            .collect::<Result<_>>()?,
    })
}

/// Looks once.
pub(super) const NO_WAIT: WaitInput = WaitInput {
    until: Until::FinalPhase,
    at_most: Duration::ZERO,
};

pub(super) fn wait(wait: Option<v1::Wait>) -> Result<Option<WaitInput>> {
    let Some(wait) = wait else { return Ok(None) };
    let until = match known(wait.until, "wait.until")? {
        v1::WaitFor::Unspecified | v1::WaitFor::FinalPhase => Until::FinalPhase,
        v1::WaitFor::Decision => Until::Decision,
    };
    let at_most = Duration::from_millis(wait.at_most_ms);
    Ok(Some(WaitInput { until, at_most }))
}

pub(super) fn list(request: v1::ListTransactionsRequest) -> Result<ListInput> {
    Ok(ListInput {
        namespace: request.namespace,
        phases: request
            .phases
            .into_iter()
            .map(phase)
            .collect::<Result<_>>()?,
        initiator: request.initiator,
        business_key: request.business_key,
        topic: request.topic,
        older_than: Duration::from_millis(request.older_than_ms),
        parked: request.parked,
        page_size: request.page_size,
        page_token: request.page_token,
    })
}

pub(super) fn service(request: v1::RegisterServiceRequest) -> Result<ServiceInput> {
    let endpoint = |endpoint: v1::Endpoint| {
        Ok(Endpoint {
            protocol: protocol(endpoint.protocol)?,
            url: endpoint.url,
            resource_id: endpoint.resource_id,
        })
    };
    Ok(ServiceInput {
        namespace: request.namespace,
        name: request.name,
        endpoints: request
            .endpoints
            .into_iter()
            .map(endpoint)
            .collect::<Result<_>>()?,
        replace: request.replace,
    })
}

pub(super) fn subscription(request: v1::PutSubscriptionRequest) -> Result<SubscriptionInput> {
    let subscription = request
        .subscription
        .ok_or_else(|| ServiceError::invalid("subscription", "it is missing"))?;
    Ok(SubscriptionInput {
        namespace: subscription.namespace,
        name: subscription.name,
        topic: subscription.topic,
        destination: destination(subscription.destination)?,
        ordered: subscription.ordered,
        paused: subscription.paused,
        concurrency: subscription.concurrency,
        timeout: Duration::from_millis(subscription.timeout_ms),
        retry: subscription.retry.map(|retry| RetryPolicy {
            initial: Duration::from_millis(retry.initial_ms),
            multiplier_milli: retry.multiplier_milli,
            cap: Duration::from_millis(retry.cap_ms),
        }),
    })
}

pub(super) fn operator_decides(
    request: v1::DecideTransactionRequest,
) -> Result<OperatorDecideInput> {
    let decision = match known(request.decision, "decision")? {
        v1::Decision::Confirm => Decision::Confirm,
        v1::Decision::Cancel => Decision::Cancel,
        v1::Decision::Unspecified => {
            return Err(ServiceError::invalid(
                "decision",
                "say DECISION_CONFIRM or DECISION_CANCEL",
            ));
        }
    };
    Ok(OperatorDecideInput {
        id: request.id,
        decision,
        force: request.force,
        actor: request.actor,
        reason: request.reason,
    })
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn messages(messages: Vec<v1::Message>) -> Vec<MessageInput> {
    let message = |message: v1::Message| MessageInput {
        topic: message.topic,
        key: message.key,
        headers: message.headers.into_iter().collect(),
        payload: message.payload,
        content_type: message.content_type,
        content_encoding: message.content_encoding,
        key_id: message.key_id,
        deliver_after: Duration::from_millis(message.deliver_after_ms),
    };
    messages.into_iter().map(message).collect()
}

fn branches(branches: Vec<v1::Branch>) -> Vec<BranchInput> {
    let branch = |branch: v1::Branch| BranchInput {
        service: branch.service,
        action: branch.action,
        resource_id: branch.resource_id,
        payload: branch.payload,
        content_type: branch.content_type,
    };
    branches.into_iter().map(branch).collect()
}

fn options(options: v1::Options) -> Result<OptionsInput> {
    Ok(OptionsInput {
        check_after: match options.check_after_ms {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        },
        outcome: match known(options.outcome, "options.outcome")? {
            v1::Outcome::Unspecified => None,
            v1::Outcome::Local => Some(InitiatorOutcome::Local),
            v1::Outcome::Asked => Some(InitiatorOutcome::Asked),
            v1::Outcome::None => Some(InitiatorOutcome::None),
            v1::Outcome::Executed => Some(InitiatorOutcome::Executed),
        },
        on_budget_spent: match known(options.on_budget_spent, "options.on_budget_spent")? {
            v1::OnBudgetSpent::Unspecified => None,
            v1::OnBudgetSpent::Park => Some(OnBudgetSpent::Park),
            v1::OnBudgetSpent::Cancel => Some(OnBudgetSpent::Cancel),
        },
        check_back_budget: match options.check_back_budget {
            0 => None,
            budget => Some(budget),
        },
        allow_no_subscription: options.allow_no_subscription,
    })
}

fn phase(phase: i32) -> Result<Phase> {
    Ok(match known(phase, "phases")? {
        v1::Phase::Prepared => Phase::Prepared,
        v1::Phase::Confirming => Phase::Confirming,
        v1::Phase::Confirmed => Phase::Confirmed,
        v1::Phase::Cancelling => Phase::Cancelling,
        v1::Phase::Cancelled => Phase::Cancelled,
        v1::Phase::Unspecified => {
            return Err(ServiceError::invalid(
                "phases",
                "PHASE_UNSPECIFIED is no phase; leave the list empty for all",
            ));
        }
    })
}

/// Who registers over gRPC is taken to speak it.
fn protocol(protocol: i32) -> Result<EndpointProtocol> {
    Ok(match known(protocol, "endpoints.protocol")? {
        v1::EndpointProtocol::Unspecified | v1::EndpointProtocol::Grpc => EndpointProtocol::Grpc,
        v1::EndpointProtocol::Http => EndpointProtocol::Http,
    })
}

fn destination(destination: Option<v1::Destination>) -> Result<Destination> {
    match destination.and_then(|destination| destination.to) {
        Some(v1::destination::To::Service(name)) => {
            let name = name
                .parse()
                .map_err(|e| ServiceError::bad_name("destination.service", &e))?;
            Ok(Destination::Service(name))
        }
        Some(v1::destination::To::WebhookUrl(url)) => Ok(Destination::WebhookUrl(url)),
        None => Err(ServiceError::invalid(
            "destination",
            "give a service or a webhook_url",
        )),
    }
}

fn known<E: TryFrom<i32>>(value: i32, field: &str) -> Result<E> {
    E::try_from(value).map_err(|_| {
        ServiceError::invalid(
            field,
            format!("{value} is not a value that this version knows"),
        )
    })
}
