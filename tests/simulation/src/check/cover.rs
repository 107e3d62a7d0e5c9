//! Which pair of state and event a command met, and whether it may have made the decision that it made.

use earnest_protocol::{Decider, Decision, InitiatorOutcome, Phase, Settled, TrySettled};
use earnest_store::{Command, Detail, OperatorAction, Reply, TransactionRow};

use super::{
    coverage::{EventKind, StateKind},
    observe::{Answer, Observer},
};

impl Observer {
    /// Notes it.
    pub(super) fn cover(&self, command: &Command, answer: &Answer, before: Option<&Detail>) {
        let lost = matches!(answer, Ok(Reply::LostLease));
        let Some(before) = before else { return };
        let row = &before.transaction;
        let state = StateKind::of(&row.state);
        let mut coverage = self.coverage.lock().expect("no check panics");
        let mut met = |event| coverage.met(state, event);
        match command {
            Command::Submit(new) if row.content == Some(new.content) => met(EventKind::Confirm),
            Command::Decide(decide) => met(match decide.decision {
                Decision::Confirm => EventKind::Confirm,
                Decision::Cancel => EventKind::Cancel,
            }),
            Command::CheckedBack { answer, .. } => {
                // What is decided takes any answer, if only to say that it contradicts.
                if !lost || row.state.phase.decision().is_some() {
                    met(EventKind::answered(*answer));
                }
            }
            Command::DeadlinePassed { .. } if !lost => met(EventKind::DeadlinePassed),
            Command::DeliverySettled(settled) if !lost => match settled.settled {
                Settled::Done => met(EventKind::EffectDone),
                Settled::Park(_) => met(EventKind::EffectParked),
                Settled::RetryAfter(_) => {}
            },
            Command::Operator { action, .. } => {
                let decided = row.state.phase.decision().is_some();
                match action {
                    OperatorAction::Decide(Decision::Confirm) => met(EventKind::OperatorConfirms),
                    OperatorAction::Decide(Decision::Cancel) => met(EventKind::OperatorCancels),
                    OperatorAction::Park(_) if !decided => met(EventKind::Park),
                    OperatorAction::Park(_) if row.state.open_effects > 0 => {
                        met(EventKind::EffectParked);
                    }
                    OperatorAction::Retry
                        if !decided && (row.holder.is_none() || row.state.parked.is_some()) =>
                    {
                        met(EventKind::Unpark);
                    }
                    OperatorAction::Retry
                        if matches!(row.state.phase, Phase::Confirming | Phase::Cancelling) =>
                    {
                        if row.state.parked_effects > 0 && answer.is_ok() {
                            met(EventKind::EffectUnparked);
                        }
                    }
                    OperatorAction::Park(_) | OperatorAction::Retry => {}
                }
            }
            Command::RegisterBranches(_) => {
                if answer
                    .as_ref()
                    .is_ok_and(|reply| matches!(reply, Reply::Transaction { created: true, .. }))
                {
                    met(EventKind::Registered);
                }
            }
            Command::BranchTried(tried) if !lost => match tried.settled {
                TrySettled::Ok => met(EventKind::TriedOk),
                TrySettled::Refused(_) => met(EventKind::TryRefused),
                TrySettled::RetryAfter(_) => {}
            },
            Command::BranchSettled(settled) if !lost => match settled.settled {
                Settled::Done => met(EventKind::EffectDone),
                Settled::Park(_) => met(EventKind::EffectParked),
                Settled::RetryAfter(_) => {}
            },
            Command::BranchTried(_)
            | Command::BranchSettled(_)
            | Command::ReleaseBranch { .. }
            | Command::Prepare(_)
            | Command::Submit(_)
            | Command::DeadlinePassed { .. }
            | Command::DeliverySettled(_)
            | Command::ReleaseDelivery { .. }
            | Command::ReleaseCheckBack { .. } => {}
        }
    }
}

/// Whether this command may have made this decision, on this row, in this name.
pub(super) fn may_decide(
    command: &Command,
    was: Option<&TransactionRow>,
    by: Option<&Decider>,
    decision: Decision,
) -> bool {
    use earnest_protocol::CheckBackAnswer as A;
    match (command, by) {
        (Command::Submit(_), Some(Decider::Initiator)) => decision == Decision::Confirm,
        (Command::Decide(decide), Some(Decider::Initiator)) => decide.decision == decision,
        (Command::CheckedBack { answer, .. }, Some(Decider::CheckBack)) => matches!(
            (answer, decision),
            (A::Committed, Decision::Confirm) | (A::RolledBack, Decision::Cancel)
        ),
        (Command::CheckedBack { answer, .. }, Some(Decider::Budget)) => {
            let local = |row: &TransactionRow| row.state.options.outcome == InitiatorOutcome::Local;
            // P6: only an answer uses the budget up.
            *answer == A::InProgress
                && decision == Decision::Cancel
                && was.is_some_and(|was| !local(was))
        }
        (Command::DeadlinePassed { .. }, Some(Decider::Deadline)) => {
            let alone = |row: &TransactionRow| row.state.options.outcome.ends_with_the_deadline();
            decision == Decision::Cancel && was.is_some_and(alone)
        }
        (Command::BranchTried(tried), Some(Decider::Tries)) => {
            decision == Decision::Confirm && tried.settled == TrySettled::Ok
        }
        (Command::BranchTried(tried), Some(Decider::Refusal { .. })) => {
            decision == Decision::Cancel && matches!(tried.settled, TrySettled::Refused(_))
        }
        (Command::Operator { action, .. }, Some(Decider::Operator(_))) => {
            matches!(action, OperatorAction::Decide(said) if *said == decision)
                && was.is_some_and(|was| was.state.parked.is_some())
        }
        _ => false,
    }
}
