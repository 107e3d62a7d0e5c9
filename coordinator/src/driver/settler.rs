//! Writes the ends of attempts, for as long as it takes: an end that is not written is an attempt made again.

use std::time::Duration;

use earnest_protocol::{DeliveryAnswer, settle as settle_delivery};
use earnest_store::{AttemptNote, Command, DeliverySettled, DeliveryWork, Reply};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{CallOutcome, DriverOptions, DriverParts};
use crate::journal::JournalError;

/// The wait before an end is written again.
const AGAIN: Duration = Duration::from_millis(200);

/// Writes all of `commands`; returns when each is written, or somebody else's by now.
pub(super) async fn settle(parts: &DriverParts, commands: Vec<Command>) {
    join_all(commands.into_iter().map(|command| write(parts, command))).await;
}

async fn write(parts: &DriverParts, command: Command) {
    loop {
        match parts.journal.write_own(command.clone()).await {
            Ok(Ok(reply)) => return note_reply(parts, &command, &reply),
            Ok(Err(rejection)) => {
                tracing::error!(%rejection, command = command.name(), "an end was refused");
                return parts.board.renew_epoch();
            }
            // The lease runs out, and whoever claims the work next makes the attempt again.
            Err(JournalError::Closed) => return,
            Err(error) if is_passing(&error) => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                tracing::error!(%error, command = command.name(), "an end can't be written");
                return parts.board.renew_epoch();
            }
        }
    }
}

fn is_passing(error: &JournalError) -> bool {
    match error {
        JournalError::Full => true,
        JournalError::Closed => false,
        JournalError::Store(store) => store.is_retryable(),
    }
}

fn note_reply(parts: &DriverParts, command: &Command, reply: &Reply) {
    match reply {
        Reply::LostLease => {
            parts.metrics.lost_lease();
            tracing::debug!(transaction = %command.transaction(), command = command.name(), "lost lease");
        }
        Reply::Contradicted(row) => {
            parts.metrics.contradiction();
            tracing::error!(
                transaction = %row.id,
                phase = %row.state.phase,
                "the initiator's answer contradicts the decision"
            );
        }
        Reply::Settled(_) | Reply::Transaction { .. } => {}
    }
}

/// What to write for a delivery attempt.
pub(super) fn delivery(
    parts: &DriverParts,
    options: &DriverOptions,
    work: DeliveryWork,
    outcome: CallOutcome<DeliveryAnswer>,
    began: Instant,
) -> Command {
    let note = (outcome.answer != DeliveryAnswer::Ok).then(|| note(options, &outcome, began));
    let jitter = parts.environment.jitter();
    let settled = settle_delivery(
        outcome.answer,
        work.attempt,
        &work.subscription.retry,
        jitter,
    );
    Command::DeliverySettled(Box::new(DeliverySettled {
        key: work.key,
        token: work.token,
        settled,
        note,
    }))
}

/// How an attempt went, for its record.
pub(super) fn note<A>(
    options: &DriverOptions,
    outcome: &CallOutcome<A>,
    began: Instant,
) -> AttemptNote {
    /// Errors come from outside: bounded.
    const LONGEST: usize = 1_000;
    AttemptNote {
        node: options.node.clone(),
        target: outcome.target.chars().take(LONGEST).collect(),
        code: outcome.code.clone(),
        error: outcome.error.chars().take(LONGEST).collect(),
        duration: began.elapsed(),
    }
}
