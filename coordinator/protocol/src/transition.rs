//! The one table of what may happen to a transaction: state × event → state and effects.
//!
//! Every store applies it inside its own database transaction; nothing else decides.

use std::time::Duration;

use crate::{
    CheckBackAnswer, Decider, Decision, InitiatorOutcome, Jitter, Name, OnBudgetSpent, ParkReason,
    Phase, RetryPolicy, State, planted::planted,
};

/// The wait between check-backs: 1 s, doubling, at most a minute.
const CHECK_BACK_RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_secs(1),
    multiplier_milli: 2_000,
    cap: Duration::from_mins(1),
};

/// What happens to a transaction. `owed` is what the decision would owe, counted in the same database
/// transaction: (effects to run, effects parked from the start).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The initiator decides.
    Decide(Decision),
    /// A check-back was answered, or not.
    Answered(CheckBackAnswer, Jitter),
    /// Further branches were registered.
    BranchesRegistered(u32),
    /// A Try that the coordinator ran was answered OK.
    TriedOk,
    /// A Try that the coordinator ran was refused.
    TryRefused {
        /// The participant that said no.
        service: Name,
        /// Why.
        reason: String,
    },
    /// `check_after` has passed for a transaction that nobody can be asked about.
    DeadlinePassed,
    /// An operator decides; only what is parked.
    OperatorDecides(Decision, String),
    /// An effect was done.
    EffectDone,
    /// An effect was set aside.
    EffectParked,
    /// A parked effect is to be tried again.
    EffectUnparked,
    /// A person sets the undecided transaction aside.
    Park(ParkReason),
    /// A person takes it up again.
    Unpark,
}

/// What is to be done because of a transition. Delays are durations and never instants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Record the decision and who made it.
    Decided(Decision, Decider),
    /// Ask the initiator (or cancel, when nobody can be asked) after this long.
    ArmCheckBack(Duration),
    /// No check-back is due any more.
    DisarmCheckBack,
    /// Tell people: the initiator answered the opposite of what was decided.
    Contradiction {
        /// What stands.
        decided: Decision,
        /// What was answered.
        answered: CheckBackAnswer,
    },
    /// The final phase was entered.
    Finished,
}

/// Why an event is refused. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The opposite was decided before (P1).
    #[error("the transaction was already decided: {0}")]
    AlreadyDecided(Decision),
    /// An operator may decide only what is parked.
    #[error("the transaction is not parked: an operator decides only parked ones; park it first")]
    NotParked,
    /// The deadline cancels only where nobody can be asked.
    #[error("the initiator can be asked, so time alone never cancels")]
    CanBeAsked,
    /// Only an undecided transaction is parked as a whole.
    #[error("the transaction is decided: only its effects can be parked")]
    NotPrepared,
    /// No branch slips in beside a decision (T4).
    #[error("the transaction was already decided: {0}; a branch is registered before that")]
    TooLateToRegister(Decision),
    /// Nothing is confirmed that was not tried (T3): the Trys of an executed transaction decide, or somebody cancels it.
    #[error("its Trys have not all been answered: they decide, and nobody confirms before them")]
    Untried,
    /// A Try was reported that nobody waits for.
    #[error("no such Try is awaited")]
    NothingTried,
    /// More effects were reported than are owed.
    #[error("no such effect is owed")]
    NothingOwed,
}

/// Applies `event`. `owed` is (open, parked) effects that a decision in this event would owe; ignored otherwise.
pub fn transition(
    mut state: State,
    event: Event,
    owed: impl FnOnce(Decision) -> (u32, u32),
) -> Result<(State, Vec<Effect>), Illegal> {
    match event {
        Event::Decide(decision) => decide(state, decision, Decider::Initiator, owed),
        Event::OperatorDecides(decision, name) => match state.phase.decision() {
            None if state.parked.is_none() => Err(Illegal::NotParked),
            _ => decide(state, decision, Decider::Operator(name), owed),
        },
        Event::DeadlinePassed => match state.phase {
            Phase::Prepared
                if state.options.outcome.ends_with_the_deadline()
                    || planted!(DeadlineCancelsLocal) =>
            {
                decide(state, Decision::Cancel, Decider::Deadline, owed)
            }
            Phase::Prepared => Err(Illegal::CanBeAsked),
            _ => Ok((state, vec![])),
        },
        Event::BranchesRegistered(count) => match state.phase.decision() {
            Some(decided) if !planted!(LateBranchJoins) => Err(Illegal::TooLateToRegister(decided)),
            _ => {
                state.branches += count;
                if state.options.outcome == InitiatorOutcome::Executed {
                    state.untried += count;
                }
                Ok((state, vec![]))
            }
        },
        Event::TriedOk => match (state.phase, state.untried.checked_sub(1)) {
            (Phase::Prepared, None) => Err(Illegal::NothingTried),
            (Phase::Prepared, Some(0)) => {
                state.untried = 0;
                decide(state, Decision::Confirm, Decider::Tries, owed)
            }
            (Phase::Prepared, Some(left)) => {
                state.untried = left;
                Ok((state, vec![]))
            }
            _ => Ok((state, vec![])),
        },
        Event::TryRefused { service, reason } => match state.phase {
            Phase::Prepared if state.untried == 0 => Err(Illegal::NothingTried),
            Phase::Prepared => {
                let by = Decider::Refusal { service, reason };
                decide(state, Decision::Cancel, by, owed)
            }
            _ => Ok((state, vec![])),
        },
        Event::Answered(answer, jitter) => answered(state, answer, jitter, owed),
        Event::EffectDone => {
            state.open_effects = state
                .open_effects
                .checked_sub(1)
                .ok_or(Illegal::NothingOwed)?;
            Ok(finish(state))
        }
        Event::EffectParked => {
            state.open_effects = state
                .open_effects
                .checked_sub(1)
                .ok_or(Illegal::NothingOwed)?;
            state.parked_effects += 1;
            Ok((state, vec![]))
        }
        Event::EffectUnparked => {
            state.parked_effects = state
                .parked_effects
                .checked_sub(1)
                .ok_or(Illegal::NothingOwed)?;
            state.open_effects += 1;
            Ok((state, vec![]))
        }
        Event::Park(reason) => match state.phase {
            Phase::Prepared => {
                // The first reason says why it stands there; a second one would hide it.
                state.parked.get_or_insert(reason);
                Ok((state, vec![Effect::DisarmCheckBack]))
            }
            _ => Err(Illegal::NotPrepared),
        },
        Event::Unpark => match (state.phase, state.options.outcome) {
            // Nobody can be asked, so there is nothing to try again: its deadline stands.
            (Phase::Prepared, outcome)
                if outcome.ends_with_the_deadline() && state.parked.is_none() =>
            {
                Ok((state, vec![]))
            }
            (Phase::Prepared, outcome) => {
                state.parked = None;
                // A person starts it anew: the budget too, or the next *in progress* would park it again.
                state.in_progress_answers = 0;
                state.unanswered = 0;
                let wait = match outcome {
                    // To be due at once would be to cancel; its initiator gets the time it had at first.
                    InitiatorOutcome::None | InitiatorOutcome::Executed => {
                        state.options.check_after
                    }
                    InitiatorOutcome::Local | InitiatorOutcome::Asked => Duration::ZERO,
                };
                Ok((state, vec![Effect::ArmCheckBack(wait)]))
            }
            _ => Err(Illegal::NotPrepared),
        },
    }
}

fn decide(
    mut state: State,
    decision: Decision,
    by: Decider,
    owed: impl FnOnce(Decision) -> (u32, u32),
) -> Result<(State, Vec<Effect>), Illegal> {
    match state.phase.decision() {
        Some(_) if planted!(NoCompareAndSet) => {}
        Some(decided) if decided == decision => return Ok((state, vec![])),
        Some(decided) => return Err(Illegal::AlreadyDecided(decided)),
        None if decision == Decision::Confirm
            && state.untried > 0
            && !planted!(UntriedIsConfirmed) =>
        {
            return Err(Illegal::Untried);
        }
        None => {}
    }
    (state.open_effects, state.parked_effects) = owed(decision);
    state.phase = decision.entering();
    state.parked = None;
    state.untried = 0;
    let (state, finished) = finish(state);
    let mut effects = vec![Effect::Decided(decision, by), Effect::DisarmCheckBack];
    effects.extend(finished);
    Ok((state, effects))
}

fn finish(mut state: State) -> (State, Vec<Effect>) {
    match state.phase.decision() {
        Some(decision)
            if state.open_effects + state.parked_effects == 0
                || (planted!(ParkedIsFinal) && state.open_effects == 0) =>
        {
            state.phase = decision.ending();
            (state, vec![Effect::Finished])
        }
        _ => (state, vec![]),
    }
}

fn answered(
    mut state: State,
    answer: CheckBackAnswer,
    jitter: Jitter,
    owed: impl FnOnce(Decision) -> (u32, u32),
) -> Result<(State, Vec<Effect>), Illegal> {
    let says = match answer {
        CheckBackAnswer::Committed => Some(Decision::Confirm),
        CheckBackAnswer::RolledBack => Some(Decision::Cancel),
        CheckBackAnswer::Unknown if planted!(SilenceCancels) => Some(Decision::Cancel),
        CheckBackAnswer::InProgress | CheckBackAnswer::Unknown => None,
    };
    match (state.phase.decision(), says) {
        (Some(decided), Some(said)) if decided != said => Ok((
            state,
            vec![Effect::Contradiction {
                decided,
                answered: answer,
            }],
        )),
        (Some(_), _) => Ok((state, vec![])),
        (None, Some(decision)) => decide(state, decision, Decider::CheckBack, owed),
        // Parked meanwhile: only a person, the initiator or a real outcome moves it.
        (None, None) if state.parked.is_some() => Ok((state, vec![])),
        (None, None) if answer == CheckBackAnswer::Unknown && !planted!(SilenceCounts) => {
            state.unanswered = state.unanswered.saturating_add(1);
            let wait = CHECK_BACK_RETRY.delay(state.unanswered, jitter);
            Ok((state, vec![Effect::ArmCheckBack(wait)]))
        }
        (None, None) => in_progress(state, jitter, owed),
    }
}

fn in_progress(
    mut state: State,
    jitter: Jitter,
    owed: impl FnOnce(Decision) -> (u32, u32),
) -> Result<(State, Vec<Effect>), Illegal> {
    state.unanswered = 0;
    state.in_progress_answers = state.in_progress_answers.saturating_add(1);
    if state.in_progress_answers < state.options.check_back_budget.max(1) {
        let wait = CHECK_BACK_RETRY.delay(state.in_progress_answers, jitter);
        return Ok((state, vec![Effect::ArmCheckBack(wait)]));
    }
    let may_cancel = state.options.outcome != InitiatorOutcome::Local;
    let cancels = may_cancel && state.options.on_budget_spent == OnBudgetSpent::Cancel;
    if cancels || planted!(BudgetCancelsLocal) {
        return decide(state, Decision::Cancel, Decider::Budget, owed);
    }
    state.parked = Some(ParkReason::new(format!(
        "check-back budget spent: the initiator answered \"in progress\" {} times",
        state.in_progress_answers
    )));
    Ok((state, vec![Effect::DisarmCheckBack]))
}
