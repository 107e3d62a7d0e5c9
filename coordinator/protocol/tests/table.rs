//! The table of what may happen, checked cell by cell against rules that are written without it.
//!
//! Every phase × parked × outcome × what a spent budget does × counts around the budget × effects owed × every
//! event × what a decision would owe.

use std::time::Duration;

use earnest_protocol::{
    CheckBackAnswer, Decider, Decision, Effect, Event, Illegal, InitiatorOutcome, Jitter,
    OnBudgetSpent, Options, ParkReason, Phase, State, transition,
};

const BUDGET: u32 = 3;

/// What a cell leads to, as far as the rules speak of it.
#[derive(Debug)]
enum Rule {
    /// Nothing changes and nothing is to be done.
    Nothing,
    /// Refused.
    Refused(Illegal),
    /// Decided just now.
    Decided(Decision, Decider),
    /// Asked again after more than nothing; so many *in progress* answers and unanswered check-backs.
    AskedAgain(u32, u32),
    /// Set aside; nobody is asked.
    Parked,
    /// Taken up again, with a fresh budget: asked, or cancelled, after so long.
    TakenUp(Duration),
    /// The answer contradicts what was decided.
    Contradicted(Decision, CheckBackAnswer),
    /// (open, parked) effects from now on.
    Owes(u32, u32),
    /// (registered, untried) branches from now on; undecided still.
    Branches(u32, u32),
}

/// The rules, phase by phase: undecided, owing, over.
fn rule(state: &State, event: &Event) -> Rule {
    match state.phase {
        Phase::Prepared => undecided(state, event),
        Phase::Confirming | Phase::Confirmed => decided(state, event, Decision::Confirm),
        Phase::Cancelling | Phase::Cancelled => decided(state, event, Decision::Cancel),
    }
}

fn undecided(state: &State, event: &Event) -> Rule {
    let parked = state.parked.is_some();
    let nobody_knows = matches!(
        state.options.outcome,
        InitiatorOutcome::None | InitiatorOutcome::Executed
    );
    // Confirmed before all Trys are OK, a branch would be confirmed that was never tried (T3).
    let early = state.untried > 0;
    match event {
        Event::Decide(Decision::Confirm) | Event::Answered(CheckBackAnswer::Committed, _)
            if early =>
        {
            Rule::Refused(Illegal::Untried)
        }
        Event::OperatorDecides(Decision::Confirm, _) if parked && early => {
            Rule::Refused(Illegal::Untried)
        }
        Event::Decide(decision) => Rule::Decided(*decision, Decider::Initiator),
        Event::OperatorDecides(decision, who) if parked => {
            Rule::Decided(*decision, Decider::Operator(who.clone()))
        }
        Event::OperatorDecides(..) => Rule::Refused(Illegal::NotParked),
        Event::BranchesRegistered(more) => {
            let executed = state.options.outcome == InitiatorOutcome::Executed;
            let untried = if executed { *more } else { 0 };
            Rule::Branches(state.branches + more, state.untried + untried)
        }
        Event::TriedOk | Event::TryRefused { .. } if state.untried == 0 => {
            Rule::Refused(Illegal::NothingTried)
        }
        Event::TriedOk if state.untried == 1 => Rule::Decided(Decision::Confirm, Decider::Tries),
        Event::TriedOk => Rule::Branches(state.branches, state.untried - 1),
        Event::TryRefused { service, reason } => Rule::Decided(
            Decision::Cancel,
            Decider::Refusal {
                service: service.clone(),
                reason: reason.clone(),
            },
        ),
        Event::DeadlinePassed if nobody_knows => Rule::Decided(Decision::Cancel, Decider::Deadline),
        Event::DeadlinePassed => Rule::Refused(Illegal::CanBeAsked),
        Event::Answered(CheckBackAnswer::Committed, _) => {
            Rule::Decided(Decision::Confirm, Decider::CheckBack)
        }
        Event::Answered(CheckBackAnswer::RolledBack, _) => {
            Rule::Decided(Decision::Cancel, Decider::CheckBack)
        }
        Event::Answered(..) if parked => Rule::Nothing,
        Event::Answered(CheckBackAnswer::Unknown, _) => {
            Rule::AskedAgain(state.in_progress_answers, state.unanswered + 1)
        }
        Event::Answered(CheckBackAnswer::InProgress, _) => {
            let answers = state.in_progress_answers + 1;
            let spent = answers >= state.options.check_back_budget.max(1);
            match (spent, state.options.outcome, state.options.on_budget_spent) {
                (false, ..) => Rule::AskedAgain(answers, 0),
                // It may have committed: no budget cancels it, whatever was asked for (P6).
                (true, InitiatorOutcome::Local, _) | (true, _, OnBudgetSpent::Park) => Rule::Parked,
                (true, _, OnBudgetSpent::Cancel) => {
                    Rule::Decided(Decision::Cancel, Decider::Budget)
                }
            }
        }
        // Undecided, it owes nothing (P3).
        Event::EffectDone | Event::EffectParked | Event::EffectUnparked => {
            Rule::Refused(Illegal::NothingOwed)
        }
        Event::Park(_) => Rule::Parked,
        Event::Unpark if !nobody_knows => Rule::TakenUp(Duration::ZERO),
        // Nobody can be asked, and an operator's *try again* must not cancel.
        Event::Unpark if parked => Rule::TakenUp(state.options.check_after),
        Event::Unpark => Rule::Nothing,
    }
}

fn decided(state: &State, event: &Event, stands: Decision) -> Rule {
    let (open, parked) = (state.open_effects, state.parked_effects);
    let said = match event {
        Event::Decide(said) | Event::OperatorDecides(said, _) => Some(*said),
        Event::Answered(CheckBackAnswer::Committed, _) => Some(Decision::Confirm),
        Event::Answered(CheckBackAnswer::RolledBack, _) => Some(Decision::Cancel),
        _ => None,
    };
    match event {
        Event::Answered(answer, _) if said.is_some_and(|said| said != stands) => {
            Rule::Contradicted(stands, *answer)
        }
        Event::Decide(_) | Event::OperatorDecides(..) if said != Some(stands) => {
            Rule::Refused(Illegal::AlreadyDecided(stands))
        }
        // A branch beside a decision would be an orphan (T4).
        Event::BranchesRegistered(_) => Rule::Refused(Illegal::TooLateToRegister(stands)),
        Event::TriedOk
        | Event::TryRefused { .. }
        | Event::Answered(..)
        | Event::Decide(_)
        | Event::OperatorDecides(..)
        | Event::DeadlinePassed => Rule::Nothing,
        Event::EffectDone if open > 0 => Rule::Owes(open - 1, parked),
        Event::EffectParked if open > 0 => Rule::Owes(open - 1, parked + 1),
        Event::EffectUnparked if parked > 0 => Rule::Owes(open + 1, parked - 1),
        Event::EffectDone | Event::EffectParked | Event::EffectUnparked => {
            Rule::Refused(Illegal::NothingOwed)
        }
        Event::Park(_) | Event::Unpark => Rule::Refused(Illegal::NotPrepared),
    }
}

/// Every combination that a store may hold.
fn every_state() -> Vec<State> {
    let mut states = vec![State::prepared(Options::default())];
    vary(&mut states, &Phase::ALL, |state, phase| state.phase = phase);
    let outcomes = [
        InitiatorOutcome::Local,
        InitiatorOutcome::Asked,
        InitiatorOutcome::None,
        InitiatorOutcome::Executed,
    ];
    vary(&mut states, &outcomes, |state, outcome| {
        state.options.outcome = outcome;
    });
    let spent = [OnBudgetSpent::Park, OnBudgetSpent::Cancel];
    vary(&mut states, &spent, |state, on_budget_spent| {
        state.options.on_budget_spent = on_budget_spent;
    });
    vary(&mut states, &[0, 1, BUDGET], |state, budget| {
        state.options.check_back_budget = budget;
    });
    let answers = [0, 1, BUDGET - 2, BUDGET - 1, BUDGET, BUDGET + 1];
    vary(&mut states, &answers, |state, answers| {
        state.in_progress_answers = answers;
    });
    vary(&mut states, &[0, 1, 100], |state, unanswered| {
        state.unanswered = unanswered;
    });
    let owed = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 3)];
    vary(&mut states, &owed, |state, owed| {
        (state.open_effects, state.parked_effects) = owed;
    });
    let branches = [(0, 0), (2, 0), (2, 1), (3, 2)];
    vary(&mut states, &branches, |state, branches| {
        (state.branches, state.untried) = branches;
    });
    let parked = [None, Some(ParkReason::new("first"))];
    vary(&mut states, &parked, |state, parked| state.parked = parked);
    states.retain(|state| state.validate().is_ok());
    states
}

/// Each of `states` with each of `values`.
fn vary<T: Clone, const N: usize>(
    states: &mut Vec<State>,
    values: &[T; N],
    set: impl Fn(&mut State, T),
) {
    *states = states
        .iter()
        .flat_map(|state| values.iter().map(move |value| (state, value)))
        .map(|(state, value)| {
            let mut state = state.clone();
            set(&mut state, value.clone());
            state
        })
        .collect();
}

fn every_event() -> Vec<Event> {
    let mut events = vec![
        Event::DeadlinePassed,
        Event::EffectDone,
        Event::EffectParked,
        Event::EffectUnparked,
        Event::BranchesRegistered(2),
        Event::TriedOk,
        Event::TryRefused {
            service: "account".parse().expect("a name"),
            reason: "no".into(),
        },
        Event::Park(ParkReason::new("second")),
        Event::Unpark,
    ];
    for decision in [Decision::Confirm, Decision::Cancel] {
        events.push(Event::Decide(decision));
        events.push(Event::OperatorDecides(decision, "ada".into()));
    }
    for answer in [
        CheckBackAnswer::Committed,
        CheckBackAnswer::RolledBack,
        CheckBackAnswer::InProgress,
        CheckBackAnswer::Unknown,
    ] {
        events.push(Event::Answered(answer, Jitter(0)));
    }
    events
}

/// What a decided transaction looks like that owes so much.
fn phase_of(decision: Decision, owed: u32) -> Phase {
    match (decision, owed) {
        (Decision::Confirm, 0) => Phase::Confirmed,
        (Decision::Confirm, _) => Phase::Confirming,
        (Decision::Cancel, 0) => Phase::Cancelled,
        (Decision::Cancel, _) => Phase::Cancelling,
    }
}

fn check_cell(before: &State, event: &Event, would_owe: (u32, u32)) {
    let shown = format!("{before:?} × {event:?}, which would owe {would_owe:?}");
    let mut asked = Vec::new();
    let outcome = transition(before.clone(), event.clone(), |decision| {
        asked.push(decision);
        would_owe
    });
    let rule = rule(before, event);
    let expected_decisions: Vec<_> = match &rule {
        Rule::Decided(decision, _) => vec![*decision],
        _ => vec![],
    };
    assert_eq!(
        asked, expected_decisions,
        "what a decision owes is counted when it is made: {shown}"
    );
    if let Rule::Refused(why) = rule {
        assert_eq!(outcome, Err(why), "{shown}");
        return;
    }
    let (after, effects) = outcome.unwrap_or_else(|illegal| panic!("{illegal}: {shown}"));
    after
        .validate()
        .unwrap_or_else(|broken| panic!("{broken}: {shown}"));
    match rule {
        Rule::Refused(_) => unreachable!("handled above"),
        Rule::Nothing => assert_eq!((&after, &effects[..]), (before, &[][..]), "{shown}"),
        Rule::Contradicted(decided, answered) => {
            assert_eq!(
                (&after, effects),
                (before, vec![Effect::Contradiction { decided, answered }]),
                "{shown}"
            );
        }
        Rule::Decided(decision, by) => {
            let phase = phase_of(decision, would_owe.0 + would_owe.1);
            let (open_effects, parked_effects) = would_owe;
            let counts = (after.in_progress_answers, after.unanswered);
            let expected = State {
                phase,
                parked: None,
                untried: 0,
                open_effects,
                parked_effects,
                in_progress_answers: counts.0,
                unanswered: counts.1,
                ..before.clone()
            };
            assert_eq!(after, expected, "{shown}");
            let mut expected = vec![Effect::Decided(decision, by), Effect::DisarmCheckBack];
            expected.extend(phase.is_final().then_some(Effect::Finished));
            assert_eq!(effects, expected, "{shown}");
        }
        Rule::AskedAgain(in_progress_answers, unanswered) => {
            assert_eq!(
                after,
                State {
                    in_progress_answers,
                    unanswered,
                    ..before.clone()
                },
                "{shown}"
            );
            let [Effect::ArmCheckBack(wait)] = effects[..] else {
                panic!("{effects:?}: {shown}")
            };
            assert!(
                wait > Duration::ZERO && wait <= Duration::from_mins(1),
                "{wait:?}: {shown}"
            );
        }
        Rule::Branches(branches, untried) => {
            assert_eq!(
                after,
                State {
                    branches,
                    untried,
                    ..before.clone()
                },
                "{shown}"
            );
            assert_eq!(effects, [], "{shown}");
        }
        Rule::Parked => {
            assert!(after.parked.is_some(), "{shown}");
            if before.parked.is_some() {
                assert_eq!(
                    after.parked, before.parked,
                    "the first reason stands: {shown}"
                );
            }
            assert_eq!(
                (after.phase, effects),
                (Phase::Prepared, vec![Effect::DisarmCheckBack]),
                "{shown}"
            );
        }
        Rule::TakenUp(wait) => {
            let expected = State {
                parked: None,
                in_progress_answers: 0,
                unanswered: 0,
                ..before.clone()
            };
            assert_eq!(after, expected, "{shown}");
            assert_eq!(effects, [Effect::ArmCheckBack(wait)], "{shown}");
        }
        Rule::Owes(open_effects, parked_effects) => {
            let decision = before.phase.decision().expect("only what is decided owes");
            let phase = phase_of(decision, open_effects + parked_effects);
            assert_eq!(
                after,
                State {
                    phase,
                    open_effects,
                    parked_effects,
                    ..before.clone()
                },
                "{shown}"
            );
            let finished: Vec<_> = phase
                .is_final()
                .then_some(Effect::Finished)
                .into_iter()
                .collect();
            assert_eq!(effects, finished, "{shown}");
        }
    }
}

#[test]
fn every_cell_follows_the_rules() {
    let (states, events) = (every_state(), every_event());
    assert!(states.len() > 1_000, "{}", states.len());
    for state in &states {
        for event in &events {
            for would_owe in [(0, 0), (2, 0), (0, 1), (2, 1)] {
                check_cell(state, event, would_owe);
            }
        }
    }
}

/// P1, seen from the cells: where a decision stands, no event brings the other one.
#[test]
fn p1_no_cell_flips_a_decision() {
    for state in every_state() {
        let Some(stands) = state.phase.decision() else {
            continue;
        };
        for event in every_event() {
            if let Ok((after, effects)) = transition(state.clone(), event.clone(), |_| (1, 1)) {
                assert_eq!(
                    after.phase.decision(),
                    Some(stands),
                    "{state:?} × {event:?}"
                );
                let again = effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Decided(..)));
                assert!(!again, "decided twice: {state:?} × {event:?}");
            }
        }
    }
}

/// Over is over: a final state never changes, and nothing is asked of it but to tell people.
#[test]
fn p2_final_states_never_change() {
    for state in every_state()
        .into_iter()
        .filter(|state| state.phase.is_final())
    {
        for event in every_event() {
            if let Ok((after, effects)) = transition(state.clone(), event.clone(), |_| (1, 1)) {
                assert_eq!(after, state, "{event:?}");
                let silent = effects
                    .iter()
                    .all(|effect| matches!(effect, Effect::Contradiction { .. }));
                assert!(silent, "{effects:?}: {state:?} × {event:?}");
            }
        }
    }
}

/// P6: with a local outcome only people, the initiator and real answers ever cancel.
#[test]
fn p6_neither_time_nor_budget_cancels_a_local_outcome() {
    let local = |state: &State| {
        state.phase == Phase::Prepared && state.options.outcome == InitiatorOutcome::Local
    };
    for state in every_state().into_iter().filter(local) {
        for event in [
            Event::DeadlinePassed,
            Event::Answered(CheckBackAnswer::InProgress, Jitter(0)),
            Event::Answered(CheckBackAnswer::Unknown, Jitter(0)),
        ] {
            if let Ok((after, _)) = transition(state.clone(), event.clone(), |_| (1, 0)) {
                assert_eq!(after.phase, Phase::Prepared, "{state:?} × {event:?}");
            }
        }
    }
}
