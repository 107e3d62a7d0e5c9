//! A Try at an instance that speaks gRPC.

use std::time::Duration;

use earnest_proto::v1::{
    BranchCall, BranchCallKind, BranchResult, CallBranchesRequest,
    participant_client::ParticipantClient,
};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use super::Tried;
use crate::context;

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;

pub(super) type Client = ParticipantClient<Channel>;

pub(super) fn client(channel: Channel) -> Client {
    ParticipantClient::new(channel).max_decoding_message_size(LONGEST_ANSWER)
}

/// The error says why it is unknown.
pub(super) async fn call(
    client: &Client,
    call: BranchCall,
    timeout: Duration,
) -> Result<Tried, String> {
    let (id, ordinal) = (call.transaction_id.clone(), call.ordinal);
    let headers = [
        (context::TRANSACTION_ID, id.clone()),
        (context::BRANCH, ordinal.to_string()),
        (context::TRACEPARENT, call.traceparent.clone()),
    ];
    let mut request = Request::new(CallBranchesRequest { calls: vec![call] });
    request.set_timeout(timeout);
    for (name, value) in headers {
        if let Ok(value) = MetadataValue::try_from(value) {
            request.metadata_mut().insert(name, value);
        }
    }
    let reply = client
        .clone()
        .call_branches(request)
        .await
        .map_err(|status| format!("{} ({:?})", status.message(), status.code()))?
        .into_inner();
    let answer = reply
        .answers
        .into_iter()
        .find(|answer| answer.transaction_id == id && answer.ordinal == ordinal)
        .filter(|answer| answer.kind() == BranchCallKind::Try)
        .ok_or("this Try was left unanswered")?;
    match answer.result() {
        BranchResult::Ok => Ok(Tried::Ok),
        BranchResult::Refused | BranchResult::Failed => Ok(Tried::Refused(answer.detail)),
        BranchResult::InProgress | BranchResult::Unspecified => Err(answer.detail),
    }
}
