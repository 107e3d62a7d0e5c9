//! Runs what is on the board, one task per call.

use std::{sync::Arc, time::Duration};

use earnest_protocol::{CheckBackAnswer, DeliveryAnswer, InitiatorOutcome};
use earnest_store::{CheckBackWork, Command, DeliveryWork, Target, Work};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{CallOutcome, DriverOptions, DriverParts, settler};
use crate::crash;

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
        }
    }
    if !deliveries.is_empty() {
        let (ends, failed) = deliver(&parts, &options, deliveries).await;
        commands.extend(ends);
        down |= failed;
    }
    let give_back = parts.board.call_ended(&target, down, Instant::now());
    let back = give_back.len();
    commands.extend(give_back.into_iter().map(settler::release));
    settler::settle(&parts, commands).await;
    parts.board.finished(&target, count + back);
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
    if work.options.outcome == InitiatorOutcome::None {
        return (Command::DeadlinePassed { id, token }, false);
    }
    let began = Instant::now();
    let timeout = options.check_back_timeout;
    crash::point("before_check_back");
    let outcome = tokio::time::timeout(timeout, parts.check_back.check_back(&work))
        .await
        .unwrap_or_else(|_| {
            let target = format!("service {}", work.initiator);
            CallOutcome::down(
                CheckBackAnswer::Unknown,
                target,
                "timeout",
                took_longer(timeout),
            )
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
    let outcomes = tokio::time::timeout(timeout, parts.delivery.deliver(&batch))
        .await
        .unwrap_or_else(|_| {
            let late = |work: &DeliveryWork| {
                let target = work.subscription.destination.to_string();
                CallOutcome::down(
                    DeliveryAnswer::Unknown,
                    target,
                    "timeout",
                    took_longer(timeout),
                )
            };
            batch.iter().map(late).collect()
        });
    crash::point("after_deliver");
    // One answer is a sign of life, whatever became of the others.
    let down = outcomes.iter().all(|outcome| outcome.down);
    let settle = |(work, outcome): (DeliveryWork, CallOutcome<DeliveryAnswer>)| {
        parts.metrics.delivered(&work, &outcome);
        settler::delivery(parts, options, work, outcome, began)
    };
    (batch.into_iter().zip(outcomes).map(settle).collect(), down)
}

fn took_longer(timeout: Duration) -> String {
    format!("no answer within {} ms", timeout.as_millis())
}
