//! gRPC push: batches with an answer per message.

use std::collections::HashMap;

use earnest_proto::v1::{
    DeliverRequest, DeliverResponse, DeliverResult, DeliveredMessage, DeliveryAnswer as WireAnswer,
    Message, participant_client::ParticipantClient,
};
use earnest_protocol::{DeliveryAnswer, Name};
use earnest_store::{DeliveryWork, Endpoint};
use futures_util::future::join_all;
use tonic::{Request, transport::Channel};

use super::{Caller, Handed, Outcome, time_for_a_call};
use crate::{
    callback::{Failure, chain, child_traceparent},
    driver::CallOutcome,
};

/// Bytes of one call, about: gRPC servers take 4 MiB unless they are told otherwise.
const CALL_BYTES: usize = 3 << 20;
/// What a message takes beside its texts and payload, about.
const OVERHEAD: usize = 512;
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;

/// Hands `works`, all of one subscription, to one instance; an outcome for each, in order.
pub(super) async fn deliver(
    caller: &Caller,
    endpoint: &Endpoint,
    works: &[&DeliveryWork],
) -> Vec<Handed> {
    let target = format!("grpc {}", endpoint.url);
    let channel = match caller.clients.channel(&endpoint.url) {
        Ok(channel) => channel,
        Err(error) => {
            let problem = chain(&error);
            let bad =
                || CallOutcome::down(DeliveryAnswer::Unknown, &target, "bad-endpoint", &problem);
            return works.iter().map(|_| Handed::Unsent(bad())).collect();
        }
    };
    let calls = calls(works)
        .into_iter()
        .map(|works| call(caller, channel.clone(), &target, works));
    join_all(calls).await.into_iter().flatten().collect()
}

/// Cuts a batch into calls that a server takes.
fn calls<'a, 'w>(works: &'a [&'w DeliveryWork]) -> Vec<&'a [&'w DeliveryWork]> {
    let mut calls = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (n, work) in works.iter().enumerate() {
        let weight = weight(work);
        if n > begin && bytes + weight > CALL_BYTES {
            calls.push(&works[begin..n]);
            (begin, bytes) = (n, 0);
        }
        bytes += weight;
    }
    calls.push(&works[begin..]);
    calls
}

fn weight(work: &DeliveryWork) -> usize {
    let message = &work.message;
    let headers: usize = message
        .headers
        .iter()
        .map(|(k, v)| k.len() + v.len() + 8)
        .sum();
    OVERHEAD + message.payload.len() + message.key.len() + headers
}

async fn call(
    caller: &Caller,
    channel: Channel,
    target: &str,
    works: &[&DeliveryWork],
) -> Vec<Handed> {
    let Some(first) = works.first() else {
        return vec![];
    };
    let messages = works.iter().map(|work| wire(caller, work)).collect();
    let mut request = Request::new(DeliverRequest { messages });
    request.set_timeout(time_for_a_call(first));
    let mut client = ParticipantClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
    match client.deliver(request).await {
        Ok(response) => read(response.into_inner(), target, works),
        Err(status) => {
            let failure = Failure::grpc(&status);
            let outcome = CallOutcome {
                answer: DeliveryAnswer::Unknown,
                target: target.to_owned(),
                code: failure.code,
                error: failure.error,
                down: failure.down,
            };
            let handed = || {
                if failure.unsent {
                    Handed::Unsent(outcome.clone())
                } else {
                    Handed::Settled(outcome.clone())
                }
            };
            works.iter().map(|_| handed()).collect()
        }
    }
}

fn wire(caller: &Caller, work: &DeliveryWork) -> DeliveredMessage {
    let message = &work.message;
    let parent = super::header::trace_parent(work);
    DeliveredMessage {
        transaction_id: work.key.transaction.to_string(),
        ordinal: work.key.ordinal.0,
        namespace: work.subscription.namespace.to_string(),
        subscription: work.subscription.name.to_string(),
        message: Some(Message {
            topic: message.topic.to_string(),
            key: message.key.clone(),
            headers: message.headers.clone().into_iter().collect(),
            payload: message.payload.clone(),
            content_type: message.content_type.clone(),
            content_encoding: message.content_encoding.clone(),
            key_id: message.key_id.clone(),
            deliver_after_ms: 0,
        }),
        created_at_us: work.created_at.as_micros(),
        attempt: work.attempt,
        traceparent: child_traceparent(parent, &caller.environment),
        initiator: work.initiator.to_string(),
    }
}

/// Matches answers to messages. A message without an answer, or with two that differ, is unknown.
fn read(response: DeliverResponse, target: &str, works: &[&DeliveryWork]) -> Vec<Handed> {
    let mut answers: HashMap<(String, u32), Option<WireAnswer>> = HashMap::new();
    let subscription = works
        .first()
        .map_or("", |work| Name::as_str(&work.subscription.name));
    for answer in response.answers {
        if answer.subscription != subscription {
            continue;
        }
        let key = (answer.transaction_id.clone(), answer.ordinal);
        answers
            .entry(key)
            .and_modify(|before| {
                if before.as_ref().is_some_and(|b| b.result != answer.result) {
                    *before = None;
                }
            })
            .or_insert(Some(answer));
    }
    let outcome = |work: &&DeliveryWork| {
        let key = (work.key.transaction.to_string(), work.key.ordinal.0);
        Handed::Settled(match answers.get(&key) {
            Some(Some(answer)) => said(answer, target),
            Some(None) => bad(target, "two answers for this message contradict each other"),
            None => bad(
                target,
                "the reply has no answer for this transaction_id, ordinal and subscription",
            ),
        })
    };
    works.iter().map(outcome).collect()
}

fn said(answer: &WireAnswer, target: &str) -> Outcome {
    let detail = answer.detail.clone();
    let (word, code) = match answer.result() {
        DeliverResult::Ok => (DeliveryAnswer::Ok, "ok"),
        DeliverResult::Refused => (DeliveryAnswer::Refused, "refused"),
        DeliverResult::InProgress => (DeliveryAnswer::InProgress, "in-progress"),
        DeliverResult::Failed => (DeliveryAnswer::Failed(detail.clone()), "failed"),
        DeliverResult::Unspecified => (DeliveryAnswer::Unknown, "unknown"),
    };
    let error = if word == DeliveryAnswer::Ok {
        String::new()
    } else {
        detail
    };
    CallOutcome::answered(word, target, code, error)
}

fn bad(target: &str, problem: &str) -> Outcome {
    CallOutcome::answered(DeliveryAnswer::Unknown, target, "bad-answer", problem)
}
