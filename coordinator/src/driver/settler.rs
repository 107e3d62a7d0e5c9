//! Writes the ends of attempts, for as long as it takes: an end that is not written is an attempt made again.

use std::time::Duration;

use earnest_protocol::{
    BranchAnswer, BranchCall, DeliveryAnswer, settle as settle_delivery, settle_branch, settle_try,
};
use earnest_store::{
    AttemptNote, BranchSettled, BranchTried, BranchWork, Command, DeliverySettled, DeliveryWork,
    Reply, Target,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{CallOutcome, DriverOptions, DriverParts};
use crate::journal::JournalError;

/// The wait before an end is written again, while the database may come back.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest wait before an end that was refused for good is written again.
const LONGEST: Duration = Duration::from_mins(1);

/// Writes all of `commands`, each the end of one piece of work of `target`, and lets go of each that is written,
/// or somebody else's by now.
pub(super) async fn settle(parts: &DriverParts, target: &Target, commands: Vec<Command>) {
    let end = async |command| {
        write(parts, command).await;
        parts.board.finished(target, 1);
    };
    join_all(commands.into_iter().map(end)).await;
}

async fn write(parts: &DriverParts, command: Command) {
    let mut wait = AGAIN;
    loop {
        match parts.journal.write_own(command.clone()).await {
            Ok(Ok(reply)) => return note_reply(parts, &command, &reply),
            // The lease runs out, and whoever claims the work next makes the attempt again.
            Err(JournalError::Closed) => return,
            Err(error) if is_passing(&error) => tokio::time::sleep(AGAIN).await,
            // The work stays held by this node, so that nobody attempts it again and again, and the rest of what
            // it holds stays its own.
            refused => {
                let error = refused.map_or_else(|e| e.to_string(), |r| format!("{r:?}"));
                let (name, id) = (command.name(), command.transaction());
                tracing::error!(error, command = name, transaction = %id, "an end can't be written; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST);
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

/// What to write for a call of a branch.
pub(super) fn branch(
    parts: &DriverParts,
    options: &DriverOptions,
    work: &BranchWork,
    outcome: CallOutcome<BranchAnswer>,
    began: Instant,
) -> Command {
    let note = (outcome.answer != BranchAnswer::Ok).then(|| note(options, &outcome, began));
    let jitter = parts.environment.jitter();
    let (key, token, policy) = (work.key, work.token, &options.branch_retry);
    if work.call == BranchCall::Try {
        let settled = settle_try(outcome.answer, work.attempt, policy, jitter);
        return Command::BranchTried(Box::new(BranchTried {
            key,
            token,
            settled,
            note,
        }));
    }
    let settled = settle_branch(outcome.answer, work.attempt, policy, jitter);
    Command::BranchSettled(Box::new(BranchSettled {
        key,
        token,
        settled,
        park_after: Some(options.branch_park_after).filter(|limit| !limit.is_zero()),
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
