//! Runs what is on the board, one task per call.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use earnest_protocol::{BranchAnswer, CheckBackAnswer, DeliveryAnswer};
use earnest_store::{BranchWork, CheckBackWork, Command, DeliveryWork, Target, Work};
use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{CallOutcome, DriverOptions, DriverParts, settler};
use crate::{crash, planted::planted};

/// Starts calls until `stop`.
pub(super) async fn run(
    parts: Arc<DriverParts>,
    options: DriverOptions,
    runs: TaskTracker,
    stop: CancellationToken,
) {
    let options = Arc::new(options);
    loop {
        while let Some((target, batch)) = parts.board.take() {
            runs.spawn(call(
                Arc::clone(&parts),
                Arc::clone(&options),
                target,
                batch,
            ));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = parts.board.ready.notified() => {}
        }
    }
}

async fn call(
    parts: Arc<DriverParts>,
    options: Arc<DriverOptions>,
    target: Target,
    batch: Vec<Work>,
) {
    let mut deliveries = Vec::new();
    let mut branches = Vec::new();
    let mut commands = Vec::new();
    let count = batch.len();
    let mut down = false;
    for work in batch {
        match work {
            Work::CheckBack(work) => {
                let (command, failed) = check_back(&parts, &options, *work).await;
                commands.push(command);
                down |= failed;
            }
            Work::Delivery(work) => deliveries.push(*work),
            Work::Branch(work) => branches.push(*work),
        }
    }
    if !deliveries.is_empty() {
        let (ends, failed) = deliver(&parts, &options, deliveries).await;
        commands.extend(ends);
        down |= failed;
    }
    if !branches.is_empty() {
        let (ends, failed) = call_branches(&parts, &options, branches).await;
        commands.extend(ends);
        down |= failed;
    }
    let give_back = parts.board.call_ended(&target, count, down, Instant::now());
    commands.extend(give_back.into_iter().map(Work::release));
    settler::settle(&parts, &target, commands).await;
    if down {
        parts.board.due.notify_one();
    }
}

/// Asks the initiator, and says what to write and whether it was down.
async fn check_back(
    parts: &DriverParts,
    options: &DriverOptions,
    work: CheckBackWork,
) -> (Command, bool) {
    let (id, token) = (work.id, work.token);
    if work.options.outcome.ends_with_the_deadline() || planted!(DeadlineCancelsLocal) {
        return (Command::DeadlinePassed { id, token }, false);
    }
    let began = Instant::now();
    let timeout = options.check_back_timeout;
    crash::point("before_check_back");
    let outcome = bounded(timeout, parts.check_back.check_back(&work))
        .await
        .unwrap_or_else(|Missing { code, error }| {
            let target = format!("service {}", work.initiator);
            CallOutcome::down(CheckBackAnswer::Unknown, target, code, error)
        });
    crash::point("after_check_back");
    parts.metrics.checked_back(outcome.answer);
    let down = outcome.down;
    let answer = outcome.answer;
    let note = settler::note(options, &outcome, began);
    (
        Command::CheckedBack {
            id,
            token,
            answer,
            jitter: parts.environment.jitter(),
            note,
        },
        down,
    )
}

/// Hands messages on, and says what to write and whether the destination was down.
async fn deliver(
    parts: &DriverParts,
    options: &DriverOptions,
    batch: Vec<DeliveryWork>,
) -> (Vec<Command>, bool) {
    let began = Instant::now();
    let timeout = batch[0].subscription.timeout;
    crash::point("before_deliver");
    let answered = bounded(timeout, parts.delivery.deliver(&batch)).await;
    let (mut outcomes, Missing { code, error }) = match answered {
        Ok(outcomes) => (outcomes, Missing::answer()),
        Err(missing) => (vec![], missing),
    };
    // Whatever has no outcome of its own is unknown: every lease comes to an end that is written.
    for work in batch.iter().skip(outcomes.len()) {
        let target = work.subscription.destination.to_string();
        let unknown = if planted!(MissingAnswerIsOk) {
            DeliveryAnswer::Ok
        } else {
            DeliveryAnswer::Unknown
        };
        outcomes.push(CallOutcome::down(unknown, target, code, error.clone()));
    }
    crash::point("after_deliver");
    // One answer is a sign of life, whatever became of the others.
    let down = outcomes.iter().all(|outcome| outcome.down);
    let settle = |(work, outcome): (DeliveryWork, CallOutcome<DeliveryAnswer>)| {
        parts.metrics.delivered(&work, &outcome);
        settler::delivery(parts, options, work, outcome, began)
    };
    (batch.into_iter().zip(outcomes).map(settle).collect(), down)
}

/// Calls a participant, and says what to write and whether it was down.
async fn call_branches(
    parts: &DriverParts,
    options: &DriverOptions,
    batch: Vec<BranchWork>,
) -> (Vec<Command>, bool) {
    let began = Instant::now();
    crash::point("before_branch");
    let answered = bounded(options.branch_timeout, parts.branches.call(&batch)).await;
    let (mut outcomes, Missing { code, error }) = match answered {
        Ok(outcomes) => (outcomes, Missing::answer()),
        Err(missing) => (vec![], missing),
    };
    // Whatever has no outcome of its own is unknown: every lease comes to an end that is written.
    for work in batch.iter().skip(outcomes.len()) {
        let target = format!("service {}", work.branch.service);
        outcomes.push(CallOutcome::down(
            BranchAnswer::Unknown,
            target,
            code,
            error.clone(),
        ));
    }
    crash::point("after_branch");
    if planted!(AnswersAreSwapped) {
        outcomes.reverse();
    }
    let down = outcomes.iter().all(|outcome| outcome.down);
    let settle = |(work, outcome): (BranchWork, CallOutcome<BranchAnswer>)| {
        parts.metrics.called_branch(&work, &outcome);
        settler::branch(parts, options, &work, outcome, began)
    };
    (batch.into_iter().zip(outcomes).map(settle).collect(), down)
}

/// Why a call brought no outcome.
struct Missing {
    code: &'static str,
    error: String,
}

impl Missing {
    fn answer() -> Self {
        let error = "the destination's answer left this message out".into();
        Self {
            code: "bad-answer",
            error,
        }
    }
}

/// Runs a call for at most `timeout`. A panic in it is an unknown outcome like any other: the work must not
/// be lost with it.
async fn bounded<T>(timeout: Duration, call: impl Future<Output = T>) -> Result<T, Missing> {
    let call = AssertUnwindSafe(tokio::time::timeout(timeout, call)).catch_unwind();
    match call.await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) => Err(Missing {
            code: "timeout",
            error: format!("no answer within {} ms", timeout.as_millis()),
        }),
        Err(_) => {
            let error = "the coordinator's own call failed; its log says more".into();
            Err(Missing {
                code: "internal",
                error,
            })
        }
    }
}
