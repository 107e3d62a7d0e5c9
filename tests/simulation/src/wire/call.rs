//! Calls to nodes without the SDK: the same again after a lost reply, the next node after one that does not answer; and what
//! callers are told is noted.

use std::time::Duration;

use earnest_proto::v1::{Phase, Transaction};
use earnest_protocol::{Decision, TransactionId};
use tonic::{Code, Response, Status, transport::Channel};

use super::WireWorld;

/// One try; the same again afterwards.
const TRY: Duration = Duration::from_millis(700);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls the nodes in turn, from `first` on, until one does it or refuses for good. `None`: none in time.
pub(super) async fn call<T, F>(
    channels: &[Channel],
    first: u32,
    patience: Duration,
    act: impl Fn(Channel) -> F,
) -> Option<Result<T, Status>>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut turn = channels
        .iter()
        .cycle()
        .skip(first as usize % channels.len());
    let tries = async {
        loop {
            let channel = turn.next().expect("there is a node").clone();
            match tokio::time::timeout(TRY, act(channel)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_for_good(&status) => return Err(status),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(patience, tries).await.ok()
}

/// Whether the same call would be refused again.
fn is_for_good(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::OutOfRange
    )
}

impl WireWorld {
    /// A caller is told that a transaction is recorded, and how it stands.
    pub(super) async fn told(&self, id: TransactionId, told: Option<Transaction>) {
        let Some(told) = told else { return };
        let row = self.store().transaction(id).await;
        let row = row.expect("the memory store answers");
        self.book.told_recorded(id, row.is_some());
        let stands = row.and_then(|row| row.state.phase.decision());
        self.trace
            .note(format_args!("{id}: told {:?}", told.phase()));
        let decision = match told.phase() {
            Phase::Confirming | Phase::Confirmed => Decision::Confirm,
            Phase::Cancelling | Phase::Cancelled => Decision::Cancel,
            Phase::Prepared | Phase::Unspecified => return,
        };
        self.book.told_decided(id, decision, stands);
    }
}
