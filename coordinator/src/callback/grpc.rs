//! Check-backs to gRPC endpoints.

use earnest_proto::v1::{CheckBackRequest, CheckBackResult, participant_client::ParticipantClient};
use earnest_protocol::CheckBackAnswer;
use earnest_store::{CheckBackWork, Endpoint};

use super::{Clients, reply::Failure};
use crate::driver::CallOutcome;

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 << 10;

/// Asks one instance.
pub(super) async fn ask(
    clients: &Clients,
    endpoint: &Endpoint,
    work: &CheckBackWork,
    traceparent: String,
) -> CallOutcome<CheckBackAnswer> {
    let target = format!("grpc {}", endpoint.url);
    let channel = match clients.channel(&endpoint.url) {
        Ok(channel) => channel,
        Err(error) => {
            let problem = super::reply::chain(&error);
            return CallOutcome::down(CheckBackAnswer::Unknown, target, "bad-endpoint", problem);
        }
    };
    let id = work.id.to_string();
    let request = CheckBackRequest {
        transaction_id: id.clone(),
        namespace: work.namespace.to_string(),
        service: work.initiator.to_string(),
        resource_id: work.resource_id.clone(),
        created_at_us: work.created_at.as_micros(),
        attempt: work.attempt,
        traceparent,
    };
    let mut client = ParticipantClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
    let response = match client.check_back(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            let Failure {
                code, error, down, ..
            } = Failure::grpc(&status);
            return CallOutcome {
                answer: CheckBackAnswer::Unknown,
                target,
                code,
                error,
                down,
            };
        }
    };
    let answered =
        |answer, code: &str, error: String| CallOutcome::answered(answer, &target, code, error);
    let unknown = |code, error| answered(CheckBackAnswer::Unknown, code, error);
    if response.result() == CheckBackResult::Unspecified {
        return unknown("unknown", response.detail);
    }
    if response.transaction_id != id {
        let problem =
            "the answer does not carry the id that was asked about, so it counts for nothing";
        return unknown("bad-answer", problem.into());
    }
    match response.result() {
        CheckBackResult::Committed => answered(CheckBackAnswer::Committed, "ok", String::new()),
        CheckBackResult::RolledBack => answered(CheckBackAnswer::RolledBack, "ok", String::new()),
        CheckBackResult::InProgress => {
            answered(CheckBackAnswer::InProgress, "in-progress", response.detail)
        }
        CheckBackResult::Unspecified => unknown("unknown", response.detail),
    }
}
